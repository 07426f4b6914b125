"""What a network that knows what things are says of a mask: people whom no detector has seen, and things that are none."""

import numpy as np

from shared.light.sights import look_around
from shared.masks.instance import Instance

LEAST_SHARE, MOST_SHARE = 0.02, 0.95  # of the photograph
FIRM = 0.6  # of an outline
SURELY_A_PERSON = 0.45  # log odds; see tests/fit_sights.py
SURELY_A_THING = -3.0  # log odds of a person: balls, letters and tables beside somebody; what somebody holds has more
LEAST_THING = 0.002  # of the photograph: of less, such as a shoe, the network knows too little
MARGIN_AROUND = 0.1  # of the longer side of a shape, on all sides of it


def looks_like_people(shape: Instance, closer: np.ndarray) -> bool:
    """Whether a firm shape (its values hxw) in a uint8 RGB photograph (HxWx3) is of people by the look of it."""
    where = shape.values > 0.5
    if shape.score < FIRM or not LEAST_SHARE <= where.mean() <= MOST_SHARE:
        return False
    return look_around(surroundings(where, closer)).person > SURELY_A_PERSON


def without_things(mask: np.ndarray, closer: np.ndarray) -> np.ndarray:
    """A mask (hxw float32, 0..1) of a photograph (HxWx3 uint8) without those of its parts that look like anything but people.

    The largest part stays, and so does what is tiny.
    """
    import cv2

    count, labels, parts, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8))
    areas = parts[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # what is off the mask
    others = [part for part in range(1, count) if LEAST_THING * mask.size <= areas[part] and part != areas.argmax()]
    things = [part for part in others if look_around(surroundings(labels == part, closer)).person < SURELY_A_THING]
    if not things:
        return mask
    # What is less than half opaque belongs to the part that it lies at.
    nearest = nearest_of(labels)
    return np.where(np.isin(nearest, things), 0, mask).astype(np.float32)


def nearest_of(labels: np.ndarray) -> np.ndarray:
    """Of each pixel (hxw) the label that is nearest to it; 0 is no label."""
    import cv2

    _, zones = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_zone = np.zeros(int(zones.max()) + 1, labels.dtype)
    of_zone[zones[labels > 0]] = labels[labels > 0]
    return of_zone[zones]


def surroundings(where: np.ndarray, closer: np.ndarray) -> np.ndarray:
    """The part of a photograph (HxWx3) around a shape (hxw bool, not empty)."""
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    margin = int(MARGIN_AROUND * max(np.ptp(rows) + 1, np.ptp(columns) + 1))
    scale = len(closer) / len(where)
    top, left = (max(0, int((ends[0] - margin) * scale)) for ends in (rows, columns))
    bottom, right = (int((ends[-1] + 1 + margin) * scale) for ends in (rows, columns))
    return closer[top:bottom, left:right]
