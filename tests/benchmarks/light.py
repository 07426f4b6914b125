"""Measure the weight-free optics against the goals, on rendered scenes: python tests/benchmarks/light.py --seed 1.

Tuned on were `mondrian_gradient`, `textured_relief`, `two_colours`, `subject`, `cast_relief` and `gobo`, with scenes
1000 to 9999; `print_relief` and `solids` were not, though ideas that failed on them were dropped. Errors of flattened
images are normalised and invariant to one scale per channel, min |scale * found - true|^2 / mean true^2: the colour of
the light as a whole is not flattening's business. Leak is the slope of log(found / true) on log shading: 1 where all
the light is still there.
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.describe import Light, describe
from shared.light.enlarge import DARKEST
from shared.light.flatten import flatten, integrate
from shared.light.scenes import FAMILIES, Scene, render

NOT_TUNED_ON = ("print_relief", "solids")
WITHOUT_CAST_SHADOWS = ("mondrian_gradient", "textured_relief", "two_colours", "print_relief", "subject")
Method = Callable[[np.ndarray], np.ndarray]  # a uint8 photograph to a linear flattened image


# ---- The rivals ----


def do_nothing(photograph: np.ndarray) -> np.ndarray:
    return np.maximum(srgb_to_linear(photograph), DARKEST)


def product(photograph: np.ndarray) -> np.ndarray:
    return flatten(photograph).image


def colour_retinex(photograph: np.ndarray) -> np.ndarray:
    """Grosse et al. (2009), with the thresholds that were best on another generator."""
    linear = do_nothing(photograph)
    logarithm = np.log(linear)
    brightness, smooth = logarithm.mean(axis=-1), cv2.GaussianBlur(logarithm, (0, 0), 0.6)
    smooth_brightness = smooth.mean(axis=-1)
    steps = []
    for axis in (1, 0):
        colour = np.linalg.norm(np.diff(smooth - smooth_brightness[..., np.newaxis], axis=axis), axis=-1)
        is_reflectance = (colour > 0.04) | (np.abs(np.diff(smooth_brightness, axis=axis)) > 0.3)
        steps.append(np.diff(brightness, axis=axis) * is_reflectance)
    return linear * np.exp(integrate(*steps) - brightness)[..., np.newaxis]


def lime(photograph: np.ndarray) -> np.ndarray:
    linear = do_nothing(photograph)
    brightest = cv2.dilate(linear.max(axis=-1), np.ones((15, 15), np.uint8))
    return linear / np.clip(cv2.ximgproc.guidedFilter(linear, brightest, 30, 1e-3), 0.02, 1)[..., np.newaxis]


def homomorphic(photograph: np.ndarray) -> np.ndarray:
    """High-pass of the log luminance (Oppenheim, Schafer and Stockham, 1968)."""
    linear = do_nothing(photograph)
    logarithm = np.log(linear).mean(axis=-1)
    height, width = logarithm.shape
    square = np.fft.fftfreq(height)[:, np.newaxis] ** 2 + np.fft.fftfreq(width) ** 2
    passed = 0.35 + 0.65 * (1 - np.exp(-square / (2 * 0.02**2)))
    flat = np.fft.ifft2(np.fft.fft2(logarithm) * passed).real
    return linear * np.exp(flat - logarithm)[..., np.newaxis]


def retinex_per_channel(photograph: np.ndarray) -> np.ndarray:
    """Multi-scale Retinex at 15, 80 and 250 px (Jobson, Rahman and Woodell, 1997), as the original pipeline used it."""
    logarithm = np.log(do_nothing(photograph))
    blurs = [cv2.GaussianBlur(logarithm, (0, 0), s, borderType=cv2.BORDER_REFLECT_101) for s in (15, 80, 250)]
    return np.exp(logarithm - sum(blurs) / 3)


METHODS: dict[str, Method] = {
    "product": product,
    "do nothing": do_nothing,
    "colour Retinex": colour_retinex,
    "LIME": lime,
    "homomorphic": homomorphic,
    "MSR per channel": retinex_per_channel,
}


# ---- How wrong is it ----


def scaled(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    factor = (found * true).sum(axis=(0, 1)) / ((found * found).sum(axis=(0, 1)) + 1e-12)
    return found * factor


def si_mse(found: np.ndarray, scene: Scene) -> float:
    true = scene.reflectance
    return float(((scaled(found, true) - true) ** 2).mean() / (true**2).mean())


def leak(images: list[np.ndarray], scenes: list[Scene]) -> float:
    """One slope over all scenes: where hardly any light falls unevenly, that of a single scene means nothing."""
    products, squares = np.sum([moments(found, scene) for found, scene in zip(images, scenes, strict=True)], axis=0)
    return float(products / squares)


def moments(found: np.ndarray, scene: Scene) -> tuple[float, float]:
    kept = np.log(np.maximum(found, 1e-5)).mean(axis=-1) - np.log(scene.reflectance).mean(axis=-1)
    shading = np.log(np.maximum(scene.shading, 1e-5)).mean(axis=-1)
    kept, shading = kept - kept.mean(), shading - shading.mean()
    return float((kept * shading).sum()), float((shading * shading).sum())


def colour_difference(found: np.ndarray, scene: Scene) -> float:
    """Mean CIEDE2000 over every fourth pixel."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    one, other = (linear_to_srgb(image)[::2, ::2] for image in (scaled(found, scene.reflectance), scene.reflectance))
    return float(deltaE_ciede2000(rgb2lab(one), rgb2lab(other)).mean())


def turn(one: float, other: float) -> float:
    return abs((one - other + 180) % 360 - 180)


def area_under_curve(positive: list[float], negative: list[float]) -> float:
    above = np.subtract.outer(np.array(positive), np.array(negative))
    return float(((above > 0) + 0.5 * (above == 0)).mean())


# ---- The tables ----


def table_of_flattening(scenes: dict[str, list[Scene]]) -> None:
    print("1. Flattened image: si-MSE by family (the goal: product below every rival in the mean, never above nothing)")
    print(f"{'':<18}" + "".join(f"{name:>16}" for name in METHODS) + f"{'ratio':>8}{'leak':>7}{'dE2000':>8}")
    means: dict[str, list[float]] = {name: [] for name in METHODS}
    for family, rendered in scenes.items():
        errors = {
            name: float(np.mean([si_mse(method(s.image), s) for s in rendered])) for name, method in METHODS.items()
        }
        flats = [product(scene.image) for scene in rendered]
        leaks = leak(flats, rendered)
        colours = float(
            np.mean([colour_difference(found, scene) for found, scene in zip(flats, rendered, strict=True)])
        )
        ratio = errors["product"] / errors["do nothing"]
        note = "  not tuned on" if family in NOT_TUNED_ON else ""
        judged = f"{ratio:>8.2f}{leaks:>7.2f}{colours:>8.1f}{note}"
        if family == "flat":  # nothing is the right answer there, and what a method adds is all error
            judged = f"{'':>15}{colours:>8.1f}  not in the mean"
        print(f"{family:<18}" + "".join(f"{error:>16.4f}" for error in errors.values()) + judged)
        if family != "flat":
            for name, error in errors.items():
                means[name].append(error)
    print(f"{'mean':<18}" + "".join(f"{np.mean(errors):>16.4f}" for errors in means.values()))
    print("goals without cast shadows: ratio <= 0.40, leak <= 0.30, dE2000 <= 5\n")


def table_of_directions(scenes: dict[str, list[Scene]]) -> None:
    print("2. Direction: median <= 10 degrees, >= 88 % within 22.5, 0 opposite, <= 5 % false on flat light,")
    print("   mirror >= 99 %, same word a stop darker >= 95 %, a stop brighter >= 85 %")
    header = ("claimed", "median", "in 22.5", "opposite", "mirror", "darker", "brighter")
    print(f"{'':<26}" + "".join(f"{name:>10}" for name in header))
    for family, rendered in scenes.items():
        known = [scene for scene in rendered if scene.azimuth_degrees is not None]
        if not known:
            continue
        masked = [scene for scene in known if scene.mask is not None]
        if masked:
            row_of_directions(f"{family}, mask", masked, [scene.mask for scene in masked])
        row_of_directions(f"{family}, whole image", known, [None] * len(known))
    false = [describe(scene.image, scene.mask).direction is not None for scene in scenes["flat"]]
    print(f"{'flat, false claims':<26}{np.mean(false):>10.0%}\n")


def row_of_directions(name: str, scenes: list[Scene], masks: list) -> None:
    lights = [describe(scene.image, mask) for scene, mask in zip(scenes, masks, strict=True)]
    claims = [
        (scene, mask, light)
        for scene, mask, light in zip(scenes, masks, lights, strict=True)
        if light.azimuth_degrees is not None
    ]
    if not claims:
        print(f"{name:<26}{0:>10.0%}")
        return
    errors = [turn(light.azimuth_degrees, scene.azimuth_degrees) for scene, _, light in claims]
    mirrored = [is_mirrored(scene.image, mask, light) for scene, mask, light in claims]
    darker = [describe(exposed(scene.image, -1), mask).direction == light.direction for scene, mask, light in claims]
    brighter = [describe(exposed(scene.image, 1), mask).direction == light.direction for scene, mask, light in claims]
    shares = (
        np.mean(np.array(errors) <= 22.5),
        np.mean(np.array(errors) > 135),
        *map(np.mean, (mirrored, darker, brighter)),
    )
    print(
        f"{name:<26}{len(claims) / len(scenes):>10.0%}{np.median(errors):>10.1f}"
        + "".join(f"{share:>10.0%}" for share in shares)
    )


def is_mirrored(image: np.ndarray, mask: np.ndarray | None, light: Light) -> bool:
    flipped = describe(
        np.ascontiguousarray(image[:, ::-1]), None if mask is None else np.ascontiguousarray(mask[:, ::-1])
    )
    return flipped.azimuth_degrees is not None and turn(flipped.azimuth_degrees, 180 - light.azimuth_degrees) < 5


def exposed(image: np.ndarray, stops: float) -> np.ndarray:
    return linear_to_srgb(srgb_to_linear(image) * np.float32(2.0**stops))


def table_of_qualities(scenes: dict[str, list[Scene]]) -> None:
    print(
        "3. Colour temperature (light of one colour): >= 80 % in three classes. Hardness: area under the curve >= 0.93"
    )
    single = [
        scene for family in ("mondrian_gradient", "textured_relief", "subject", "flat") for scene in scenes[family]
    ]
    found = [describe(scene.image, scene.mask).cct_kelvin for scene in single]
    classes = [classify(scene.cct_kelvin) == classify(kelvin) for scene, kelvin in zip(single, found, strict=True)]
    mired = [abs(1e6 / scene.cct_kelvin - 1e6 / kelvin) for scene, kelvin in zip(single, found, strict=True)]
    print(f"   median error {np.median(mired):.0f} mired, {np.mean(classes):.0%} in three classes")
    pooled: tuple[list[float], list[float]] = ([], [])
    for family, rendered in scenes.items():
        sides: tuple[list[float], list[float]] = ([], [])
        for scene in rendered:
            if scene.is_hard is not None:
                sides[scene.is_hard].append(describe(scene.image, scene.mask).hardness)
                pooled[scene.is_hard].append(sides[scene.is_hard][-1])
        if all(sides):
            print(f"   hardness in {family}: {area_under_curve(sides[1], sides[0]):.3f}")
    print(f"   hardness over all that have it: {area_under_curve(pooled[1], pooled[0]):.3f}\n")


def classify(kelvin: float) -> str:
    return "warm" if kelvin < 4300 else "cool" if kelvin > 7500 else "neutral"


def table_of_speed(scenes: dict[str, list[Scene]]) -> None:
    photograph = cv2.resize(scenes["solids"][0].image, (512, 512))
    print("4. Milliseconds at 512 px on one core")
    for name, method in METHODS.items():
        start = time.perf_counter()
        for _ in range(3):
            method(photograph)
        print(f"   {name:<18}{(time.perf_counter() - start) / 3 * 1e3:>8.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scenes", type=int, default=12, help="of each family")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    seeds = range(arguments.seed * 100_000, arguments.seed * 100_000 + arguments.scenes)
    scenes = {family: [render(family, seed) for seed in seeds] for family in FAMILIES}
    table_of_flattening(scenes)
    table_of_directions(scenes)
    table_of_qualities(scenes)
    table_of_speed(scenes)


if __name__ == "__main__":
    main()
