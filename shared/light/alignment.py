"""Whether two images of one scene lie on each other: their shift in pixels and their zoom, whatever light they are seen under."""

from typing import NamedTuple

import numpy as np

ALIGNED_AT = 768  # looked at in this size
BLUR = 3.0  # px: light changes more slowly than that, drawing faster
TILES = 4  # in each direction: how their shifts differ is the zoom
ALIKE = 0.1  # correlation of two drawings that have anything in common
LEAST_SIDE, FAINT = 32, 1e-3  # px, and the deviation of a drawing: less is none
LEAST_EXPLAINED = 0.1  # of what they differ in: another light on edges looks like a movement that explains less
ROUNDS, ENOUGH = 3, 0.05  # measured again after what was found is undone, until it changes by fewer px


class Alignment(NamedTuple):
    """How to get from one image to the other: it lies `x` pixels further right, `y` further down and is `zoom` times as large."""

    x: float
    y: float
    zoom: float

    @property
    def pixels(self) -> float:
        return float(np.hypot(self.x, self.y))


def alignment(one: np.ndarray, other: np.ndarray) -> Alignment | None:
    """Of two uint8 RGB images (HxWx3) of one size, in their pixels; None where they have nothing in common to go by.

    Phase correlation of the logarithm of luma less its blur (Kuglin and Hines, 1975; cv2.phaseCorrelate), so that light and
    white balance are no drawing: of the whole for the shift, of tiles for the zoom. Coordinates are from the centre.
    """
    scale = min(1.0, ALIGNED_AT / max(one.shape[:2]))
    first, second = (drawing_of(image, scale) for image in (one, other))
    if min(first.shape) < LEAST_SIDE or min(first.std(), second.std()) < FAINT:
        return None
    likeness, found = correlation(first, second), Alignment(0.0, 0.0, 1.0)
    least = likeness + LEAST_EXPLAINED * (1 - likeness)
    (x, y), _ = shift_of(first, second)
    zoom, change = 1.0, np.inf
    for _ in range(ROUNDS + 1):
        undone = put_back(second, x, y, zoom)
        if (after := correlation(first, undone)) > max(least, likeness):  # else what was found explains nothing
            likeness, found = after, Alignment(float(x / scale), float(y / scale), float(zoom))
        if change < ENOUGH:
            break
        more_x, more_y, more_zoom = affine_of(first, undone)
        x, y, zoom = x + zoom * more_x, y + zoom * more_y, zoom * more_zoom
        change = np.hypot(more_x, more_y) + abs(more_zoom - 1) * max(first.shape) / 2
    return found if likeness >= ALIKE else None


def put_back(image: np.ndarray, x: float, y: float, zoom: float) -> np.ndarray:
    """An image (HxW float32) without a shift and a zoom about its centre."""
    import cv2

    height, width = image.shape
    undo = np.array(
        [[1 / zoom, 0, width / 2 - (width / 2 + x) / zoom], [0, 1 / zoom, height / 2 - (height / 2 + y) / zoom]],
        np.float32,
    )
    return cv2.warpAffine(image, undo, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def drawing_of(image: np.ndarray, scale: float) -> np.ndarray:
    """HxW float32: what is drawn in an image, without its light."""
    import cv2

    if scale < 1:
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    logarithm = np.log(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) + 4)  # as much as noise has
    return logarithm - cv2.GaussianBlur(logarithm, (0, 0), BLUR)


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """From -1 to 1, inside a margin that a shift may have brought in."""
    inside = np.s_[first.shape[0] // 16 : -first.shape[0] // 16, first.shape[1] // 16 : -first.shape[1] // 16]
    return float(np.corrcoef(first[inside].ravel(), second[inside].ravel())[0, 1])


def shift_of(first: np.ndarray, second: np.ndarray) -> tuple[tuple[float, float], float]:
    """How far right and down the second lies, and how high the peak is, 0 to 1."""
    import cv2

    window = cv2.createHanningWindow(first.shape[::-1], cv2.CV_32F)
    return cv2.phaseCorrelate(first.copy(), second.copy(), window)  # it may put the window into what it is given


def affine_of(first: np.ndarray, second: np.ndarray) -> tuple[float, float, float]:
    """Shift and zoom (about the centre) by which the tiles' shifts are explained best, tiles with clear peaks counting more."""
    height, width = first.shape
    tall, wide = height * 2 // (TILES + 1), width * 2 // (TILES + 1)  # they overlap by half
    if min(tall, wide) < 16:
        (x, y), _ = shift_of(first, second)
        return x, y, 1.0
    rows: list[list[float]] = []
    for top in np.linspace(0, height - tall, TILES).astype(int):
        for left in np.linspace(0, width - wide, TILES).astype(int):
            place = np.s_[top : top + tall, left : left + wide]
            (x, y), peak = shift_of(first[place], second[place])
            rows.append([left + wide / 2 - width / 2, top + tall / 2 - height / 2, x, y, max(peak, 0.0) ** 2])
    across, down, x_shifts, y_shifts, weights = np.array(rows).T
    weights = weights * near_median(x_shifts, y_shifts, weights)
    if weights.sum() < 1e-9:
        return 0.0, 0.0, 1.0
    ones, zeros = np.ones_like(across), np.zeros_like(across)
    design = np.vstack([np.column_stack([ones, zeros, across]), np.column_stack([zeros, ones, down])])
    root = np.sqrt(np.concatenate([weights, weights]))
    solution, *_ = np.linalg.lstsq(design * root[:, None], np.concatenate([x_shifts, y_shifts]) * root, rcond=None)
    return float(solution[0]), float(solution[1]), float(1 + solution[2])


def near_median(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Which tiles tell of the same movement as most: a tile without drawing points anywhere."""
    sure = weights >= np.quantile(weights, 0.25)
    distance = np.hypot(x - np.median(x[sure]), y - np.median(y[sure]))
    return sure & (distance <= max(3 * float(np.median(distance[sure])), 2.0))
