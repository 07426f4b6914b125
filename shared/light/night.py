"""The many lights of a night."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import strongest_channel

DARK = 36.0  # mean lightness above which no night is looked for
POINT_SIDE, AROUND = 9, 31  # pixels: what is smaller is a point, and how far its surroundings reach
SOME, MANY, MANY_FAINT = 20, 100, 90  # points
MOST_WARM = 20.0  # b of CIELAB: what shines through leaves before a low sun is warmer, and as many


class Points(NamedTuple):
    """How many points of light stand in the dark."""

    bright: int  # lamps in a dark place
    faint: int  # stars, or lamps far away, in a black one
    warmth: float  # of the bright ones, the middle of b of CIELAB


def is_night(photograph: np.ndarray, lightness: np.ndarray, has_black_sky: bool) -> bool:
    """Whether a uint8 RGB photograph (HxWx3), a few hundred pixels wide, shows a night, by the lights in it.

    `lightness`: of its pixels, at any size. A sky that may be black needs few of them, and a town without one many.
    """
    if float(lightness.mean()) > DARK:
        return False
    points = points_of(photograph)
    has_town = points.bright >= MANY and points.faint >= MANY_FAINT and points.warmth < MOST_WARM
    return has_town or (has_black_sky and max(points.bright, points.faint) >= SOME)


def points_of(photograph: np.ndarray) -> Points:
    """Count what is small and much brighter than all around it in a uint8 RGB photograph (HxWx3)."""
    import cv2

    level = strongest_channel(photograph)
    above = cv2.subtract(level, cv2.morphologyEx(level, cv2.MORPH_OPEN, np.ones((POINT_SIDE, POINT_SIDE), np.uint8)))
    around = cv2.blur(cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY), (AROUND, AROUND))
    bright = (above > 90) & (level >= 200) & (around < 85)
    faint = (above > 60) & (level >= 120) & (around < 50)
    counts = [cv2.connectedComponents(found.astype(np.uint8))[0] - 1 for found in (bright, faint)]
    if not counts[0]:
        return Points(counts[0], counts[1], 0.0)
    colours = cv2.cvtColor(photograph[bright][np.newaxis].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return Points(counts[0], counts[1], float(np.median(colours[..., 2])))
