"""Lamps that stand in a photograph: burnt-out spots in a warm glow."""

import numpy as np

from shared.light.colour import strongest_channel
from shared.light.glance import Glance

BURNT = 248  # of 255, the strongest channel
SPOT_AREA = (3, 0.02)  # least pixels, and most of a picture
LEAST_FULL = 0.4  # of the box around a spot
GLOW, FURTHER_OUT = (1.3, 2.5), (4.0, 7.0)  # radii of the spot
LEAST_GLOW = 12.0  # steps of lightness above what is around it
SEVERAL = 3  # spots; one or two may be what shines in their light: a spoon, a glass
WARM_GLOW = 8.0  # b of CIELAB


def count_lamps(glance: Glance, subject: np.ndarray | None = None) -> int:
    """How many lamps are seen off the subject (hxw bool), whose skin and clothes may shine. Chosen on tests/photographs.tsv."""
    import cv2

    burnt = (strongest_channel(glance.pixels) >= BURNT).astype(np.uint8)
    count, _, boxes, centres = cv2.connectedComponentsWithStats(burnt)
    rows, columns = np.mgrid[: burnt.shape[0], : burnt.shape[1]]
    lamps = 0
    for (_, _, wide, high, area), (x, y) in zip(boxes[1:count], centres[1:count], strict=True):
        if not SPOT_AREA[0] <= area < SPOT_AREA[1] * burnt.size or area < LEAST_FULL * wide * high:
            continue
        if subject is not None and subject[int(y), int(x)]:
            continue
        distance = np.hypot(rows - y, columns - x) / np.sqrt(area / np.pi)
        glow, around = ((distance > least) & (distance < most) for least, most in (GLOW, FURTHER_OUT))
        lamps += _glows(glance, glow, around)
    return lamps


def _glows(glance: Glance, glow: np.ndarray, around: np.ndarray) -> bool:
    """Whether it is brighter on all sides than further out, and warm."""
    if not glow.any() or not around.any() or glance.lab[..., 2][glow].mean() <= WARM_GLOW:
        return False
    near, far = glance.lightness[glow], glance.lightness[around]
    return bool(near.mean() > far.mean() + LEAST_GLOW and np.percentile(near, 20) > np.percentile(far, 60))
