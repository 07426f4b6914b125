"""What the image files that people bring as masks say, in whichever of the usual ways it is stored."""

import numpy as np

from shared.decoding.decode import damage_told, load_by_pillow
from shared.decoding.formats import NotOpened, format_of
from shared.decoding.orientation import upright
from shared.decoding.tiff import needs_tifffile, numbers_of_tiff
from shared.light.colour import strongest_channel, weakest_channel

VOID = (224, 224, 192)  # Pascal VOC's colour of what is neither object nor background
VOID_NUMBER = 255  # and its number
MOST_THINGS = 64  # a picture of more different numbers is shades of grey
SHARE_OF_WHITE = 0.9  # a mask with shades reaches it somewhere
MOST_OF_BLACK = 16  # of a lossy picture; the background is no brighter


def opacity_of(data: bytes) -> np.ndarray:
    """How much of each pixel is the subject, HxW uint8, of a mask's bytes. Raises NotOpened.

    Read as what they are: shades of grey of 8 and 16 bit and floats, 0 and 1, numbers of classes or things (0 is the
    background), palettes and colours on black (Pascal VOC's void is left out), and cut-outs, whose transparency counts.
    """
    name = format_of(data)
    is_lossy = name == "JPEG" or b"VP8 " in data[:64]
    with damage_told(name):
        if name == "TIFF" and needs_tifffile(data):
            return opacity_of_values(numbers_of_tiff(data))
        stored = load_by_pillow(data, name)
        image = upright(stored.image, stored.orientation)
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() < alpha.max():
            return alpha
    if image.mode == "LA":
        image = image.getchannel("L")
    if image.mode in ("1", "L", "F", "I") or image.mode.startswith("I;16"):
        return of_numbers(np.asarray(image), is_lossy)
    return of_colours(np.asarray(image.convert("RGBA").convert("RGB")), is_lossy)


def opacity_of_values(values: np.ndarray) -> np.ndarray:
    """HxWxC: grey, grey with alpha, RGB, or RGB with alpha."""
    channels = values.shape[2]
    if channels in (2, 4) and values[:, :, -1].min() < values[:, :, -1].max():
        return scaled(values[:, :, -1], white_of(values))
    if channels < 3:
        return of_numbers(values[:, :, 0], is_lossy=False)
    return of_colours(scaled(values[:, :, :3], white_of(values)), is_lossy=False)


def of_colours(pixels: np.ndarray, is_lossy: bool) -> np.ndarray:
    """HxWx3 uint8; colours on black."""
    brightest = strongest_channel(pixels)
    if (brightest - weakest_channel(pixels)).max() <= (MOST_OF_BLACK if is_lossy else 0):
        return of_numbers(brightest, is_lossy)
    if is_flat(pixels):
        brightest = np.where((pixels == VOID).all(axis=-1), 0, brightest)
        is_subject = brightest > 0
        if is_subject.all() and (pixels != pixels[0, 0]).any():
            raise NotOpened("has several colours and none of them is black, which would be the background")
        return np.where(is_subject, np.uint8(255), np.uint8(0))
    if brightest.min() > MOST_OF_BLACK:
        raise NotOpened("has many colours, and neither black nor transparency for a background: is it the photograph?")
    return of_numbers(brightest, is_lossy=True)


def is_flat(pixels: np.ndarray) -> bool:
    """Whether the pixels (HxWx3) have few colours, each by itself."""
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    return len(np.unique(packed)) <= MOST_THINGS


def of_numbers(values: np.ndarray, is_lossy: bool) -> np.ndarray:
    """HxW, numbers of any type."""
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    values = np.maximum(values, 0)
    white = white_of(values)
    if is_lossy:
        peak = float(np.median(values[values >= values.max() / 2]))
        return scaled(values, peak if MOST_OF_BLACK < peak < SHARE_OF_WHITE * white else white)
    numbers, counts = np.unique(values, return_counts=True)
    if (len(numbers) <= 2 and numbers[0] == 0) or len(numbers) == 1:
        return scaled(values > 0, 1)
    things = (numbers > 0) & (numbers != VOID_NUMBER)
    highest = float(numbers[things].max(initial=0))
    has_void = numbers[-1] == VOID_NUMBER and highest <= MOST_THINGS / 2 and counts[things].sum() > counts[-1]
    if values.dtype.kind != "f" and len(numbers) <= MOST_THINGS:
        if has_void:
            return scaled((values > 0) & (values != VOID_NUMBER), 1)
        if numbers[-1] < SHARE_OF_WHITE * white:
            return scaled(values > 0, 1)
    return scaled(values, white)


def white_of(values: np.ndarray) -> float:
    """Of numbers of this size: 1 of floats, 255, or the largest of 16 or 32 bit."""
    top = float(values.max(initial=0))
    if values.dtype.kind == "f" and top <= 1:
        return 1.0
    return next((white for white in (255.0, 65535.0) if top <= white), 2.0**32 - 1)


def scaled(values: np.ndarray, white: float) -> np.ndarray:
    return np.clip(np.rint(values.astype(np.float32) * np.float32(255 / white)), 0, 255).astype(np.uint8)
