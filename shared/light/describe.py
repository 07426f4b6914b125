"""Say what light a photograph was taken in: direction, hardness, colour temperature, key, contrast, source."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from shared.decoding.shot import Shot
from shared.light.agreement import is_colour_sure, is_warm
from shared.light.azimuth import azimuth_of
from shared.light.backdrop import NO_BACKDROP, look_behind
from shared.light.colour import (
    cct_of_rgb,
    illuminant,
    is_grey,
    lightness,
    luminance,
    srgb_to_linear,
)
from shared.light.direction import Direction, contour_of, front_of
from shared.light.enlarge import shrink
from shared.light.glance import Glance
from shared.light.haze import is_hazy
from shared.light.lamps import SEVERAL, count_lamps
from shared.light.network import Seen, look, shrink_to_grid
from shared.light.night import is_night
from shared.light.outline import Outline, outline_of
from shared.light.shading import SHADING_SIZE, enlarged
from shared.light.shadows import Shadows, shadows_of
from shared.light.sights import Pattern, Sights, look_around
from shared.light.sky import NO_SKY, Sky, Weather, look_up
from shared.light.source import LightSource, light_source_of
from shared.light.tinge import Tinge, tinge_of

LOW_KEY, HIGH_KEY = 32.0, 74.0  # mean L* below and above which a picture is low or high key
MIDDLE_GREY = 0.18
PORTRAIT = 0.3  # share of the frame that its subject takes


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
    is_colour_sure: bool = (
        False  # other estimators agree with cct_kelvin, and something in the picture would be neutral
    )
    weather: Weather | None = None  # and time of day, as far as a sky tells
    has_sun: bool = False  # in the frame
    is_backlit: bool = False
    # By the shadows that are seen, or are not; `hardness` is a network's, which knows rendered pictures.
    shadows: Shadows | None = None
    tinge: Tinge | None = None  # a colour that lies on all of it
    is_lit_alone: bool = False  # the subject, and nothing behind it, as by a flash
    source: LightSource | None = None  # as the camera noted it, or by what is seen
    outline: Outline | None = None  # what a light behind it leaves of the subject
    pattern: Pattern | None = None  # that the light lays on things

    def as_dict(self) -> dict[str, Any]:
        """The values as JSON, rounded to what they are good for."""
        digits = {"azimuth_degrees": 1, "hardness": 3, "cct_kelvin": 0, "contrast": 2, "exposure_ev": 2}
        fields = asdict(self)
        return {
            name: round(value, digits.get(name, 3)) if isinstance(value, float) else value
            for name, value in fields.items()
        }


def describe(photograph: np.ndarray, mask: np.ndarray | None = None, shot: Shot | None = None) -> Light:
    """Measure the light of a uint8 RGB photograph (HxWx3).

    `mask` (HxW uint8, 0..255) is the subject, whose contour tells light from the camera; `shot` is what the camera noted.
    """
    small = shrink(photograph, SHADING_SIZE)
    subject = None if mask is None else shrink(mask, SHADING_SIZE) > 127
    if subject is not None and not subject.any():
        subject = None

    grid = shrink_to_grid(small)
    seen, sights = look(grid), look_around(small)
    direction = _direction(small, grid, seen, subject)
    linear = srgb_to_linear(small)
    y = luminance(linear)
    dark, bright = np.percentile(y, (2, 98)) + 1 / 4096
    shades = lightness(y)
    contrast = float(np.log2(bright / dark))
    kelvin = None if is_grey(small) else cct_of_rgb(illuminant(small))
    glance = Glance.of(small)
    within = None if subject is None else glance.shrunk(subject)
    sky = _sky(small, glance, subject, shot, sights if kelvin else None)
    backdrop = NO_BACKDROP if within is None else look_behind(glance, within)
    tinge = _tinge(glance, sky)
    if tinge is None and kelvin and sights.is_warm and not _is_portrait(subject):  # skin is warm in every light
        tinge = "warm" if is_warm(linear, kelvin, seen) else None
    source = light_source_of(shot, sky.weather)
    if source is None and kelvin and not backdrop.is_dark and not (shot and shot.has_flash):
        source = _source_seen(glance, within, sky, tinge, sights)
    return Light(
        azimuth_degrees=direction.azimuth_degrees,
        direction=direction.word,
        hardness=seen.hardness,
        cct_kelvin=kelvin,
        key=_key_of(float(shades.mean())),
        contrast=contrast,
        exposure_ev=float(np.mean(np.log2((y + 1 / 4096) / MIDDLE_GREY))),
        confidence=direction.confidence,
        is_colour_sure=kelvin is not None and is_colour_sure(linear, kelvin, seen),
        weather=sky.weather,
        has_sun=sky.has_sun,
        is_backlit=sky.is_backlit,
        shadows=shadows_of(glance, sky, backdrop, contrast),
        tinge=tinge,
        is_lit_alone=backdrop.is_dark,
        source=source,
        outline=None if sky.weather == "hazy" else outline_of(glance, shades, subject, sky.is_backlit),
        pattern=sights.pattern,
    )


def _sky(
    small: np.ndarray, glance: Glance, subject: np.ndarray | None, shot: Shot | None, sights: Sights | None
) -> Sky:
    """The sky, and the weather and the hour as far as the air, the lights below and what is seen (if in colour) tell it."""
    # Behind somebody who fills the frame, what is even and blue or white is a wall more often than a sky.
    is_portrait = _is_portrait(subject)
    sky = NO_SKY if is_portrait else look_up(glance)
    if sights and sights.is_golden and sky.weather in (None, "clear"):
        return sky._replace(weather="golden", is_sunlit=False)
    if is_portrait or (sky.weather == "clear" and sights and not sights.may_be_day):
        return NO_SKY
    is_black = sky.is_black and not (shot and shot.has_flash)  # which leaves all that is far away black
    if (sights is None or sights.may_be_night) and is_night(small, glance.lightness, is_black):
        return sky._replace(weather="night")
    if sky.weather in (None, "overcast") and is_hazy(glance):
        return sky._replace(weather="hazy")
    return sky


def _source_seen(
    glance: Glance, subject: np.ndarray | None, sky: Sky, tinge: Tinge | None, sights: Sights
) -> LightSource | None:
    """Lamps or a window where they are seen, or daylight; None where the sky says enough."""
    if sky.weather is not None:
        return None
    # What shines behind somebody who fills the frame is metal or glass more often than a lamp.
    if sights.may_be_lamps and not _is_portrait(subject) and (lamps := count_lamps(glance, subject)):
        return "lamp" if lamps < SEVERAL else "lamps"
    if sights.is_lit_by_window:
        return "window"
    return "daylight" if sights.is_daylight and tinge != "neon" else None


def _key_of(mean_lightness: float) -> Literal["low", "mid", "high"]:
    return "low" if mean_lightness < LOW_KEY else "high" if mean_lightness > HIGH_KEY else "mid"


def _is_portrait(subject: np.ndarray | None) -> bool:
    return subject is not None and float(subject.mean()) >= PORTRAIT


def _tinge(glance: Glance, sky: Sky) -> Tinge | None:
    """A tinge that does not come from the sky alone, which may be blue or violet."""
    tinge = tinge_of(glance) if sky.weather not in ("clear", "golden", "sunset") else None
    return None if tinge == "neon" and sky.weather == "dusk" else tinge


def _direction(small: np.ndarray, grid: np.ndarray, seen: Seen, subject: np.ndarray | None) -> Direction:
    if subject is not None:
        log_shading = enlarged(seen.log_shading, grid, small)
        contour = contour_of(log_shading, small, subject)
        if contour is not None and (front := front_of(log_shading, small, subject, contour)):
            return front
    return azimuth_of(seen.towards_light)
