"""Take the light out of a photograph: a flattened image and the shading that was in it."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, shrink

WORKING_SIZE = 384  # the long side at which shading is found, in pixels; the constants below belong to it


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
    small = shrink(photograph, WORKING_SIZE)
    return GuidedMap(shading_of(small), small, *photograph.shape[:2])


def shading_of(photograph: np.ndarray) -> np.ndarray:
    """Natural logarithm of the shading, HxW float32 with median 0, of a small uint8 RGB photograph.

    Colour Retinex (0.7) and the illumination map of LIME (0.3) averaged in the logarithm, then smoothed by
    a guided filter that keeps the shading's own edges.
    """
    import cv2

    logarithm = np.log(np.maximum(srgb_to_linear(photograph), DARKEST))
    shading = np.float32(0.7) * retinex_shading(logarithm) + np.float32(0.3) * lime_shading(photograph)
    shading = cv2.ximgproc.guidedFilter(shading, shading, 6, 0.02)
    return shading - np.median(shading)


def retinex_shading(
    logarithm: np.ndarray, chroma_step: float = 0.04, brightness_step: float = 0.3
) -> np.ndarray:
    """Log shading by colour Retinex (Grosse et al., 2009): what neither colour nor a strong edge explains.

    `logarithm` is the natural logarithm of linear RGB, HxWx3. A step between neighbours belongs to the
    reflectance if the chromaticity changes by more than `chroma_step` or the brightness by more than
    `brightness_step`; the reflectance is put together again from those steps alone (Poisson, Neumann border).
    """
    import cv2

    smooth = cv2.GaussianBlur(logarithm, (0, 0), 0.6)
    brightness = logarithm.mean(axis=-1)
    smooth_brightness = smooth.mean(axis=-1)
    chroma = smooth - smooth_brightness[..., np.newaxis]
    steps = []
    for axis in (1, 0):
        colour_change = np.sqrt((np.diff(chroma, axis=axis) ** 2).sum(axis=-1))
        brightness_change = np.abs(np.diff(smooth_brightness, axis=axis))
        is_reflectance = (colour_change > chroma_step) | (brightness_change > brightness_step)
        steps.append(np.diff(brightness, axis=axis) * is_reflectance)
    shading = brightness - integrate(*steps)
    return shading - shading.mean()


def lime_shading(photograph: np.ndarray) -> np.ndarray:
    """Log shading by the illumination map of LIME (Guo, Li and Ling, 2017): the brightest channel, refined."""
    import cv2

    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    brightest = cv2.dilate(linear.max(axis=-1), np.ones((15, 15), np.uint8))
    shading = np.log(np.clip(cv2.ximgproc.guidedFilter(linear, brightest, 30, 1e-3), 0.02, 1))
    return shading - shading.mean()


def integrate(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The image (HxW, mean 0) whose steps come nearest to `across` (Hx(W-1)) and `down` ((H-1)xW).

    The Poisson equation with Neumann borders, solved by the cosine transform (Frankot and Chellappa, 1988;
    Simchony et al., 1990).
    """
    from scipy.fft import dctn, idctn

    height, width = across.shape[0], down.shape[1]
    divergence = np.zeros((height, width), np.float32)
    divergence[:, :-1] -= across
    divergence[:, 1:] += across
    divergence[:-1] -= down
    divergence[1:] += down
    frequency = (2 - 2 * np.cos(np.pi * np.arange(height) / height))[:, np.newaxis] + (
        2 - 2 * np.cos(np.pi * np.arange(width) / width)
    )
    frequency[0, 0] = 1
    spectrum = dctn(divergence, norm="ortho") / frequency.astype(np.float32)
    spectrum[0, 0] = 0
    return idctn(spectrum, norm="ortho").astype(np.float32, copy=False)
