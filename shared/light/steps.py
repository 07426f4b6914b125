"""How brightness and colour change from pixel to pixel, and which of these changes light may have made."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import rgb_of_cct, srgb_to_linear
from shared.light.direction import BLACK, CLIPPED
from shared.light.enlarge import DARKEST

SCALES = (1, 2, 4)  # sigmas in pixels of a photograph of 384 pixels

# Log RGB as brightness, the chromaticity from cool to warm light, and what is left of chromaticity.
_WARM = np.log(rgb_of_cct(3000)) - np.log(rgb_of_cct(9000))
_WARM -= _WARM.mean()
_WARM /= np.linalg.norm(_WARM)
_AXES = np.stack([np.full(3, 1 / 3), _WARM, np.cross(np.full(3, 3**-0.5), _WARM)], axis=1).astype(np.float32)


class Steps(NamedTuple):
    """Changes per pixel of a log image blurred by `scale`; each HxW float32, in natural logarithms."""

    scale: int
    across: np.ndarray  # of brightness, to the right
    up: np.ndarray
    size: np.ndarray  # their length
    colour: np.ndarray  # of chromaticity, as far as light does not explain it
    usable: np.ndarray  # HxW bool: neither clipped nor black within two sigmas


def steps_of(photograph: np.ndarray) -> dict[int, Steps]:
    """The steps of a small uint8 RGB photograph (HxWx3) at each of the scales.

    Logarithms, so that exposure cancels; clipped pixels are left out. Where the darker side is also the cooler one,
    most of the change of colour is that of a warm light's shadow, which the sky fills, and does not count.
    """
    import cv2

    logarithm = np.log(np.maximum(srgb_to_linear(photograph), DARKEST))
    planes = cv2.transform(logarithm, np.ascontiguousarray(_AXES.T))
    brightest = photograph.max(axis=-1)
    usable = ((brightest < CLIPPED) & (brightest > BLACK)).astype(np.uint8)
    found = {}
    for scale in SCALES:
        smooth = cv2.GaussianBlur(planes, (0, 0), scale)
        across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
        up = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1, scale=-0.5)
        square = across * across + up * up
        light_warms = across[..., 1] * across[..., 0] + up[..., 1] * up[..., 0] > 0
        colour = square[..., 2] + square[..., 1] * np.where(light_warms, np.float32(0.04), np.float32(1))
        far = cv2.erode(usable, np.ones((4 * scale + 1, 4 * scale + 1), np.uint8)).view(bool)
        found[scale] = Steps(
            scale,
            np.ascontiguousarray(across[..., 0]),
            np.ascontiguousarray(up[..., 0]),
            np.sqrt(square[..., 0]),
            np.sqrt(colour),
            far,
        )
    return found
