"""What light a photograph was taken by, as far as its camera noted it or what it shows tells."""

from typing import Literal

from shared.decoding.shot import Shot
from shared.light.sky import Weather

LightSource = Literal["flash", "daylight", "window", "lamp", "lamps"]
# Stops at ISO 100, as metered: above the first a flash does no more than fill shadows, and from the second on it is day.
MOST_BY_FLASH, LEAST_DAYLIGHT = 11.5, 12.5
STUDIO_SECONDS = 1 / 250  # a studio's flash is as bright, but needs a shutter that stays open longer
OUTDOORS = ("clear", "overcast", "hazy", "golden", "sunset", "dusk")


def light_source_of(shot: Shot | None, weather: Weather | None) -> LightSource | None:
    """As the camera noted it.

    None, too, under a sky that tells its weather: a flash reaches little of what is seen there, and daylight needs no word.
    """
    if shot is None or shot.exposure_value is None or shot.exposure_seconds is None or weather in OUTDOORS:
        return None
    if shot.has_flash:
        return "flash" if shot.exposure_value < MOST_BY_FLASH else None
    is_bright = shot.exposure_value >= LEAST_DAYLIGHT and shot.exposure_seconds < STUDIO_SECONDS
    return "daylight" if is_bright and weather is None else None
