"""Take the light out of a photograph: a flattened image and the shading that was in it."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import rgb_of_cct, srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, shrink

WORKING_SIZE = 384  # the long side at which shading is found, in pixels; the constants below belong to it

# The axis of chromaticity along which light goes from cool to warm, a unit vector in log RGB.
WARM = np.log(rgb_of_cct(3000)) - np.log(rgb_of_cct(9000))
WARM -= WARM.mean()
WARM /= np.linalg.norm(WARM)


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

    The mean of two colour Retinexes, a strict and a lenient one, smoothed, and the illumination map of LIME. Each errs
    where the others do not, and their average, which takes out a little less than all, errs least. The weights
    were fitted on rendered scenes (tests/benchmarks/light.py).
    """
    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    shading = np.float32(0.82) * without_grain(retinex_shading(np.log(linear)))
    shading += np.float32(0.18) * lime_shading(linear)
    return shading - np.median(shading)


def retinex_shading(logarithm: np.ndarray) -> np.ndarray:
    """Log shading (HxW, mean 0) of the logarithm of a linear RGB image (HxWx3 float32), by two colour Retinexes."""
    brightness = logarithm.mean(axis=-1)
    strict, lenient = (
        within_the_picture(colour_retinex(logarithm, chroma_step, brightness_step), brightness)
        for chroma_step, brightness_step in ((0.03, 0.2), (0.08, 0.5))
    )
    return np.float32(0.5) * (strict + lenient)


def colour_retinex(logarithm: np.ndarray, chroma_step: float, brightness_step: float) -> np.ndarray:
    """Log shading by colour Retinex (Grosse et al., 2009): what neither a change of colour nor a strong edge explains.

    A step between neighbours belongs to the reflectance if the chromaticity changes by more than `chroma_step` or the
    brightness by more than `brightness_step` (natural logarithms); the reflectance is put together again from those
    steps alone. Where the darker side is also the cooler one, most of the change of colour is that of a warm light's
    shadow, which the sky fills, and does not count.
    """
    import cv2

    smooth = cv2.GaussianBlur(logarithm, (0, 0), 0.6)
    brightness = logarithm.mean(axis=-1)
    smooth_brightness = smooth.mean(axis=-1)
    chroma = smooth - smooth_brightness[..., np.newaxis]
    steps = []
    for axis in (1, 0):
        colour_change = np.diff(chroma, axis=axis)
        brightness_change = np.diff(smooth_brightness, axis=axis)
        warming = colour_change @ WARM
        counted = np.where(warming * brightness_change > 0, np.float32(0.1) * warming, warming)
        squared = (colour_change**2).sum(axis=-1) - warming**2 + counted**2
        is_reflectance = (squared > chroma_step**2) | (np.abs(brightness_change) > brightness_step)
        steps.append(np.diff(brightness, axis=axis) * is_reflectance)
    shading = brightness - integrate(*steps)
    return shading - shading.mean()


def within_the_picture(shading: np.ndarray, brightness: np.ndarray) -> np.ndarray:
    """The log shading with each of its frequencies between nothing and what the picture itself has there.

    Shading and reflectance add up to the picture and know nothing of each other, so the expected share of either
    in a frequency is between 0 and 1 (Wiener, 1949). Thresholded steps break that: on grass, whose blades rise
    slowly and fall sharply, they add up to a slope across the frame that the picture does not have.
    """
    from scipy.fft import dctn, idctn

    found = dctn(shading, norm="ortho")
    whole = dctn(brightness - brightness.mean(), norm="ortho")
    held = np.clip(found, np.minimum(whole, 0), np.maximum(whole, 0))
    return idctn(held, norm="ortho").astype(np.float32, copy=False)


def without_grain(shading: np.ndarray) -> np.ndarray:
    """The shading (HxW) without the reflectance's grain: a guided filter as strong as the grain (He et al., 2013)."""
    import cv2

    smooth = cv2.medianBlur(shading, 5)
    for _ in range(2):
        mean = cv2.blur(smooth, (17, 17))
        variance = np.maximum(cv2.blur(smooth * smooth, (17, 17)) - mean * mean, 0)
        smooth = cv2.ximgproc.guidedFilter(smooth, smooth, 8, 2 * float(np.median(variance)) + 0.002)
    return smooth


def lime_shading(linear: np.ndarray) -> np.ndarray:
    """Log shading (HxW, mean 0) by the map of LIME (Guo, Li and Ling, 2017): the brightest channel, refined."""
    import cv2

    brightest = cv2.dilate(linear.max(axis=-1), np.ones((15, 15), np.uint8))
    shading = np.log(np.clip(cv2.ximgproc.guidedFilter(linear, brightest, 30, 0.01), 0.02, 1))
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
