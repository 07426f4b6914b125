"""Where the light comes from, in the plane of the image, told from the shading."""

from typing import NamedTuple

import numpy as np

# Slopes (in log shading) above which a direction is claimed; at the gate the confidence is 0.5.
CONTOUR_GATE = 0.04
PLANE_GATE = 0.10
FRONTAL_FALL = 0.12  # fall of the log shading from the subject's middle to its rim that frontal light leaves

WORDS = ("right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right")


class Direction(NamedTuple):
    """Azimuth in degrees (0 = from the image's right, 90 = from above, counter-clockwise) or None, and trust."""

    azimuth_degrees: float | None
    word: str | None
    confidence: float  # 0..1; 0.5 is the gate


def direction_of(log_shading: np.ndarray, usable: np.ndarray, mask: np.ndarray | None) -> Direction:
    """Direction of the light over a log shading (HxW), from the pixels that are `usable` (HxW bool).

    With a subject's mask (HxW bool) from its occluding contour; without one, or where the contour is too
    short, from the plane that fits the whole image best. Abstains when the slope is below its gate.
    """
    if mask is not None:
        fit = fit_contour(log_shading, usable, mask)
        if fit is not None:
            across, up, fall = fit
            claim = _claim(across, up, CONTOUR_GATE)
            if claim.azimuth_degrees is None and fall > FRONTAL_FALL:
                return Direction(None, "front", min(1.0, fall / (fall + FRONTAL_FALL)))
            return claim
    across, up = fit_plane(log_shading, usable)
    return _claim(across, up, PLANE_GATE)


def fit_contour(
    log_shading: np.ndarray, usable: np.ndarray, mask: np.ndarray
) -> tuple[float, float, float] | None:
    """Slope of the shading on the outward normal just inside the silhouette: across, up, and the fall to the rim.

    At an occluding contour the surface's normal lies in the image's plane and points outward, so shading =
    a . n + b gives the light's direction a (Nillius and Eklundh, 2001). None when too little contour is seen.
    """
    import cv2

    size = max(mask.shape)
    inside = mask.astype(np.uint8)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
    normals = cv2.GaussianBlur(distance, (0, 0), 2)
    # What the frame cuts off is no contour: there the distance is not to the subject's own edge.
    band = (distance > size * 0.008) & (distance < size * 0.024) & usable
    across = -cv2.Sobel(normals, cv2.CV_32F, 1, 0, ksize=1)[band]
    up = cv2.Sobel(normals, cv2.CV_32F, 0, 1, ksize=1)[band]
    length = np.hypot(across, up)
    good = length > 1e-3
    if good.sum() < 60:
        return None
    across, up, length = across[good], up[good], length[good]
    design = np.stack([across / length, up / length, np.ones_like(length)], axis=1).astype(np.float64)
    covered = np.linalg.eigvalsh(np.cov(design[:, :2].T))[0]
    if covered < 0.05:
        return None  # a straight edge has one normal only; the light's direction cannot be told from it
    solution = _least_squares(design, log_shading[band][good].astype(np.float64))
    middle = (distance > 0.5 * distance.max()) & usable
    fall = float(np.median(log_shading[middle]) - solution[2]) if middle.any() else 0.0
    return float(solution[0]), float(solution[1]), fall


def fit_plane(log_shading: np.ndarray, usable: np.ndarray) -> tuple[float, float]:
    """Slope across and up of the plane through the shading, per long side of the image."""
    height, width = log_shading.shape
    rows, columns = np.nonzero(usable)
    if len(rows) < 60:
        return 0.0, 0.0
    size = max(height, width)
    x = (columns - (width - 1) / 2) / size
    y = ((height - 1) / 2 - rows) / size
    design = np.stack([x, y, np.ones_like(x)], axis=1)
    solution = _least_squares(design, log_shading[rows, columns].astype(np.float64))
    return float(solution[0]), float(solution[1])


def word_of(azimuth_degrees: float) -> str:
    """One of the eight words, each for the 45 degrees around its own direction."""
    return WORDS[round(azimuth_degrees / 45) % 8]


def _claim(across: float, up: float, gate: float) -> Direction:
    slope = float(np.hypot(across, up))
    confidence = slope / (slope + gate)
    if confidence < 0.5:
        return Direction(None, None, confidence)
    azimuth = float(np.degrees(np.arctan2(up, across)) % 360)
    return Direction(azimuth, word_of(azimuth), confidence)


def _least_squares(design: np.ndarray, values: np.ndarray) -> np.ndarray:
    # Normal equations: three unknowns, and a hundred times quicker than lstsq on a hundred thousand rows.
    return np.linalg.solve(design.T @ design + 1e-9 * np.eye(design.shape[1]), design.T @ values)
