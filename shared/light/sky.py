"""What the sky of a photograph tells of its light: weather, time of day, a sun in the frame, and what stands against it."""

from typing import Literal, NamedTuple

import numpy as np

from shared.light.colour import weakest_channel
from shared.light.glance import Glance

SMOOTH = 2.5  # steps of CIELAB per pixel; what changes faster is no sky
CLOUDS_REACH = 0.12  # of the picture's height, from the smooth part of a sky
CLOUDS_SLOPE = 6.0  # as SMOOTH
MOST_BEFORE_SUN = 30.0  # lightness of what stands before a sun: a camera that shows it shows all else dark
Weather = Literal["clear", "overcast", "hazy", "golden", "sunset", "dusk", "night"]


class Sky(NamedTuple):
    """What is told by the sky; what could not be told is None or False."""

    weather: Weather | None
    has_sun: bool  # in the frame
    is_backlit: bool  # what stands before it is dark
    is_sunlit: bool  # the ground below a clear one: bright, and warmer where it is brighter
    is_black: bool  # as at night, or as a room without light


NO_SKY = Sky(None, False, False, False, False)


class _Region(NamedTuple):
    """The smooth part of a picture that hangs from its upper edge."""

    share: float  # of the picture
    reach: float  # of the upper edge
    lightness: float
    a: float
    b: float
    spread: float  # of its lightness, a standard deviation
    below: np.ndarray  # lightness of all else
    is_sky: np.ndarray  # hxw bool

    @property
    def darkness(self) -> float:
        """The share of all else that is next to black."""
        return float((self.below < 15).mean())

    @property
    def brightest(self) -> float:
        """Lightness of a tenth of all else."""
        return float(np.percentile(self.below, 90))


def look_up(glance: Glance) -> Sky:
    """Look for a sky. The bounds were chosen on the photographs of tests/photographs.tsv."""
    region = _region(glance)
    if region is None:
        return NO_SKY
    weather = _weather(region)
    middle = float(np.median(region.below))
    is_above_the_dark = region.share > 0.2 and region.darkness > 0.5 and region.lightness - middle > 15
    is_backlit = is_above_the_dark and (weather in ("clear", "overcast", "sunset") or _is_bright(region))
    has_sun = weather in ("clear", "sunset") and middle < MOST_BEFORE_SUN and _has_sun(glance)
    is_black = 1.5 < region.lightness < 13 and region.reach > 0.88 and region.share > 0.3
    return Sky(weather, has_sun, is_backlit or has_sun, weather == "clear" and _is_sunlit(glance.lab, region), is_black)


def where_sky_is(photograph: np.ndarray) -> np.ndarray | None:
    """A map (hxw bool, at most GLANCE_SIZE a side) of the sky of a uint8 RGB photograph (HxWx3); None where none is sure."""
    glance = Glance.of(photograph)
    region = _region(glance)
    if region is None or not (_weather(region) or _is_blue_above_the_dark(region)):
        return None
    return _with_clouds(glance, region)


def _is_blue_above_the_dark(region: _Region) -> bool:
    """A sky of whatever weather: it is bluish, spans the picture, and is much brighter than what is below."""
    is_bright = region.lightness - float(np.median(region.below)) > 30
    return is_bright and region.b < -5 and region.reach > 0.9 and region.share > 0.2


def _with_clouds(glance: Glance, region: _Region) -> np.ndarray:
    """The smooth part of a sky (hxw bool), and what hangs together with it near to it and is as bright: clouds, haze, a sun."""
    import cv2

    reach = 2 * round(CLOUDS_REACH * len(glance.lightness)) + 1
    near = cv2.dilate(region.is_sky.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    least = float(np.percentile(glance.lightness[region.is_sky], 5)) - 3
    may_be = near & (glance.lightness > least) & (glance.slope < CLOUDS_SLOPE)
    _, parts = cv2.connectedComponents((region.is_sky | may_be).astype(np.uint8), connectivity=4)
    sky = np.isin(parts, np.unique(parts[region.is_sky])).astype(np.uint8)
    return cv2.morphologyEx(sky, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)) > 0


def _weather(region: _Region) -> Weather | None:
    share, reach, lightness, a, b, spread, _, _ = region
    if reach < 0.8 and not (b < -18 and reach > 0.3):
        return None
    if a > 8 and b > 15 and region.darkness > 0.5 and share > 0.1:
        return "sunset"
    if _is_dusk(region):
        return "dusk"
    is_blue = b < -12 and -14 < a < 10 and lightness > 28 and region.brightest > 50 and 0.05 < share < 0.85
    is_pale_blue = b < -7.5 and -24 < a < 0 and lightness > 80 and region.brightest > 50 and 0.15 < share < 0.85
    is_by_day = region.darkness < 0.4
    if is_by_day and ((is_blue and spread < 22) or (is_pale_blue and reach > 0.88)):
        return "clear"
    is_grey = abs(a) < 6 and -12 < b < -0.2 and 74 < lightness < 98 and lightness > region.brightest + 4
    return "overcast" if is_grey and 0.1 < share < 0.6 and region.darkness < 0.5 else None


def _is_dusk(region: _Region) -> bool:
    """Deep blue, or pink and violet, or blue while all the ground lies in the dark."""
    share, reach, lightness, a, b, _, below, _ = region
    if lightness < 8:
        return False
    if b < -12 and reach > 0.85 and share > 0.3 and lightness < 45 and region.brightest < 50:
        return a < 25  # more is a coloured lamp's
    if 12 < a < 35 and b < -10 and share > 0.3 and reach > 0.9:
        return True
    is_dark_below = region.brightest < 45 and float(np.median(below)) < 25
    return is_dark_below and -25 < b < -8 and a < 5 and reach > 0.9 and share > 0.15


def _is_bright(region: _Region) -> bool:
    """A white sky, whatever the weather."""
    return region.lightness > 86 and region.reach > 0.9


def _is_sunlit(lab: np.ndarray, region: _Region) -> bool:
    """The sun lights half of the ground, and the blue sky what lies in its shadows."""
    below = lab[~region.is_sky]
    quarter, three_quarters = np.percentile(below[:, 0], (25, 75))
    if region.share > 0.5 or three_quarters < 60:
        return False
    lit, shaded = below[below[:, 0] > three_quarters, 2], below[below[:, 0] < quarter, 2]
    return bool(len(lit) and len(shaded) and np.median(lit) >= np.median(shaded))


def _region(glance: Glance) -> _Region | None:
    import cv2

    lab = glance.lab
    smooth = (glance.slope < SMOOTH).astype(np.uint8)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, np.ones((3, 3))), connectivity=4)
    is_sky = np.isin(parts, list(set(parts[:3].ravel()) - {0}))
    share = float(is_sky.mean())
    if not 0.04 < share < 0.95:
        return None
    lightness, a, b = (float(np.median(lab[..., plane][is_sky])) for plane in range(3))
    spread = float(lab[..., 0][is_sky].std())
    return _Region(share, float(is_sky[1].mean()), lightness, a, b, spread, lab[..., 0][~is_sky], is_sky)


def _has_sun(glance: Glance) -> bool:
    """Whether a round, burnt-out spot stands in the upper part, in a glow that falls off around it."""
    import cv2

    burnt = (weakest_channel(glance.pixels) >= 250).astype(np.uint8)
    count, _, boxes, centres = cv2.connectedComponentsWithStats(burnt)
    height, width = burnt.shape
    rows, columns = np.mgrid[:height, :width]
    for (_, _, wide, high, area), (x, y) in zip(boxes[1:count], centres[1:count], strict=True):
        if not 0.0008 < area / burnt.size < 0.06 or area < 0.4 * wide * high or max(wide, high) > 3 * min(wide, high):
            continue
        distance = np.hypot(rows - y, columns - x) / np.sqrt(area)
        near, far = (glance.lightness[(distance > a) & (distance < b)] for a, b in ((1, 2), (3, 6)))
        if y < 0.75 * height and near.size and far.size and near.mean() > far.mean() + 12:
            return True
    return False
