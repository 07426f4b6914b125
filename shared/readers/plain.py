"""Values of any table as plain JSON."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.files.paths import absolute_paths

_PLAIN = {bool, int, type(None)}
_LARGEST = 2**64


def is_bytes(value: object) -> bool:
    """Bytes have no place in an item; photographs stay where they are."""
    return isinstance(value, bytes | bytearray | memoryview)


def carried_fields(row: Mapping[str, Any], folder: str) -> dict:
    """What an item keeps of its row: all but bytes; paths (fields ending in _path) against `folder`."""
    fields = {plain(str(field)): plain(value) for field, value in row.items() if not is_bytes(value)}
    fields.pop("unreadable", None)  # the readers' own word
    return absolute_paths(fields, folder)


def plain(value: Any) -> Any:
    """The value as JSON has it; bytes inside lists and structs are left out.

    Not-a-number and infinity become null, dates and times ISO 8601, durations seconds, decimals numbers, and
    integers of more than 64 bits their digits.
    """
    if type(value) is str:
        return value if value.isascii() else well_formed(value)
    if type(value) in _PLAIN:
        return str(value) if type(value) is int and not -_LARGEST // 2 <= value < _LARGEST else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {plain(str(field)): plain(inner) for field, inner in value.items() if not is_bytes(inner)}
    if isinstance(value, list | tuple | set):
        return [plain(inner) for inner in value if not is_bytes(inner)]
    if isinstance(value, Decimal):
        return plain(int(value) if value.is_finite() and value == value.to_integral_value() else float(value))
    if hasattr(value, "isoformat"):  # date, time, datetime, pandas.Timestamp
        return value.isoformat()
    if hasattr(value, "total_seconds"):
        return value.total_seconds()
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    return well_formed(str(value))


def well_formed(text: str) -> str:
    """Half a pair of surrogates, which a text cut inside an emoji ends with, becomes the replacement character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
