"""Take the light out of a photograph: a flattened image and the shading that was in it."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, shrink
from shared.light.network import look, shrink_to_grid

SHADING_SIZE = 384  # the long side at which shading is handed on, in pixels
DOUBT = 0.03  # standard deviation (natural logarithm) of the shading that is seen where there is none


class Flattened(NamedTuple):
    """What flatten() found: the image in even light and the natural logarithm of the shading."""

    image: np.ndarray  # HxWx3 float32, linear light
    log_shading: np.ndarray  # HxW float32; image * exp(log_shading) is the photograph


def flatten(photograph: np.ndarray) -> Flattened:
    """Divide the shading out of a uint8 RGB photograph (HxWx3), colours kept."""
    shading = shading_map(photograph)
    height, width = photograph.shape[:2]
    log_shading = np.concatenate([shading.rows(photograph, rows) for rows in bands(height, width)])
    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    return Flattened(linear * np.exp(-log_shading)[..., np.newaxis], log_shading)


def shading_map(photograph: np.ndarray) -> GuidedMap:
    """The log shading of a uint8 RGB photograph, found at the working size, to be had at full size by rows."""
    small = shrink(photograph, SHADING_SIZE)
    return GuidedMap(shading_of(small), small, *photograph.shape[:2])


def shading_of(photograph: np.ndarray) -> np.ndarray:
    """Natural logarithm of the shading, HxW float32 with median 0, of a small uint8 RGB photograph."""
    grid = shrink_to_grid(photograph)
    log_shading = enlarged(believed(look(grid).log_shading), grid, photograph)
    return log_shading - np.median(log_shading)


def believed(log_shading: np.ndarray) -> np.ndarray:
    """The log shading that was seen without the share of it that doubt alone would make (James and Stein, 1961)."""
    variance = float(log_shading.var())
    return log_shading * np.float32(max(0.0, 1 - DOUBT**2 / max(variance, 1e-12)))


def enlarged(log_shading: np.ndarray, grid: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """The log shading that look() sees in `grid`, at the size of the small uint8 RGB photograph it is a copy of, HxW."""
    height, width = photograph.shape[:2]
    shading = GuidedMap(log_shading, grid, height, width, radius=2)
    return shading.rows(photograph, slice(0, height))
