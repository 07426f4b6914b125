"""The people in a photograph as a soft mask: faces found and verified, then cut out with GrabCut."""

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from shared.light.enlarge import shrink
from shared.masks.edges import opacity_along_edges

FACE_SIZE = 384  # the long side at which people are looked for, in pixels
SMALLEST_FACE = 24
VIEWS_THAT_MUST_AGREE = 4  # of the six views of the photograph in which a face is looked for
LEAST_SKIN = 0.35  # share of the inner face that has the colour of skin


class Face(NamedTuple):
    """A face's box in pixels."""

    x: float
    y: float
    width: float
    height: float


def people(photograph: np.ndarray) -> np.ndarray | None:
    """Opacity (HxW uint8, 0..255, exactly 0 off the people) of all people in a uint8 RGB photograph, or None.

    The faces seed GrabCut (Rother, Kolmogorov and Blake, 2004). None when no face is sure enough, or when
    the cut takes next to nothing or nearly everything.
    """
    import cv2

    small = shrink(photograph, FACE_SIZE)
    faces = find_faces(small)
    if not faces:
        return None
    inside = cut_out(small, faces).astype(np.float32)
    if not 0.01 <= inside.mean() <= 0.95:
        return None
    soft = cv2.ximgproc.guidedFilter(small, inside, 4, 1e-4 * 255**2)
    return opacity_along_edges(soft, inside, small, photograph)


def find_faces(photograph: np.ndarray) -> list[Face]:
    """Faces in a small uint8 RGB photograph that several views agree on and that have the colour of skin.

    Local binary pattern cascade that scikit-image carries (Liao et al., 2007). A true face is found again
    when the picture is mirrored, scaled or evened out; a chance likeness (a cat, a rock) seldom is.
    """
    import cv2

    grey = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY)
    views = [_look(grey), _look(grey, mirrored=True)]
    if not any(views):
        return []  # most photographs have no face: two looks and done
    even = cv2.createCLAHE(2.0, (4, 4)).apply(grey)
    views += [_look(even), _look(even, mirrored=True), _look(grey, 0.85), _look(grey, 0.85, mirrored=True)]
    faces: list[Face] = []
    for candidate in sorted(views[0] + views[1], key=lambda face: (-face.width, face.y, face.x)):
        if any(_overlap(candidate, face) > 0.2 for face in faces):
            continue
        matches = [face for view in views for face in view if _overlap(candidate, face) > 0.4]
        if len(matches) < VIEWS_THAT_MUST_AGREE:
            continue
        mean = Face(*np.mean(matches, axis=0).tolist())
        if _skin_share(photograph, mean) >= LEAST_SKIN:
            faces.append(mean)
    return faces


def cut_out(photograph: np.ndarray, faces: list[Face]) -> np.ndarray:
    """The people under these faces as HxW bool: GrabCut from a head and a torso each."""
    import cv2
    from scipy import ndimage

    height, width = photograph.shape[:2]
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    rows, columns = np.mgrid[:height, :width]

    def head(face: Face, across: float, down: float) -> np.ndarray:
        x = (columns - face.x - face.width / 2) / (across * face.width)
        y = (rows - face.y - face.height / 2) / (down * face.height)
        return x**2 + y**2 < 1

    def below(face: Face, aside: float, start: float) -> np.ndarray:
        near = np.abs(columns - face.x - face.width / 2) < aside * face.width
        return near & (rows > face.y + start * face.height)

    for face in faces:
        labels[below(face, 2.1, -1.0)] = cv2.GC_PR_BGD
    for face in faces:
        labels[below(face, 1.7, 1.1) | head(face, 0.62, 0.8)] = cv2.GC_PR_FGD
    for face in faces:
        neck = below(face, 0.3, 0.9) & (rows < face.y + 2.0 * face.height)
        labels[head(face, 0.4, 0.5) | neck] = cv2.GC_FGD
    certain = labels == cv2.GC_FGD
    if not (labels == cv2.GC_BGD).any() and not (labels == cv2.GC_PR_BGD).any():
        return np.zeros((height, width), bool)
    cv2.setRNGSeed(0)  # GrabCut starts its mixtures from random pixels
    bgr = np.ascontiguousarray(photograph[..., ::-1])
    cv2.grabCut(bgr, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_MASK)
    inside = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    inside = ndimage.binary_opening(inside, iterations=2) | certain
    parts, _ = ndimage.label(inside)
    wanted = set(np.unique(parts[certain])) - {0}
    for face in faces:
        # A collar or a beard may part the head from the chest; what fills the chest is the same person.
        chest = below(face, 0.8, 1.3) & (rows < face.y + 3.2 * face.height)
        sizes = np.bincount(parts[chest], minlength=parts.max() + 1)
        wanted |= {part for part in np.flatnonzero(sizes > 0.2 * chest.sum()) if part}
    return _fill_small_holes(np.isin(parts, list(wanted)))


def _fill_small_holes(inside: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    holes, count = ndimage.label(~inside)
    if count:
        sizes = np.bincount(holes.ravel())
        # A hole between an arm and the body is background; a speck in a shirt is not.
        inside = inside | ((sizes < 0.03 * inside.sum())[holes] & ~inside)
    return inside


@cache
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _look(grey: np.ndarray, scale: float = 1.0, mirrored: bool = False) -> list[Face]:
    """The cascade's answer in one view, in the coordinates of the photograph."""
    import cv2

    width = grey.shape[1]
    view = grey[:, ::-1] if mirrored else grey
    if scale != 1:
        view = cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    largest = min(view.shape)
    if largest < SMALLEST_FACE:
        return []
    rectangles = _cascade().detect_multi_scale(
        np.ascontiguousarray(view), 1.2, 1, (SMALLEST_FACE, SMALLEST_FACE), (largest, largest)
    )
    boxes = [Face(box["c"], box["r"], box["width"], box["height"]) for box in rectangles]
    boxes = [Face(*(value / scale for value in box)) for box in boxes]
    return [box._replace(x=width - box.x - box.width) if mirrored else box for box in boxes]


def _overlap(one: Face, other: Face) -> float:
    """Intersection over union."""
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    shared = max(0.0, across) * max(0.0, down)
    return shared / (one.width * one.height + other.width * other.height - shared)


def _skin_share(photograph: np.ndarray, face: Face) -> float:
    """Share of the inner face within the chrominance of skin of any tone (Chai and Ngan, 1999).

    1 for a black-and-white photograph, which has no colour to judge by.
    """
    import cv2

    left, right = int(face.x + 0.2 * face.width), int(np.ceil(face.x + 0.8 * face.width))
    top, bottom = int(face.y + 0.2 * face.height), int(np.ceil(face.y + 0.85 * face.height))
    inner = np.ascontiguousarray(photograph[max(0, top) : bottom, max(0, left) : right])
    if int(np.ptp(photograph, axis=-1).max()) <= 8:
        return 1.0
    _, red, blue = cv2.split(cv2.cvtColor(inner, cv2.COLOR_RGB2YCrCb))
    return float(((red >= 133) & (red <= 178) & (blue >= 77) & (blue <= 130)).mean())
