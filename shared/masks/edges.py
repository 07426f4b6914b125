"""The outline of a subject that was found on a small photograph, along the edges of the large one."""

import numpy as np

from shared.light.enlarge import GuidedMap, bands, enlarge

HAZE = 0.1  # a guided filter leaves as much, and what is not the subject must stay untouched


def opacity_along_edges(soft: np.ndarray, inside: np.ndarray, small: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """HxW uint8 at the size of `photograph` (HxWx3 uint8), exactly 0 a few pixels off `inside`.

    soft: what a guided filter (He, Sun and Tang, 2013) has made of the subject on `small` (hxwx3 uint8), hxw float32 in 0..1;
    inside: hxw float32, 1 where the subject may be.
    """
    import cv2

    height, width = photograph.shape[:2]
    guided = GuidedMap(soft, small, height, width, 2)
    near = cv2.dilate(inside, np.ones((7, 7), np.uint8))
    opacity = np.empty((height, width), np.uint8)
    for rows in bands(height, width):
        clean = np.clip((guided.rows(photograph, rows) - HAZE) / (1 - 2 * HAZE), 0, 1)
        opacity[rows] = np.rint(255 * clean * (enlarge(near, height, width, rows) > 0.5))
    return opacity
