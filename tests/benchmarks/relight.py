"""Measure the shapes that a new light falls on, on rendered scenes: python tests/benchmarks/relight.py --seed 1.

Each photograph of a scene is flattened and relit by the degrade step's own code under a known light, on three surfaces: the
network's normals, the balloon (a dome where there is no mask) and a plane; and compared with the scene as it would be
rendered in that light, without cast shadows, inside the subject where there is one. The network has never seen
`print_relief` or `solids`.
"""

import sys
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.light.colour import linear_to_srgb, luminance, srgb_to_linear
from shared.light.degradation.lighting import DAYLIGHT
from shared.light.degradation.options import NewLight
from shared.light.degradation.photograph import Photograph
from shared.light.fidelity import ssim
from shared.light.network import look_at_shapes, shrink_to_grid
from shared.light.scenes.scenes import FRONT, Scene, render
from tests.benchmarks.scene_seeds import seeds_asked

FAMILIES = ("textured_relief", "print_relief", "subject", "solids")
NOT_TUNED_ON = ("print_relief", "solids")
SURFACES = ("network", "balloon", "plane")
GOALS = {"error against the balloon's": 0.7, "median error of the normals of solids, degrees": 25.0}


def new_light(rng: np.random.Generator) -> NewLight:
    """A white light of one direction, without anything else."""
    return NewLight(
        degradation_type="soft_shading", azimuth_degrees=rng.uniform(0, 360), elevation_degrees=rng.uniform(20, 55), ambient=0.25,
        softness=0.0, colour_temperature=DAYLIGHT, exposure_ev=0.0, specular_intensity=0.0, shininess=10.0, pattern_type=None,
        pattern_opacity=0.0, pattern_blur=0.0, pattern_seed=0,
    )  # fmt: skip


def relit(scene: Scene, light: NewLight, surface: str) -> np.ndarray:
    """Linear HxWx3, what our code makes of the scene's photograph."""
    shaped = None
    if surface == "plane":
        shaped = scene.image, np.broadcast_to(FRONT, scene.image.shape).copy()
    photograph = Photograph(scene.image, scene.mask, shaped=shaped, is_balloon=surface == "balloon")
    made, _ = photograph.relit(light)
    return srgb_to_linear(made.whole())


def rendered(scene: Scene, light: NewLight) -> np.ndarray:
    """Linear HxWx3, what a camera would see."""
    direct = np.clip(scene.normals @ np.array(light.direction, np.float32), 0, 1)
    return scene.reflectance * (light.ambient + (1 - light.ambient) * direct)[..., np.newaxis]


def errors(found: np.ndarray, true: np.ndarray, mask: np.ndarray | None) -> tuple[float, float]:
    """si-MSE and 1 - SSIM inside the mask, both in light of one exposure."""
    inside = np.ones(true.shape[:2], bool) if mask is None else mask > 127
    scale = (found[inside] * true[inside]).sum() / (found[inside] ** 2).sum()
    error = float(((scale * found[inside] - true[inside]) ** 2).sum() / (true[inside] ** 2).sum())
    exposure = 0.6 / np.percentile(luminance(true)[inside], 99)
    one, other = (linear_to_srgb(exposure * picture) for picture in (scale * found, true))
    return error, 1 - ssim(one, other, mask)


def error_of_normals(scene: Scene) -> np.ndarray:
    """Degrees, of every pixel that is not of a plane that faces the camera."""
    grid = shrink_to_grid(scene.image)
    true = cv2.resize(scene.normals, grid.shape[1::-1], interpolation=cv2.INTER_AREA)
    true /= np.linalg.norm(true, axis=-1, keepdims=True)
    angle = np.degrees(np.arccos(np.clip((look_at_shapes(grid) * true).sum(axis=-1), -1, 1)))
    return angle[true[..., 2] < 0.98]


def main() -> None:
    cv2.setNumThreads(1)
    seeds = seeds_asked(__doc__)
    print(
        f"{'':<18}" + "".join(f"{name:>22}" for name in SURFACES) + f"{'to balloon':>12}{'to plane':>10}{'normals':>10}"
    )
    for family in FAMILIES:
        sums = {name: np.zeros(2) for name in SURFACES}
        angles = []
        for seed in seeds:
            scene = render(family, seed)
            light = new_light(np.random.default_rng(seed))
            for name in SURFACES:
                sums[name] += errors(relit(scene, light, name), rendered(scene, light), scene.mask)
            angles.append(error_of_normals(scene))
        means = {name: total / len(seeds) for name, total in sums.items()}
        shown = "".join(f"{mean[0]:>13.4f} / {mean[1]:.4f}" for mean in means.values())
        ratios = [means["network"][0] / means[name][0] for name in ("balloon", "plane")]
        note = "  not tuned on" if family in NOT_TUNED_ON else ""
        print(
            f"{family:<18}{shown}{ratios[0]:>12.2f}{ratios[1]:>10.2f}{np.median(np.concatenate(angles)):>9.1f}°{note}"
        )
    print("si-MSE / 1 - SSIM; goals: " + ", ".join(f"{goal} <= {bound:g}" for goal, bound in GOALS.items()))


if __name__ == "__main__":
    main()
