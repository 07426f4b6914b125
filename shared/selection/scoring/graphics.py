"""Tell a photograph from what was drawn, written or filled: floor plans, text pages, screenshots, plain colours."""

import numpy as np

from shared.light.colour import strongest_channel
from shared.light.enlarge import shrink
from shared.selection.scoring.entropy import entropy_of_counts

GRAPHICS_SIZE = 512  # the long side at which it is told, in pixels
PHOTOGRAPH, GRAPHICS, PLAIN = "photograph", "graphics", "plain colour"

# Of photographs, noise leaves few pixels that are exactly like all their neighbours, and strong compression many, of many
# colours. Drawings, plans, pages and screenshots are even over 15 to 95 % of their area, in a few colours, and what is
# not even changes steeply. A photograph that is even over as much (a burnt-out sky, a night) changes gently elsewhere.
_FEW_COLOURS = 6
_LEAST_EVEN = 0.12  # of the area, in the few colours
_GENTLE = 16  # levels between a pixel and its neighbours
_LEAST_GENTLE = 0.35  # of what is no line; text and hatching have up to 0.34, photographs from 0.36, grass and fur less
# A subject cut out on an even ground, or a drawing with gentle shading: one has one ground, and many tones.
_VERY_EVEN = 0.3
_ALMOST_ALL = 0.8  # of what is even, in the few colours: then these were filled in, and are no work of compression
_LEAST_OF_COLOUR = 0.01  # of the area
_CLIPPED = 5  # levels from black or white: both may be clipped in one photograph
_THICKEST_LINE = 21  # pixels, with what scaling and compression leave around it
_LEAST_TONES = 3.0  # bits of entropy over 32 levels of grey; hatching of one grey has up to 2.9
_PLAIN_RANGE = 10  # levels from the median, of all but a two-hundredth of the pixels


def kind_of_picture(photograph: np.ndarray) -> str:
    """PHOTOGRAPH, GRAPHICS or PLAIN, of a uint8 RGB image (HxWx3)."""
    import cv2

    pixels = np.ascontiguousarray(shrink(photograph, GRAPHICS_SIZE))
    if _is_plain(pixels):
        return PLAIN
    neighbours = np.ones((3, 3), np.uint8)
    ranges = strongest_channel(cv2.dilate(pixels, neighbours) - cv2.erode(pixels, neighbours))
    even = pixels[ranges == 0]
    if len(even) <= _LEAST_EVEN * ranges.size:
        return PHOTOGRAPH
    codes, counts = np.unique(even @ np.array([1 << 16, 1 << 8, 1]), return_counts=True)
    order = np.argsort(-counts)[:_FEW_COLOURS]
    colours, shares = codes[order, None] >> np.array([16, 8, 0]) & 255, counts[order] / ranges.size
    if shares.sum() <= max(_LEAST_EVEN, _ALMOST_ALL * len(even) / ranges.size):
        return PHOTOGRAPH
    lines = np.ones((_THICKEST_LINE, _THICKEST_LINE), np.uint8)
    is_area = cv2.morphologyEx((ranges > 0).astype(np.uint8), cv2.MORPH_OPEN, lines) > 0
    if not is_area.any() or (ranges[is_area] <= _GENTLE).mean() < _LEAST_GENTLE:
        return GRAPHICS
    if shares.sum() <= _VERY_EVEN:
        return PHOTOGRAPH
    if _count_grounds(colours[shares > _LEAST_OF_COLOUR]) > 1:
        return GRAPHICS
    tones = np.bincount(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[is_area] >> 3)
    return PHOTOGRAPH if entropy_of_counts(tones) > _LEAST_TONES else GRAPHICS


def _is_plain(pixels: np.ndarray) -> bool:
    """Whether all but a few pixels are within _PLAIN_RANGE of the median of each channel."""
    thinned = pixels[::4, ::4].reshape(-1, 3)
    median = np.median(thinned, axis=0)
    if np.percentile(np.abs(thinned - median).max(-1), 95) > _PLAIN_RANGE:
        return False
    return bool(np.percentile(np.abs(pixels - median).max(-1), 99.5) <= _PLAIN_RANGE)


def _count_grounds(colours: np.ndarray) -> int:
    """Of (n, 3) colours those that are clipped count as one."""
    is_clipped = (colours <= _CLIPPED).all(-1) | (colours >= 255 - _CLIPPED).all(-1)
    return int((~is_clipped).sum()) + bool(is_clipped.any())
