"""TIFF of every depth, by tifffile: 16 bit in planes, floats, white at zero, grey with alpha, and what Pillow refuses.

What is white is told by the data type and the tags, never by the largest value.
"""

import io
import logging
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from shared.decoding.formats import NotOpened, check_size
from shared.decoding.orientation import upright

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, SEPARATED = 0, 1, 2, 3, 5
YCBCR = 6
ASSOCIATED_ALPHA, ALPHA = 1, 2

logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of each odd tag is no news


class TiffPicture(NamedTuple):
    """The first picture of a file, upright: L, LA, RGB, RGBA, CMYK, or I;16 where it is grey of 16 bit without alpha."""

    image: Image.Image
    profile: bytes


def needs_tifffile(data: bytes) -> bool:
    """Whether Pillow would be wrong about it, or refuse it: anything but up to 8 bit, interleaved."""
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            return page.bitspersample > 8 or int(page.sampleformat) == 3 or int(page.planarconfig) == 2
    except Exception:  # a torn head: Pillow may do better, and has the better words
        return False


def read_tiff(data: bytes) -> TiffPicture:
    """Raises NotOpened, and whatever tifffile raises for a damaged file."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        values = stored_values(page, len(data))
        tag = page.tags.get(34675)
        profile = bytes(tag.value) if tag is not None and isinstance(tag.value, bytes) else b""
        orientation = page.tags.get(274)
        image = picture_from(page, values, bool(profile))
    return TiffPicture(upright(image, int(orientation.value) if orientation is not None else 1), profile)


def numbers_of_tiff(data: bytes) -> np.ndarray:
    """The numbers as they are stored, HxWxC, of which white is the largest. Raises as read_tiff does."""
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        values = stored_values(page, len(data))
        return bounds_of(page, values.dtype)[1] - values if int(page.photometric) == WHITE_IS_ZERO else values


def stored_values(page: Any, length: int) -> np.ndarray:
    """HxWxC, of a file of so many bytes."""
    check_size((page.imagewidth, page.imagelength))
    check_is_whole(page, length)
    values = page.asarray()
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    elif page.axes not in ("YX", "YXS"):
        raise NotOpened(f"is a TIFF of the form {page.axes}, which is not opened")
    return values.reshape(*values.shape[:2], -1)


def check_is_whole(page: Any, length: int) -> None:
    """tifffile gives zeros for a part that is not there."""
    parts = zip(page.dataoffsets, page.databytecounts, strict=True)
    if any(offset + count > length for offset, count in parts):
        raise NotOpened("is damaged: image file is truncated")


def picture_from(page: Any, values: np.ndarray, has_profile: bool) -> Image.Image:
    photometric = int(page.photometric)
    if photometric == PALETTE:
        values = (np.moveaxis(page.colormap, 0, -1)[values[:, :, 0]] >> 8).astype(np.uint8)
    elif photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, SEPARATED, YCBCR):
        raise NotOpened(f"is a TIFF of {page.photometric.name} colours, which is not opened")
    low, high = bounds_of(page, values.dtype)
    colours = {RGB: 3, PALETTE: 3, YCBCR: 3, SEPARATED: 4}.get(photometric, 1)
    exact = np.float64 if values.dtype.itemsize > 4 or values.dtype == np.uint32 else np.float32
    scaled = np.nan_to_num(values.astype(exact), nan=low, posinf=high, neginf=low)
    scaled = np.clip((scaled - exact(low)) / exact(high - low), 0, 1)
    if photometric == WHITE_IS_ZERO:
        scaled[:, :, 0] = 1 - scaled[:, :, 0]
    alpha = alpha_of(page, scaled, colours)
    scaled = scaled[:, :, :colours]
    if alpha is None and colours == 1 and has_profile:
        return Image.fromarray(np.rint(scaled[:, :, 0] * 65535).astype(np.uint16))
    if alpha is not None:
        scaled = np.concatenate([scaled, alpha], axis=-1)
    mode = {1: "L", 3: "RGB", 4: "CMYK"}[colours] + ("A" if alpha is not None and colours != 4 else "")
    pixels = np.floor(scaled * 255 + 0.5).astype(np.uint8)
    return Image.frombytes(mode, pixels.shape[1::-1], pixels[:, :, : len(mode)].tobytes())


def alpha_of(page: Any, scaled: np.ndarray, colours: int) -> np.ndarray | None:
    """The first extra sample where it is told to be opacity (HxWx1); colours that are multiplied with it are divided again."""
    kinds = [int(kind) for kind in page.extrasamples]
    if scaled.shape[2] <= colours or not kinds or kinds[0] not in (ASSOCIATED_ALPHA, ALPHA):
        return None
    alpha = scaled[:, :, colours : colours + 1]
    if kinds[0] == ASSOCIATED_ALPHA:
        scaled[:, :, :colours] = np.clip(scaled[:, :, :colours] / np.maximum(alpha, 1e-9), 0, 1)
    return alpha


def bounds_of(page: Any, dtype: np.dtype) -> tuple[float, float]:
    """Black and white: of floats 0 and 1, or what SMinSampleValue and SMaxSampleValue say; of integers those of their bits."""
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype == np.uint8:
        return 0.0, 2.0 ** min(8, page.bitspersample) - 1 if int(page.photometric) != PALETTE else 255.0
    if dtype.kind == "u":
        return 0.0, 2.0**page.bitspersample - 1
    if dtype.kind == "i":
        return 0.0, 2.0 ** (page.bitspersample - 1) - 1
    low, high = (
        float(np.max(tag.value)) if (tag := page.tags.get(code)) else usual for code, usual in ((340, 0), (341, 1))
    )
    return (low, high) if np.isfinite([low, high]).all() and high > low else (0.0, 1.0)
