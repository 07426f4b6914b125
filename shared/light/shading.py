"""Take the light out of a photograph: a flattened image and the shading that was in it."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import illuminant, is_grey, neutral_share, srgb_to_linear, strongest_channel, usable_colours
from shared.light.enlarge import DARKEST, GuidedMap, bands, shrink
from shared.light.network import AXES, look, look_at_shapes, shrink_to_grid

SHADING_SIZE = 384  # the long side at which shading is handed on, in pixels
MORE_NEUTRAL = 0.03  # share of a picture that is grey already: its light is white, whatever else is seen
NOISE = 0.004  # linear light at which half of the shading is believed: what is darker is noise, and its colour chance
DOUBT = 0.03  # standard deviation (natural logarithm) of the shading that is seen where there is none


class Flattened(NamedTuple):
    """What flatten() found: the image in even light and the natural logarithm of the shading."""

    image: np.ndarray  # HxWx3 float32, linear light
    log_shading: np.ndarray  # HxWx3 float32; image * exp(log_shading) is the photograph


def flatten(photograph: np.ndarray) -> Flattened:
    """Divide the light out of a uint8 RGB photograph (HxWx3): its falls and shadows, and its colour."""
    shading = shading_map(photograph)
    height, width = photograph.shape[:2]
    log_shading = np.concatenate([shading.rows(photograph, rows) for rows in bands(height, width)])
    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    return Flattened(linear * np.exp(-log_shading), log_shading)


def shading_map(photograph: np.ndarray) -> GuidedMap:
    """The log shading of a uint8 RGB photograph, found at the working size, to be had at full size by rows."""
    small = shrink(photograph, SHADING_SIZE)
    return GuidedMap(light_in(small).log_shading, small, *photograph.shape[:2])


class SeenLight(NamedTuple):
    """What look() sees in a small photograph, at its size."""

    log_shading: np.ndarray  # HxWx3 float32, natural logarithm of the light in red, green and blue; the median is 0
    towards_light: np.ndarray  # to the right and up, as shared.light.network.Seen has it


def light_in(photograph: np.ndarray) -> SeenLight:
    """The light in a small uint8 RGB photograph; that in a black-and-white one has no colour."""
    grid = shrink_to_grid(photograph)
    seen = look(grid)
    log_shading = enlarged(believed(seen.log_shading), grid, photograph)
    tint = np.zeros(3, np.float32)
    if not is_grey(photograph):
        tint = agreed_tint(seen.log_tint, np.log(illuminant(photograph)))
        if has_neutrals(photograph, np.exp(tint)):
            tint = np.zeros(3, np.float32)
    log_light = (log_shading - np.median(log_shading))[..., np.newaxis] + tint
    return SeenLight(log_light * share_above_black(photograph), seen.towards_light)


def shapes_in(photograph: np.ndarray) -> np.ndarray:
    """Normals (HxWx3 float32: right, up, towards the camera) of what a small uint8 RGB photograph shows."""
    grid = shrink_to_grid(photograph)
    return enlarged(look_at_shapes(grid), grid, photograph)


def share_above_black(photograph: np.ndarray) -> np.ndarray:
    """HxWx1 float32: near 0 where a uint8 RGB photograph (HxWx3) is black, 1 where it can be seen what it shows."""
    light = srgb_to_linear(strongest_channel(photograph))[..., np.newaxis] ** 2
    return light / (light + np.float32(NOISE**2))


def agreed_tint(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """What two estimates of the natural logarithm of a light's RGB have in common, without brightness, 3 float32.

    Along each axis of chromaticity the smaller of two that lie on one side of white, else nothing: most cameras have
    balanced the light's colour already.
    """
    axes = AXES[:, 1:]
    first, second = one @ axes, other @ axes
    return (np.where(first * second > 0, np.sign(first) * np.minimum(abs(first), abs(second)), 0) @ axes.T).astype(
        np.float32
    )


def has_neutrals(photograph: np.ndarray, light: np.ndarray) -> bool:
    """Whether more of a uint8 RGB photograph (HxWx3) is next to grey as it is than it would be in this light (linear RGB)."""
    usable = usable_colours(srgb_to_linear(photograph))
    return neutral_share(usable, np.ones(3, np.float32)) > neutral_share(usable, light) + MORE_NEUTRAL


def believed(log_shading: np.ndarray) -> np.ndarray:
    """The log shading that was seen without the share of it that doubt alone would make (James and Stein, 1961)."""
    variance = float(log_shading.var())
    return log_shading * np.float32(max(0.0, 1 - DOUBT**2 / max(variance, 1e-12)))


def enlarged(seen: np.ndarray, grid: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """A map that look() sees in `grid` (HxW or HxWx3), at the size of the small uint8 RGB photograph it is a copy of."""
    height, width = photograph.shape[:2]
    shading = GuidedMap(seen, grid, height, width, radius=2)
    return shading.rows(photograph, slice(0, height))
