"""What the sky of a photograph tells of its light: weather, time of day, a sun in the frame, and what stands against it."""

from typing import Literal, NamedTuple

import numpy as np

from shared.light.colour import weakest_channel

SKY_SIZE = 192  # the long side at which it is looked at, in pixels
SMOOTH = 2.5  # steps of CIELAB per pixel; what changes faster is no sky
MOST_BEFORE_SUN = 30.0  # lightness of what stands before a sun: a camera that shows it shows all else dark
Weather = Literal["clear", "overcast", "sunset", "dusk"]


class Sky(NamedTuple):
    """What is told by the sky; what could not be told is None or False."""

    weather: Weather | None
    has_sun: bool  # in the frame
    is_backlit: bool  # what stands before it is dark


NO_SKY = Sky(None, False, False)


class _Region(NamedTuple):
    """The smooth part of a picture that hangs from its upper edge."""

    share: float  # of the picture
    reach: float  # of the upper edge
    lightness: float
    a: float
    b: float
    below: np.ndarray  # lightness of all else
    is_sky: np.ndarray  # hxw bool


def look_up(photograph: np.ndarray) -> Sky:
    """Look for a sky in a uint8 RGB photograph (HxWx3). Its bounds were chosen on the photographs of tests/photographs.tsv."""
    small = _small(photograph)
    lab = _lab(small)
    region = _region(lab)
    if region is None:
        return NO_SKY
    weather = _weather(region)
    is_dark = float((region.below < 15).mean())
    is_backlit = region.share > 0.2 and is_dark > 0.5 and region.lightness - float(np.median(region.below)) > 15
    has_sun = (
        weather in ("clear", "sunset") and float(np.median(region.below)) < MOST_BEFORE_SUN and _has_sun(small, lab)
    )
    return Sky(weather, has_sun, bool(weather is not None and (is_backlit or has_sun)))


def where_sky_is(photograph: np.ndarray) -> np.ndarray | None:
    """A map (hxw bool, at most SKY_SIZE a side) of the sky of a uint8 RGB photograph (HxWx3); None where none is sure."""
    region = _region(_lab(_small(photograph)))
    return region.is_sky if region is not None and _weather(region) else None


def _weather(region: _Region) -> Weather | None:
    share, reach, lightness, a, b, below, _ = region
    brightest = float(np.percentile(below, 90))
    is_dark = float((below < 15).mean())
    if reach < 0.8 and not (b < -18 and reach > 0.3):
        return None
    if a > 8 and b > 15 and is_dark > 0.5 and share > 0.1:
        return "sunset"
    if b < -12 and reach > 0.85 and share > 0.3 and (lightness < 45 and brightest < 50):
        return "dusk"
    if a > 12 and b < -10 and share > 0.3 and reach > 0.9:
        return "dusk"  # pink and violet
    if b < -12 and -14 < a < 10 and lightness > 28 and brightest > 50 and 0.05 < share < 0.85:
        return "clear"
    if abs(a) < 5 and -12 < b < -0.2 and 74 < lightness < 98 and lightness > brightest and 0.1 < share < 0.6:
        return "overcast"
    return None


def _lab(small: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def _region(lab: np.ndarray) -> _Region | None:
    import cv2

    slopes = [
        np.hypot(*(cv2.Sobel(lab[..., plane], cv2.CV_32F, *axis, ksize=3) / 8 for axis in ((1, 0), (0, 1))))
        for plane in range(3)
    ]
    smooth = (np.maximum.reduce(slopes) < SMOOTH).astype(np.uint8)
    _, parts = cv2.connectedComponents(cv2.morphologyEx(smooth, cv2.MORPH_OPEN, np.ones((3, 3))), connectivity=4)
    is_sky = np.isin(parts, list(set(parts[:3].ravel()) - {0}))
    share = float(is_sky.mean())
    if not 0.04 < share < 0.95:
        return None
    lightness, a, b = (float(np.median(lab[..., plane][is_sky])) for plane in range(3))
    return _Region(share, float(is_sky[1].mean()), lightness, a, b, lab[..., 0][~is_sky], is_sky)


def _has_sun(small: np.ndarray, lab: np.ndarray) -> bool:
    """Whether a round, burnt-out spot stands in the upper part, in a glow that falls off around it."""
    import cv2

    burnt = (weakest_channel(small) >= 250).astype(np.uint8)
    count, _, boxes, centres = cv2.connectedComponentsWithStats(burnt)
    height, width = burnt.shape
    rows, columns = np.mgrid[:height, :width]
    for (_, _, wide, high, area), (x, y) in zip(boxes[1:count], centres[1:count], strict=True):
        if not 0.0008 < area / burnt.size < 0.06 or area < 0.4 * wide * high or max(wide, high) > 3 * min(wide, high):
            continue
        distance = np.hypot(rows - y, columns - x) / np.sqrt(area)
        near, far = lab[..., 0][(distance > 1) & (distance < 2)], lab[..., 0][(distance > 3) & (distance < 6)]
        if y < 0.75 * height and near.size and far.size and near.mean() > far.mean() + 12:
            return True
    return False


def _small(photograph: np.ndarray) -> np.ndarray:
    import cv2

    height, width = photograph.shape[:2]
    scale = SKY_SIZE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return cv2.resize(photograph, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
