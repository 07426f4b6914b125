"""The numbers in an Exif block, one by one: whatever else is wrong in there does not matter."""

import struct
from collections.abc import Collection

# TIFF 6.0's types of numbers, as struct has them, and what a rational one is made of.
TIFF_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
TIFF_RATIONALS = {5: "II", 10: "ii"}


def numbers_in(exif: bytes, tags: Collection[int], inside: int = 0) -> dict[int, float]:
    """The first number of each of these tags that is there, and is one.

    `exif`: with or without `Exif\\0\\0` before it. `inside`: the tag of the first directory that tells where theirs is.
    """
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return {}
    try:
        [start] = struct.unpack_from(f"{order}I", block, 4)
        if inside:
            found = _directory(block, order, start, (inside,))
            return _directory(block, order, int(found[inside]), tags) if inside in found else {}
        return _directory(block, order, start, tags)
    except struct.error:
        return {}


def _directory(block: bytes, order: str, start: int, tags: Collection[int]) -> dict[int, float]:
    """Raises struct.error where there is none."""
    found: dict[int, float] = {}
    [count] = struct.unpack_from(f"{order}H", block, start)
    for place in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", block, place)
        if tag in tags and tag not in found:
            number = _number(block, order, kind, length, place + 8)
            if number is not None:
                found[tag] = number
    return found


def _number(block: bytes, order: str, kind: int, length: int, place: int) -> float | None:
    form = TIFF_NUMBERS.get(kind) or TIFF_RATIONALS.get(kind)
    if form is None:
        return None
    try:
        if length * struct.calcsize(f"{order}{form}") > 4:  # it lies elsewhere
            [place] = struct.unpack_from(f"{order}I", block, place)
        values = struct.unpack_from(order + form, block, place)
    except struct.error:
        return None
    if kind in TIFF_RATIONALS:
        return values[0] / values[1] if values[1] else None
    return values[0]
