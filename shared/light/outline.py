"""What the outline of things in a photograph tells of a light behind them: a bright rim, or nothing but the outline."""

from typing import Literal

import numpy as np

from shared.light.glance import Glance

Outline = Literal["rim", "silhouette"]
PITCH_BLACK, BRIGHT = 15.0, 45.0  # lightness below which nothing is made out, and from which something shines
# Of a picture of silhouettes: least shares that are black and that are bright, most in between, and least of what is next
# to the black that is bright, so that the outline is crisp.
LEAST_BLACK, LEAST_BRIGHT, MOST_BETWEEN, LEAST_CRISP = 0.3, 0.3, 0.13, 0.35
MOST_COLOURED = 20.0  # mean chroma of CIELAB in what is bright behind them, where no sky is known to be
UNLIT_SUBJECT = 35.0  # lightness of nearly all of a dark subject
BEHIND_STEP = 30.0  # how much brighter than its middle what is behind it is
RIM_WIDTH = 0.02  # of the root of the subject's area
RIM_STEP = 12.0  # of lightness, to what is on either side
RIM_SHARE = 0.15  # of the outline
DIM_BEHIND, DIM_INSIDE = 35.0, 45.0  # lightness: where a rim is the light, and not the subject's own brightness


def outline_of(
    glance: Glance, lightness: np.ndarray, subject: np.ndarray | None, is_before_sky: bool
) -> Outline | None:
    """A rim around the subject (HxW bool), or a silhouette of it; without a subject, of whatever stands before a brightness.

    `lightness` (HxW, 0..100) is of the same photograph; `is_before_sky`: what stands before a sky is known to be dark. The
    bounds were chosen on the photographs of tests/photographs.tsv.
    """
    if subject is None:
        is_pale = is_before_sky or _chroma_of_bright(glance) < MOST_COLOURED
        return "silhouette" if is_pale and _has_silhouettes(glance.lightness) else None
    if subject.all():
        return None
    inwards, outwards = (_distance(part) for part in (subject, ~subject))
    width = max(2.0, RIM_WIDTH * float(np.sqrt(subject.sum())))
    behind = float(np.median(lightness[(outwards > 0) & (outwards <= 6 * width)]))
    middle, brightest = np.percentile(lightness[subject], (50, 97))
    if brightest < UNLIT_SUBJECT and behind > middle + BEHIND_STEP:
        return "silhouette"
    if behind < DIM_BEHIND and middle < DIM_INSIDE and _rim(lightness, inwards, outwards, width) > RIM_SHARE:
        return "rim"
    return None


def _chroma_of_bright(glance: Glance) -> float:
    chroma = np.hypot(glance.lab[..., 1], glance.lab[..., 2])[glance.lightness > BRIGHT]
    return float(chroma.mean()) if len(chroma) else 0.0


def _has_silhouettes(lightness: np.ndarray) -> bool:
    """Whether a picture (hxw, 0..100) is black and bright and hardly anything in between."""
    import cv2

    black, bright = lightness < PITCH_BLACK, lightness > BRIGHT
    between = 1 - black.mean() - bright.mean()
    if black.mean() < LEAST_BLACK or bright.mean() < LEAST_BRIGHT or between > MOST_BETWEEN:
        return False
    large = cv2.morphologyEx(black.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    near, next_to = (cv2.dilate(large, np.ones((side, side), np.uint8)) > 0 for side in (9, 5))
    ring = near & ~next_to
    return bool(ring.any() and bright[ring].mean() > LEAST_CRISP)


def _rim(lightness: np.ndarray, inwards: np.ndarray, outwards: np.ndarray, width: float) -> float:
    """The share of an outline along which its inner side is brighter than the subject further in, and than what is behind."""
    rim, inside, behind = (
        _mean_near(lightness, where, width)
        for where in (
            (inwards > 0) & (inwards <= width),
            (inwards > 2 * width) & (inwards <= 5 * width),
            (outwards > width) & (outwards <= 3 * width),
        )
    )
    edge = (inwards > 0) & (inwards < 1.6) & ~np.isnan(rim + inside + behind)
    is_rim = (rim > inside + RIM_STEP) & (rim > behind + RIM_STEP)
    return float(is_rim[edge].mean()) if edge.any() else 0.0


def _mean_near(values: np.ndarray, where: np.ndarray, width: float) -> np.ndarray:
    """The mean of the values (HxW) at these places around each pixel; NaN where none is near."""
    import cv2

    total, count = (
        cv2.GaussianBlur(plane.astype(np.float32), (0, 0), 2 * width) for plane in (np.where(where, values, 0), where)
    )
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0.02)


def _distance(inside: np.ndarray) -> np.ndarray:
    """How far (HxW float32, pixels) each pixel inside is from the outside; 0 there. The frame is no border."""
    import cv2

    distance: np.ndarray = cv2.distanceTransform(inside.astype(np.uint8), cv2.DIST_L2, 5)
    return distance
