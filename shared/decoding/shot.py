"""What the camera noted as it took a photograph, of what tells about the light: its flash, and how much light there was."""

import math
from typing import NamedTuple

from PIL import Image

EXIF, EXPOSURE_TIME, APERTURE, SENSITIVITY, FLASH = 0x8769, 0x829A, 0x829D, 0x8827, 0x9209  # tags of Exif 3.0
FIRED, RETURN, NOT_RETURNED = 0b1, 0b110, 0b100  # bits of FLASH; the camera may have seen that nothing came back


class Shot(NamedTuple):
    """How a photograph was taken."""

    has_flash: bool  # it fired, and the camera did not see that its light was lost
    exposure_seconds: float | None
    exposure_value: float | None  # in stops at ISO 100: 15 in the sun, 12 below clouds, 5 to 8 in lamplit rooms


def shot_of(exif: bytes) -> Shot | None:
    """Of an Exif block, with or without `Exif\\0\\0` before it; None where nothing of it is told."""
    try:
        block = Image.Exif()
        block.load(exif)
        told = block.get_ifd(EXIF)
    except Exception:  # of damaged bytes Pillow may raise anything
        return None
    seconds, aperture = positive_number(told.get(EXPOSURE_TIME)), positive_number(told.get(APERTURE))
    sensitivity, flash = positive_number(told.get(SENSITIVITY)), told.get(FLASH)
    value = None
    if seconds and aperture and sensitivity:
        value = math.log2(aperture**2 / seconds) - math.log2(sensitivity / 100)
    has_flash = isinstance(flash, int) and bool(flash & FIRED) and flash & RETURN != NOT_RETURNED
    return Shot(has_flash, seconds, value) if seconds or isinstance(flash, int) else None


def positive_number(told: object) -> float | None:
    """A positive number, of a value or the first of several; None for all else, as lenses without electronics note."""
    first = told[0] if isinstance(told, (tuple, list)) and told else told
    try:
        value = float(first)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return value if math.isfinite(value) and value > 0 else None
