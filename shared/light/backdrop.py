"""What stands behind the subject of a photograph, and what that tells of the light on it."""

from typing import NamedTuple

import numpy as np

from shared.light.glance import Glance

LEAST_BACKDROP = 0.1  # share of the picture
EVEN, LIGHT_GREY = 8.0, 40.0  # spread and mean of its lightness, 0..100
NEARLY_EVEN, NEARLY_WHITE = 16.0, 65.0
UNLIT, LIT = 9.0, 60.0  # lightness of half of what is behind, and of a tenth of the subject
MOST_ONE_SIDED = 18.0  # steps of lightness between the subject's halves


class Backdrop(NamedTuple):
    """What is told by it."""

    is_even: bool  # bright, and without a shadow: so is only what much light falls on, and from many sides
    is_dark: bool  # while the subject is bright all over: the light comes with the camera


NO_BACKDROP = Backdrop(False, False)


def look_behind(glance: Glance, subject: np.ndarray) -> Backdrop:
    """Look at what is off the subject (hxw bool). Its bounds were chosen on the photographs of tests/photographs.tsv."""
    behind = glance.lightness[~subject]
    if not subject.any() or len(behind) < LEAST_BACKDROP * subject.size:
        return NO_BACKDROP
    mean, spread = float(behind.mean()), float(behind.std())
    is_even = (spread < EVEN and mean > LIGHT_GREY) or (spread < NEARLY_EVEN and mean > NEARLY_WHITE)
    is_dark = float(np.median(behind)) < UNLIT and _is_lit_all_over(glance.lightness, subject)
    return Backdrop(is_even, is_dark)


def _is_lit_all_over(lightness: np.ndarray, subject: np.ndarray) -> bool:
    if float(np.percentile(lightness[subject], 90)) < LIT:
        return False
    inside, columns = lightness[subject], np.nonzero(subject)[1]
    left, right = inside[columns < np.median(columns)], inside[columns > np.median(columns)]
    return bool(len(left) and len(right) and abs(float(left.mean()) - float(right.mean())) < MOST_ONE_SIDED)
