"""Which way up a photograph is, read from its metadata by itself: whatever else is wrong in there does not matter."""

import re
import struct

from PIL import Image

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
INTEGERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # TIFF 6.0's types


def orientation_of(exif: bytes, xmp: bytes = b"") -> int:
    """1 to 8, as TIFF 6.0 has them, of an Exif block, with or without `Exif\\0\\0` before it; else of XMP; else 1."""
    return exif_orientation(exif.removeprefix(b"Exif\0\0")) or xmp_orientation(xmp) or 1


def exif_orientation(block: bytes) -> int:
    """0 where none is told that can be meant."""
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return 0
    try:
        [start] = struct.unpack_from(f"{order}I", block, 4)
        [count] = struct.unpack_from(f"{order}H", block, start)
        for place in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
            tag, kind, _ = struct.unpack_from(f"{order}HHI", block, place)
            if tag == ORIENTATION and kind in INTEGERS:
                [value] = struct.unpack_from(order + INTEGERS[kind], block, place + 8)
                return value if value in TURNS else 0
    except struct.error:
        pass
    return 0


def xmp_orientation(xmp: bytes) -> int:
    found = re.search(rb"""tiff:Orientation(?:=["']|>)\s*([1-8])""", xmp)
    return int(found[1]) if found else 0


def upright(image: Image.Image, orientation: int) -> Image.Image:
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)
