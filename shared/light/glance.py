"""A photograph as it is looked at for its sky, its haze, its colours and what stands behind its subject."""

from typing import NamedTuple

import numpy as np

GLANCE_SIZE = 192  # the long side, in pixels


class Glance(NamedTuple):
    """A photograph of which the long side has GLANCE_SIZE pixels."""

    pixels: np.ndarray  # hxwx3 uint8 RGB
    lab: np.ndarray  # hxwx3 float32 CIELAB: lightness 0..100, a and b
    slope: np.ndarray  # hxw float32, see steepest_slope()

    @classmethod
    def of(cls, photograph: np.ndarray) -> "Glance":
        """Of a uint8 RGB photograph (HxWx3)."""
        import cv2

        height, width = photograph.shape[:2]
        scale = GLANCE_SIZE / max(height, width)
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        return cls(small, lab, steepest_slope(lab))

    @property
    def lightness(self) -> np.ndarray:
        """hxw float32, 0..100."""
        return self.lab[..., 0]

    def shrunk(self, mask: np.ndarray) -> np.ndarray:
        """A mask (HxW bool) of the photograph, as hxw bool."""
        import cv2

        height, width = self.lab.shape[:2]
        return cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA) > 127


def steepest_slope(lab: np.ndarray) -> np.ndarray:
    """How fast CIELAB (hxwx3) changes at most, in steps per pixel, hxw float32."""
    return np.maximum.reduce([slope_of(lab[..., plane]) for plane in range(3)])


def slope_of(plane: np.ndarray) -> np.ndarray:
    """How fast one plane (hxw) changes, in steps per pixel, hxw float32."""
    import cv2

    return np.hypot(*(cv2.Sobel(plane, cv2.CV_32F, *axis, ksize=3) / 8 for axis in ((1, 0), (0, 1))))
