"""Rendered scenes that are lit from one side after another: what relighting by instruction can be measured on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.light.colour import linear_to_srgb, luminance
from shared.light.direction import WORDS
from shared.light.scenes.reflectances import colours, mondrian
from shared.light.scenes.scenes import FRONT, height_field
from shared.light.scenes.solids import trace
from shared.light.surface import normals_of

SIDES = ("front", *WORDS)


@dataclass
class PaintedSurface:
    """A scene before light falls on it."""

    reflectance: np.ndarray  # HxWx3 float32
    normals: np.ndarray  # HxWx3 float32: right, up, towards the camera
    elevation: float  # radians of a light from a side above the image's plane
    ambient: float  # share of the light that comes from everywhere
    fall: float  # of a light from a side across the image, 0 where it is far away

    def lit(self, side: str) -> np.ndarray:
        """HxWx3 uint8, in light from one of SIDES, by Lambert's law; as bright in the mean from every side."""
        front, lit = (self.reflectance * self.shading(each)[..., np.newaxis] for each in ("front", side))
        # What faces a light from the side is brighter than anything was from the front: it needs room above.
        exposure = 0.6 / np.percentile(front.max(axis=-1), 99.5)
        return linear_to_srgb(lit * (exposure * luminance(front).mean() / luminance(lit).mean()))

    def shading(self, side: str) -> np.ndarray:
        """HxW float32, ambient light and that of one lamp."""
        light = FRONT if side == "front" else vector_of(side, self.elevation)
        direct = np.clip(self.normals @ light, 0, 1)
        if side != "front" and self.fall:
            direct = direct * np.exp(self.fall * slope_towards(light, *direct.shape))
        return (self.ambient + (1 - self.ambient) * direct).astype(np.float32)


def draw_surface(family: str, rng: np.random.Generator, size: int) -> PaintedSurface:
    """A scene of a family in SURFACES, size x size pixels."""
    reflectance, normals, fall = SURFACES[family](rng, size)
    return PaintedSurface(
        reflectance.astype(np.float32), normals, rng.uniform(0.45, 0.75), rng.uniform(0.12, 0.25), fall
    )


Drawn = tuple[np.ndarray, np.ndarray, float]


def patches(rng: np.random.Generator, size: int) -> Drawn:
    """Even patches on a plane, beside a lamp so near that its light falls off across them."""
    return mondrian(rng, size), np.broadcast_to(FRONT, (size, size, 3)), rng.uniform(0.8, 1.3)


def relief(rng: np.random.Generator, size: int) -> Drawn:
    """A rolling surface with bumps, painted in patches."""
    return mondrian(rng, size, 12), normals_of(height_field(rng, size)).astype(np.float32), 0.0


def solids_surface(rng: np.random.Generator, size: int) -> Drawn:
    """Spheres, boxes and capsules before a wall; they throw no shadows."""
    seen = trace(rng, size, FRONT, sharpness=1, has_shadows=False)
    return colours(rng, int(seen.solid.max()) + 1)[seen.solid], seen.normals.astype(np.float32), 0.0


SURFACES: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "patches": patches,
    "relief": relief,
    "solids": solids_surface,
}


def azimuth_of_side(side: str) -> float:
    """Degrees: 0 = from the image's right, 90 = from above, counter-clockwise."""
    return 45.0 * WORDS.index(side)


def vector_of(side: str, elevation: float) -> np.ndarray:
    azimuth = np.radians(azimuth_of_side(side))
    level = np.cos(elevation)
    return np.array([np.cos(azimuth) * level, np.sin(azimuth) * level, np.sin(elevation)], np.float32)


def slope_towards(light: np.ndarray, height: int, width: int) -> np.ndarray:
    """HxW, rising towards the light, from about -1 to 1."""
    rows, columns = np.mgrid[:height, :width]
    slope = (columns / width - 0.5) * light[0] - (rows / height - 0.5) * light[1]
    return 2 * slope / np.hypot(light[0], light[1])
