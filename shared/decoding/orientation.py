"""Which way up a photograph is, read from its metadata by itself: whatever else is wrong in there does not matter."""

import re

from PIL import Image

from shared.decoding.exif import numbers_in

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # width and height change places


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """1 to 8, as TIFF 6.0 has them, of an Exif block, with or without `Exif\\0\\0` before it; else of XMP; else 1."""
    return exif_orientation(exif) or xmp_orientation(xmp) or 1


def exif_orientation(exif: bytes) -> int:
    """0 where none is told that can be meant."""
    value = numbers_in(exif, (ORIENTATION,)).get(ORIENTATION)
    return int(value) if value in TURNS else 0


def xmp_orientation(xmp: bytes) -> int:
    found = re.search(rb"""tiff:Orientation(?:=["']|>)\s*([1-8])""", xmp)
    return int(found[1]) if found else 0


def upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
