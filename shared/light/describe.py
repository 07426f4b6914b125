"""Say what light a photograph was taken in: direction, hardness, colour temperature, key, contrast."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from shared.light.colour import cct_of_rgb, illuminant, lightness, luminance, srgb_to_linear
from shared.light.direction import direction_of
from shared.light.enlarge import shrink
from shared.light.flatten import WORKING_SIZE, shading_of

LOW_KEY, HIGH_KEY = 32.0, 68.0  # mean L* below and above which a picture is low or high key
MIDDLE_GREY = 0.18


@dataclass(frozen=True)
class Light:
    """The light in a photograph, as measured; what could not be told is None."""

    azimuth_degrees: float | None  # 0 = from the image's right, 90 = from above, counter-clockwise
    direction: str | None  # left, upper left, above, upper right, right, lower right, below, lower left, front
    hardness: float  # 0 (soft) to 1 (hard)
    cct_kelvin: float  # correlated colour temperature of the light, 1800 to 15000
    key: Literal["low", "mid", "high"]
    contrast: float  # stops between the 2nd and the 98th percentile of luminance
    exposure_ev: float  # stops of the mean (geometric) luminance above middle grey
    confidence: float  # 0 to 1, of the direction; it is claimed from 0.5

    def as_dict(self) -> dict[str, Any]:
        """The values as JSON, rounded to what they are good for."""
        digits = {"azimuth_degrees": 1, "hardness": 3, "cct_kelvin": 0, "contrast": 2, "exposure_ev": 2}
        found = asdict(self)
        return {
            name: round(value, digits.get(name, 3)) if isinstance(value, float) else value
            for name, value in found.items()
        }


def describe(photograph: np.ndarray, mask: np.ndarray | None = None, log_shading: np.ndarray | None = None) -> Light:
    """Measure the light of a uint8 RGB photograph (HxWx3).

    `mask` (HxW uint8, 0..255) is the subject, whose contour tells the direction best. `log_shading` saves the
    work of finding it where shading_of() was called on the same photograph, shrunk to the working size.
    """
    small = shrink(photograph, WORKING_SIZE)
    if log_shading is None:
        log_shading = shading_of(small)
    subject = None if mask is None else shrink(mask, WORKING_SIZE) > 127
    if subject is not None and not subject.any():
        subject = None

    found = direction_of(log_shading, small, subject)
    y = luminance(srgb_to_linear(small))
    dark, bright = np.percentile(y, (2, 98)) + 1 / 4096
    mean_lightness = float(lightness(y).mean())
    return Light(
        azimuth_degrees=found.azimuth_degrees,
        direction=found.word,
        hardness=hardness_of(log_shading),
        cct_kelvin=cct_of_rgb(illuminant(small)),
        key="low" if mean_lightness < LOW_KEY else "high" if mean_lightness > HIGH_KEY else "mid",
        contrast=float(np.log2(bright / dark)),
        exposure_ev=float(np.mean(np.log2((y + 1 / 4096) / MIDDLE_GREY))),
        confidence=found.confidence,
    )


def hardness_of(log_shading: np.ndarray) -> float:
    """0 (soft) to 1 (hard): how much steeper the steepest shading is than its blurred copy, on a logistic scale.

    Blurring takes nothing from a shadow with a broad penumbra and much from one with a sharp edge. 0.5 stands
    where soft and hard light divide best on rendered scenes; a photograph's texture blurs the line.
    """
    sharp, blurred = (_steepness(log_shading, sigma) for sigma in (2, 6))
    steepest = blurred >= np.percentile(blurred, 97)
    if float(blurred[steepest].mean()) < 2e-4:
        return 0.0  # even light has no edge, only noise
    ratio = float((sharp[steepest] / (blurred[steepest] + 1e-6)).mean())
    return float(1 / (1 + np.exp(-(ratio - 1.47) / 0.11)))


def _steepness(log_shading: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    smooth = cv2.GaussianBlur(log_shading, (0, 0), sigma)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1)
    return np.hypot(across, down) / 2
