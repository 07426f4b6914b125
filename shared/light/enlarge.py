"""Maps found on a small copy of a photograph, brought to its full size a band of rows at a time."""

from collections.abc import Iterator

import numpy as np

from shared.light.colour import LUMINANCE, srgb_to_linear

DARKEST = np.float32(1 / 255 / 12.92)  # linear light of the stored value 1; the logarithm needs a floor
PIXELS_OF_A_BAND = 1 << 20  # so that a photograph of 200 megapixels takes no more scratch memory than a small one


def bands(height: int, width: int) -> Iterator[slice]:
    """The rows of an image in slices of about a megapixel."""
    rows = max(1, PIXELS_OF_A_BAND // width)
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def shrink(photograph: np.ndarray, longest_side: int) -> np.ndarray:
    """A uint8 image, or a map, with its long side at most `longest_side` pixels, averaged over areas."""
    import cv2

    height, width = photograph.shape[:2]
    scale = longest_side / max(height, width)
    if scale >= 1:
        return photograph
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)


def enlarge(small: np.ndarray, height: int, width: int, rows: slice) -> np.ndarray:
    """These rows of the float32 map `small` (hxw or hxwxc) made `height` x `width` by bilinear interpolation."""
    import cv2

    if small.shape[:2] == (height, width):
        return small[rows]
    centres = (np.arange(rows.start, rows.stop) + 0.5) * (small.shape[0] / height) - 0.5
    upper = np.clip(np.floor(centres).astype(int), 0, small.shape[0] - 1)
    lower = np.minimum(upper + 1, small.shape[0] - 1)
    share = np.clip(centres - upper, 0, 1).astype(np.float32).reshape(-1, *[1] * (small.ndim - 1))
    band = np.ascontiguousarray(small[upper] * (1 - share) + small[lower] * share)
    return cv2.resize(band, (width, len(centres)), interpolation=cv2.INTER_LINEAR)


class GuidedMap:
    """A map (hxw or hxwx3) found on a small photograph that follows the edges of the large one.

    The linear model of a guided filter is fitted at the small size and applied at the large one (fast guided
    filter, He and Sun, 2015); the guide is the logarithm of luminance.
    """

    def __init__(self, values: np.ndarray, small: np.ndarray, height: int, width: int, radius: int = 4):
        self.height, self.width = height, width
        self.values: np.ndarray | None = values
        if values.shape[:2] == (height, width):
            return
        self.values = None
        guide = log_luminance(small)
        mean_guide, mean_values = _mean(guide, radius), _mean(values, radius)
        variance = _mean(guide * guide, radius) - mean_guide**2 + np.float32(0.01)
        if values.ndim == 3:
            guide, mean_guide, variance = guide[..., np.newaxis], mean_guide[..., np.newaxis], variance[..., np.newaxis]
        covariance = _mean(guide * values, radius) - mean_guide * mean_values
        slope = covariance / variance
        self.slope = _mean(slope, radius)
        self.offset = _mean(mean_values - slope * mean_guide, radius)

    def rows(self, photograph: np.ndarray, rows: slice) -> np.ndarray:
        """These rows of the map at the size of `photograph`, the large uint8 RGB image (HxWx3)."""
        if self.values is not None:
            return self.values[rows]
        slope = enlarge(self.slope, self.height, self.width, rows)
        guide = log_luminance(photograph[rows])
        if slope.ndim == 3:
            guide = guide[..., np.newaxis]
        return slope * guide + enlarge(self.offset, self.height, self.width, rows)


def log_luminance(photograph: np.ndarray) -> np.ndarray:
    """Natural logarithm of the luminance of a uint8 RGB image, float32."""
    return np.log(np.maximum(srgb_to_linear(photograph) @ LUMINANCE, DARKEST))


def _mean(image: np.ndarray, radius: int) -> np.ndarray:
    import cv2

    return cv2.blur(image, (2 * radius + 1, 2 * radius + 1))
