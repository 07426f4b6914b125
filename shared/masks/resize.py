"""A photograph at the size that a model was trained with."""

import numpy as np


def square(photograph: np.ndarray, height: int, width: int) -> np.ndarray:
    """A uint8 RGB photograph (HxWx3) at exactly this size, its shape squashed, as the SAM models see it.

    Bilinear with the filter as wide as the reduction, which is what torchvision does with antialias.
    """
    from PIL import Image

    if photograph.shape[:2] == (height, width):
        return photograph
    return np.asarray(Image.fromarray(photograph).resize((width, height), Image.Resampling.BILINEAR))
