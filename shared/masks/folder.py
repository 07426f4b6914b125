"""The masks that people bring: image files in a folder, named like their photographs."""

from pathlib import Path

import numpy as np

from shared.errors import ImageError

MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read_mask(folder: Path, key: str, photograph: np.ndarray) -> np.ndarray:
    """The mask of a photograph (HxWx3), HxW uint8. Raises ImageError where there is none or it does not fit."""
    return fitted_mask(find_mask(folder, key), photograph)


def fitted_mask(path: Path, photograph: np.ndarray) -> np.ndarray:
    """A mask in its photograph's size, HxW uint8. Raises ImageError where it is of another shape."""
    import cv2

    from shared.decoding.formats import NotOpened
    from shared.images import read_bytes
    from shared.masks.stored import opacity_of

    data = read_bytes(path)
    try:
        mask = opacity_of(data)
    except NotOpened as reason:
        raise ImageError(f"the mask {path} {reason}") from reason.__cause__
    height, width = photograph.shape[:2]
    if abs(mask.shape[1] * height - mask.shape[0] * width) > max(height, width, *mask.shape):
        raise ImageError(
            f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels; its photograph is {width} x {height}"
        )
    if mask.shape != (height, width):
        mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
    return mask


def find_mask(folder: Path, key: str) -> Path:
    """The mask whose name is the photograph's, its suffix exchanged for or followed by that of an image."""
    place = folder / key
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ImageError(f"the key {key!r} leaves the folder of masks {folder}")
    stem = place.stem if place.suffix.lower() in MASK_SUFFIXES else place.name
    for suffix in MASK_SUFFIXES:
        for path in (place.with_name(stem + suffix), place.with_name(place.name + suffix)):
            if path.is_file():
                return path
    raise ImageError(f"there is no mask for {key} in {folder}; it would be named {stem}.png")
