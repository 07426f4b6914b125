"""A relit photograph inside a mask, and the photograph itself outside it."""

import numpy as np

from shared.light.degradation.photograph import composite

SOFT_SHARE = 0.01  # of the longer side: so wide is the seam


def keep_background(relit: np.ndarray, photograph: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`relit` where `mask` is, `photograph` where it is 0, to the bit; HxWx3 and HxW uint8.

    The seam is soft and lies inside the mask: opacity grows from its border inwards, over a hundredth of the longer side.
    """
    import cv2

    width = max(1.0, SOFT_SHARE * max(mask.shape))
    depth = cv2.distanceTransform((mask > 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    opacity = mask * np.minimum(depth / width, 1.0)
    return composite(relit, photograph, opacity.round().astype(np.uint8))
