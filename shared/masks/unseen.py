"""People whom no detector has seen: from behind, without a head, in a dark light."""

import numpy as np

from shared.light.sights import look_around
from shared.masks.instance import Instance

LEAST_SHARE, MOST_SHARE = 0.02, 0.95  # of the photograph
FIRM = 0.6  # of an outline
SURELY_A_PERSON = 0.45  # log odds; see tests/fit_sights.py
MARGIN_AROUND = 0.1  # of the longer side of a shape, on all sides of it


def looks_like_people(shape: Instance, closer: np.ndarray) -> bool:
    """Whether a firm shape (its values hxw) in a uint8 RGB photograph (HxWx3) is of people by the look of it."""
    where = shape.values > 0.5
    if shape.score < FIRM or not LEAST_SHARE <= where.mean() <= MOST_SHARE:
        return False
    return look_around(surroundings(where, closer)).person > SURELY_A_PERSON


def surroundings(where: np.ndarray, closer: np.ndarray) -> np.ndarray:
    """The part of a photograph (HxWx3) around a shape (hxw bool, not empty)."""
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    margin = int(MARGIN_AROUND * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    scale = len(closer) / len(where)
    top, left = (max(0, int((ends[0] - margin) * scale)) for ends in (rows, columns))
    bottom, right = (int((ends[-1] + 1 + margin) * scale) for ends in (rows, columns))
    return closer[top:bottom, left:right]
