"""Painted surfaces for rendered scenes: the reflectance that flattening should give back."""

from functools import cache

import numpy as np

from shared.light.colour import srgb_to_linear

DARKEST_PAINT, BRIGHTEST = 0.03, 0.95  # of real surfaces: soot and snow


def noise(rng: np.random.Generator, size: int, sigma: float) -> np.ndarray:
    """Smooth noise, size x size float32 in 0..1, whose features are about `sigma` pixels."""
    import cv2

    field = rng.standard_normal((size, size)).astype(np.float32)
    field = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (field - field.min()) / (np.ptp(field) + 1e-9)


def colours(rng: np.random.Generator, count: int) -> np.ndarray:
    """Reflectances (count x 3) of everyday saturation, a fifth of them grey, which are hard for colour cues."""
    drawn = rng.uniform(0.06, 0.9, (count, 3))
    saturation = rng.beta(1.3, 1.6, (count, 1))
    drawn = drawn.mean(axis=1, keepdims=True) * (1 - saturation) + drawn * saturation
    grey = rng.random(count) < 0.2
    drawn[grey] = rng.uniform(0.05, 0.9, (int(grey.sum()), 1))
    return drawn.clip(DARKEST_PAINT, BRIGHTEST)


def mondrian(rng: np.random.Generator, size: int, patches: int = 60) -> np.ndarray:
    """Even patches with curved borders (after Land and McCann, 1971), size x size x 3."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    bend = (noise(rng, size, size / 21) - 0.5) * size / 6.4
    nearest = np.full((size, size), np.inf, np.float32)
    patch = np.zeros((size, size), int)
    for index, (y, x) in enumerate(rng.uniform(0, size, (patches, 2))):
        distance = (rows + bend - y) ** 2 + (columns - bend - x) ** 2
        patch[distance < nearest] = index
        nearest = np.minimum(nearest, distance)
    return colours(rng, patches)[patch].astype(np.float32)


def textured(rng: np.random.Generator, size: int) -> np.ndarray:
    """Patches with the grain of cloth or print on them, size x size x 3."""
    fine = noise(rng, size, 1.2)
    coarse = noise(rng, size, 5)
    fine, coarse = (fine - fine.mean()) / fine.std(), (coarse - coarse.mean()) / coarse.std()
    tint = rng.uniform(0.6, 1.4, 3).astype(np.float32)
    grain = np.exp(0.18 * fine[..., np.newaxis] * tint + 0.15 * coarse[..., np.newaxis])
    return (mondrian(rng, size, 25) * grain).clip(DARKEST_PAINT, BRIGHTEST)


def painted(rng: np.random.Generator, size: int) -> np.ndarray:
    """A picture taken in even light (a stained slide, brickwork, grass, gravel), as a print, size x size x 3."""
    import cv2

    prints = _prints()
    picture = prints[int(rng.integers(len(prints)))]
    shortest = min(picture.shape[:2])
    side = int(rng.uniform(0.6, 1.0) * shortest)
    top = int(rng.integers(picture.shape[0] - side + 1))
    left = int(rng.integers(picture.shape[1] - side + 1))
    crop = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    crop = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_AREA)
    return srgb_to_linear(crop).clip(DARKEST_PAINT, BRIGHTEST)


def plain_paint(rng: np.random.Generator, size: int) -> np.ndarray:
    """A few large, even patches, size x size x 3."""
    return mondrian(rng, size, 6)


@cache
def _prints() -> list[np.ndarray]:
    from skimage import data

    walls = (data.brick(), data.grass(), data.gravel())
    return [data.immunohistochemistry(), *(np.repeat(wall[..., np.newaxis], 3, axis=-1) for wall in walls)]
