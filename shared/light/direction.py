"""Where the light comes from, in the plane of the image, told from a layer of shading alone."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import strongest_channel

# A direction is claimed where the shading is steep enough (natural logarithms) and the fit explains enough of it.
CONTOUR_SLOPE, CONTOUR_FIT = 0.15, 0.40
PLANE_SLOPE, PLANE_FIT = 0.20, 0.70
BLACK, CLIPPED = 8, 250  # stored values of the brightest channel from which shading can and cannot be told
FRONTAL_FALL = 0.12  # fall of the log shading from the subject's middle to its rim that frontal light leaves

WORDS = ("right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right")


class Direction(NamedTuple):
    """Azimuth in degrees (0 = from the image's right, 90 = from above, counter-clockwise) or None, and trust."""

    azimuth_degrees: float | None
    word: str | None
    confidence: float  # 0..1; 0.5 is the gate


class Fit(NamedTuple):
    """A linear fit of the shading: its slope to the right and upward, its constant, and the share it explains."""

    across: float
    up: float
    constant: float
    explained: float


def direction_of(log_shading: np.ndarray, photograph: np.ndarray, mask: np.ndarray | None) -> Direction:
    """Direction of the light over the log shading (HxW) of a uint8 RGB photograph of that size.

    With a subject's mask (HxW bool) from its occluding contour; without one, or where the contour is too
    short, from the plane that fits the whole image best. Abstains when the light is flat or the fit is poor.
    """
    fit = None if mask is None else contour_of(log_shading, photograph, mask)
    if mask is None or fit is None:
        return _claim(fit_plane(log_shading, *_seen(photograph)), PLANE_SLOPE, PLANE_FIT)
    claim = _claim(fit, CONTOUR_SLOPE, CONTOUR_FIT)
    if claim.azimuth_degrees is None:
        return front_of(log_shading, photograph, mask, fit) or claim
    return claim


def contour_of(log_shading: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> Fit | None:
    """fit_contour() with what is black or clipped in a uint8 RGB photograph left out or counted as a bound."""
    return fit_contour(log_shading, *_seen(photograph), mask)


def front_of(log_shading: np.ndarray, photograph: np.ndarray, mask: np.ndarray, contour: Fit) -> Direction | None:
    """Light from the camera, if the contour has no bright side and the subject darkens towards its rim."""
    if np.hypot(contour.across, contour.up) >= CONTOUR_SLOPE / 2:
        return None
    usable, _ = _seen(photograph)
    fall = _fall_to_the_rim(log_shading, usable, mask, contour)
    return Direction(None, "front", fall / (fall + FRONTAL_FALL)) if fall > FRONTAL_FALL else None


def fit_contour(log_shading: np.ndarray, usable: np.ndarray, clipped: np.ndarray, mask: np.ndarray) -> Fit | None:
    """The shading just inside the silhouette over its outward normal; None when too little contour is seen.

    At an occluding contour the surface's normal lies in the image's plane and points outward, so shading =
    a . n + b gives the light's direction a (Nillius and Eklundh, 2001).
    """
    import cv2

    size = max(mask.shape)
    # What the frame cuts off is no contour: there the distance is not to the subject's own edge.
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    smooth = cv2.GaussianBlur(distance, (0, 0), 2)
    band = (distance > size * 0.008) & (distance < size * 0.024) & usable
    across = -cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1)[band]
    up = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1)[band]
    length = np.hypot(across, up)
    clear = length > 1e-3
    if clear.sum() < 60:
        return None
    normals = np.stack([across[clear], up[clear]], axis=1) / length[clear, np.newaxis]
    if np.linalg.eigvalsh(np.cov(normals.T))[0] < 0.05:
        return None  # a straight edge has one normal only; the light's direction cannot be told from it
    return _fit(normals, log_shading[band][clear], clipped[band][clear])


def fit_plane(log_shading: np.ndarray, usable: np.ndarray, clipped: np.ndarray) -> Fit:
    """The plane through the shading of the whole image; slopes per long side."""
    height, width = log_shading.shape
    rows, columns = np.nonzero(usable)
    if len(rows) < 60:
        return Fit(0.0, 0.0, 0.0, 0.0)
    x = columns - (width - 1) / 2
    y = (height - 1) / 2 - rows
    positions = np.stack([x, y], axis=1) / max(height, width)
    return _fit(positions, log_shading[rows, columns], clipped[rows, columns])


def word_of(azimuth_degrees: float) -> str:
    """One of the eight words, each for the 45 degrees around its own direction."""
    return WORDS[round(azimuth_degrees / 45) % 8]


def _seen(photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    brightest = strongest_channel(photograph)
    return brightest > BLACK, brightest >= CLIPPED


def _claim(fit: Fit, least_slope: float, least_explained: float) -> Direction:
    slope = float(np.hypot(fit.across, fit.up))
    explained = max(0.0, fit.explained)
    confidence = min(slope / (slope + least_slope), explained / (explained + least_explained))
    if confidence < 0.5:
        return Direction(None, None, confidence)
    azimuth = float(np.degrees(np.arctan2(fit.up, fit.across)) % 360)
    return Direction(azimuth, word_of(azimuth), confidence)


def _fit(places: np.ndarray, shading: np.ndarray, clipped: np.ndarray) -> Fit:
    """Least squares in which a clipped value is one that was at least so high (Tobin, 1958)."""
    design = np.column_stack([places, np.ones(len(places))])
    # Normal equations: three unknowns, and a hundred times quicker than lstsq on a hundred thousand rows.
    solver = np.linalg.solve(design.T @ design + 1e-9 * np.eye(3), design.T)
    values = shading.astype(np.float64)
    coefficients = solver @ values
    if clipped.any():
        for _ in range(8):
            values[clipped] = np.maximum(shading[clipped], design[clipped] @ coefficients)
            coefficients = solver @ values
    rest = values - design @ coefficients
    # Shading that hardly varies is noise, and a fit to noise explains nothing.
    explained = 1 - float((rest**2).mean()) / (float(values.var()) + 1e-4)
    return Fit(float(coefficients[0]), float(coefficients[1]), float(coefficients[2]), explained)


def _fall_to_the_rim(log_shading: np.ndarray, usable: np.ndarray, mask: np.ndarray, rim: Fit) -> float:
    import cv2

    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    middle = (distance > 0.5 * distance.max()) & usable
    return float(np.median(log_shading[middle]) - rim.constant) if middle.any() else 0.0
