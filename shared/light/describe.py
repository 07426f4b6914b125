"""Say what light a photograph was taken in: direction, hardness, colour temperature, key, contrast."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from shared.light.azimuth import azimuth_of
from shared.light.colour import cct_of_rgb, illuminant, lightness, luminance, srgb_to_linear
from shared.light.direction import Direction, contour_of, front_of
from shared.light.enlarge import shrink
from shared.light.network import Seen, look, shrink_to_grid
from shared.light.shading import SHADING_SIZE, enlarged

GREY_SPREAD = 6  # between the largest and smallest channel, of 255: a picture with no more is black and white
LOW_KEY, HIGH_KEY = 32.0, 68.0  # mean L* below and above which a picture is low or high key
MIDDLE_GREY = 0.18


@dataclass(frozen=True)
class Light:
    """The light in a photograph, as measured; what could not be told is None."""

    azimuth_degrees: float | None  # 0 = from the image's right, 90 = from above, counter-clockwise
    direction: str | None  # left, upper left, above, upper right, right, lower right, below, lower left, front
    hardness: float  # 0 (soft) to 1 (hard)
    cct_kelvin: float | None  # correlated colour temperature of the light, 1800 to 15000; None: the picture is grey
    key: Literal["low", "mid", "high"]
    contrast: float  # stops between the 2nd and the 98th percentile of luminance
    exposure_ev: float  # stops of the mean (geometric) luminance above middle grey
    confidence: float  # 0 to 1, of the direction; it is claimed from 0.5

    def as_dict(self) -> dict[str, Any]:
        """The values as JSON, rounded to what they are good for."""
        digits = {"azimuth_degrees": 1, "hardness": 3, "cct_kelvin": 0, "contrast": 2, "exposure_ev": 2}
        fields = asdict(self)
        return {
            name: round(value, digits.get(name, 3)) if isinstance(value, float) else value
            for name, value in fields.items()
        }


def describe(photograph: np.ndarray, mask: np.ndarray | None = None) -> Light:
    """Measure the light of a uint8 RGB photograph (HxWx3).

    `mask` (HxW uint8, 0..255) is the subject, whose contour tells light from the camera.
    """
    small = shrink(photograph, SHADING_SIZE)
    subject = None if mask is None else shrink(mask, SHADING_SIZE) > 127
    if subject is not None and not subject.any():
        subject = None

    grid = shrink_to_grid(small)
    seen = look(grid)
    direction = _direction(small, grid, seen, subject)
    y = luminance(srgb_to_linear(small))
    dark, bright = np.percentile(y, (2, 98)) + 1 / 4096
    mean_lightness = float(lightness(y).mean())
    return Light(
        azimuth_degrees=direction.azimuth_degrees,
        direction=direction.word,
        hardness=seen.hardness,
        cct_kelvin=None if is_grey(small) else cct_of_rgb(illuminant(small)),
        key="low" if mean_lightness < LOW_KEY else "high" if mean_lightness > HIGH_KEY else "mid",
        contrast=float(np.log2(bright / dark)),
        exposure_ev=float(np.mean(np.log2((y + 1 / 4096) / MIDDLE_GREY))),
        confidence=direction.confidence,
    )


def is_grey(photograph: np.ndarray) -> bool:
    """Whether a uint8 RGB photograph is black and white, but for what compression adds: its light's colour is not told."""
    spread = photograph.max(axis=2) - photograph.min(axis=2)
    return bool(np.percentile(spread, 99.5) <= GREY_SPREAD)


def _direction(small: np.ndarray, grid: np.ndarray, seen: Seen, subject: np.ndarray | None) -> Direction:
    if subject is not None:
        log_shading = enlarged(seen.log_shading, grid, small)
        contour = contour_of(log_shading, small, subject)
        if contour is not None and (front := front_of(log_shading, small, subject, contour)):
            return front
    return azimuth_of(seen.towards_light)
