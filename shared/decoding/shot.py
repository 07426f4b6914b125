"""What the camera noted as it took a photograph, of what tells about the light: its flash, and how much light there was."""

import math
from typing import NamedTuple

from shared.decoding.exif import numbers_in

EXIF, EXPOSURE_TIME, APERTURE, SENSITIVITY, FLASH = 0x8769, 0x829A, 0x829D, 0x8827, 0x9209  # tags of Exif 3.0
FIRED, RETURN, NOT_RETURNED = 0b1, 0b110, 0b100  # bits of FLASH; the camera may have seen that nothing came back


class Shot(NamedTuple):
    """How a photograph was taken."""

    has_flash: bool  # it fired, and the camera did not see that its light was lost
    exposure_seconds: float | None
    exposure_value: float | None  # in stops at ISO 100: 15 in the sun, 12 below clouds, 5 to 8 in lamplit rooms


def shot_of(exif: bytes) -> Shot | None:
    """Of an Exif block, with or without `Exif\\0\\0` before it; None where nothing of it is told."""
    told = numbers_in(exif, (EXPOSURE_TIME, APERTURE, SENSITIVITY, FLASH), inside=EXIF)
    # A lens without electronics notes an aperture of 0.
    seconds, aperture, sensitivity = (max(told.get(tag, 0.0), 0.0) for tag in (EXPOSURE_TIME, APERTURE, SENSITIVITY))
    value = None
    if seconds and aperture and sensitivity:
        value = math.log2(aperture**2 / seconds) - math.log2(sensitivity / 100)
    flash = int(told.get(FLASH, 0))
    has_flash = bool(flash & FIRED) and flash & RETURN != NOT_RETURNED
    return Shot(has_flash, seconds or None, value) if seconds or FLASH in told else None
