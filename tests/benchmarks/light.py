"""Measure the weight-free optics against the goals, on rendered scenes: python tests/benchmarks/light.py --seed 1.

The network has seen `mondrian_gradient`, `textured_relief`, `two_colours`, `subject`, `cast_relief` and `gobo`, other scenes
than here, among those of shared/light/scenes/network/worlds.py; never `print_relief`, its prints, or `solids`. Errors of
flattened images are normalised and invariant to one scale per channel, min |scale * found - true|^2 / mean true^2, in the first
table, and to one scale alone in the second: there the colour of the light counts, too. Leak is the slope of log(found / true) on log
shading: 1 where all the light is still there.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.enlarge import DARKEST
from shared.light.scenes.scenes import SCENE_FAMILIES, Scene, render
from shared.light.shading import flatten
from shared.light.surface import integrate
from tests.benchmarks.scene_seeds import seeds_asked

NOT_TUNED_ON = ("print_relief", "solids")
WITHOUT_CAST_SHADOWS = ("mondrian_gradient", "textured_relief", "two_colours", "print_relief", "subject")
MOST_RATIO, MOST_LEAK, MOST_DIFFERENCE = 0.40, 0.30, 5.0
GOALS = {
    "no family worse than doing nothing": "",
    "in the mean better than every rival": "",
    "without cast shadows: ratio": f"<= {MOST_RATIO}",
    "without cast shadows: leak": f"<= {MOST_LEAK}",
    "without cast shadows: mean CIEDE2000": f"<= {MOST_DIFFERENCE}",
    "far goal: ratio with cast shadows too": f"<= {MOST_RATIO}",
}
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


def retinex_and_lime(photograph: np.ndarray) -> np.ndarray:
    """Both averaged in the logarithm, their shading smoothed: the best of an earlier comparison."""
    linear = do_nothing(photograph)
    shading = sum(
        share * np.log(linear / np.maximum(method(photograph), 1e-6)).mean(axis=-1)
        for share, method in ((0.7, colour_retinex), (0.3, lime))
    ).astype(np.float32)
    return linear * np.exp(-cv2.ximgproc.guidedFilter(shading, shading, 6, 0.02))[..., np.newaxis]


METHODS: dict[str, Method] = {
    "product": product,
    "do nothing": do_nothing,
    "Retinex + LIME": retinex_and_lime,
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


# ---- The tables ----


def table_of_flattening(scenes: dict[str, list[Scene]]) -> None:
    print("1. Flattened image: si-MSE by family (the goal: product below every rival in the mean, never above nothing)")
    print(f"{'':<18}" + "".join(f"{name:>16}" for name in METHODS) + f"{'ratio':>8}{'leak':>7}{'dE2000':>8}")
    means: dict[str, list[float]] = {name: [] for name in METHODS}
    verdicts: dict[str, list[bool]] = {goal: [] for goal in GOALS}
    judged_without: dict[str, list[float]] = {name: [] for name in ("ratio", "leak", "dE2000")}
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
            verdicts["no family worse than doing nothing"].append(ratio <= 1)
            if family in WITHOUT_CAST_SHADOWS:
                met = (ratio <= MOST_RATIO, leaks <= MOST_LEAK, colours <= MOST_DIFFERENCE)
                for name, value in zip(judged_without, (ratio, leaks, colours), strict=True):
                    judged_without[name].append(value)
                for goal, is_met in zip(list(GOALS)[2:5], met, strict=True):
                    verdicts[goal].append(is_met)
            else:
                verdicts["far goal: ratio with cast shadows too"].append(ratio <= MOST_RATIO)
    print(f"{'mean':<18}" + "".join(f"{np.mean(errors):>16.4f}" for errors in means.values()))
    product_mean, *others = (float(np.mean(errors)) for errors in means.values())
    verdicts["in the mean better than every rival"].append(product_mean < min(others))
    of_all = {name: np.mean(values) for name, values in judged_without.items()}
    print("\n   families without cast shadows in the mean: " + ", ".join(f"{n} {v:.2f}" for n, v in of_all.items()))
    for goal, measured in verdicts.items():
        bound = f"{goal} {GOALS[goal]}".strip()
        print(f"   {bound:<60}{'met' if all(measured) else 'MISSED'} ({sum(measured)} of {len(measured)})")
    print()


def si_mse_of_one_scale(found: np.ndarray, scene: Scene) -> float:
    true = scene.reflectance
    scale = (found * true).sum() / ((found * found).sum() + 1e-12)
    return float(((scale * found - true) ** 2).mean() / (true**2).mean())


def table_of_colour(scenes: dict[str, list[Scene]]) -> None:
    print("2. The light's colour: si-MSE with one scale for red, green and blue together, and with one for each")
    print(f"{'':<18}{'product':>10}{'do nothing':>12}{'ratio':>8}{'product':>12}{'do nothing':>12}{'ratio':>8}")
    for family, rendered in scenes.items():
        row = f"{family:<18}"
        for measure, width in ((si_mse_of_one_scale, 10), (si_mse, 12)):
            ours, theirs = (float(np.mean([measure(m(s.image), s) for s in rendered])) for m in (product, do_nothing))
            row += f"{ours:>{width}.4f}{theirs:>12.4f}{ours / theirs:>8.2f}"
        print(row + ("  not tuned on" if family in NOT_TUNED_ON else ""))
    print()


def table_of_speed(scenes: dict[str, list[Scene]]) -> None:
    photograph = cv2.resize(scenes["solids"][0].image, (512, 512))
    print("3. Milliseconds at 512 px on one core")
    for name, method in METHODS.items():
        start = time.perf_counter()
        for _ in range(3):
            method(photograph)
        print(f"   {name:<18}{(time.perf_counter() - start) / 3 * 1e3:>8.0f}")


def main() -> None:
    cv2.setNumThreads(1)
    seeds = seeds_asked(__doc__)
    scenes = {family: [render(family, seed) for seed in seeds] for family in SCENE_FAMILIES}
    table_of_flattening(scenes)
    table_of_colour(scenes)
    table_of_speed(scenes)


if __name__ == "__main__":
    main()
