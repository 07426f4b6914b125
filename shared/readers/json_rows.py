"""Rows from JSON and JSON-lines files."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from shared.errors import DatasetError
from shared.readers.row import RowReader


def read_json_rows(path: Path, reader: RowReader) -> Iterator[dict]:
    """Items of a JSON file: a list of objects, or {"data": [...]}, larger than memory if need be."""
    import ijson

    with open(path, "rb") as file:
        file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
        start = file.tell()
        first = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
        if first not in (b"[", b"{"):
            raise DatasetError(f'{path.name} is not a list of objects, or {{"data": [...]}}')
        file.seek(start)
        try:
            rows = ijson.items(file, "item" if first == b"[" else "data.item", use_float=True)
            yield from _items(((number, row) for number, row in enumerate(rows, 1)), "entry", path, reader)
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DatasetError(f"{path.name} is not JSON: {reason}") from None


def read_json_lines(path: Path, reader: RowReader) -> Iterator[dict]:
    """Items of a file with one JSON object in each line; blank lines are passed over."""

    def rows() -> Iterator[tuple[int, Any]]:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            if text:
                yield number, parsed(text, f"line {number} of {path.name}")

    with open(path, "rb") as file:
        yield from _items(rows(), "line", path, reader)


def parsed(text: bytes, place: str) -> Any:
    """The JSON value; with the NaN and Infinity that Python's json module writes, as null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text, parse_constant=lambda _: None)
        except ValueError as error:
            raise DatasetError(f"{place} is not JSON: {error}") from None


def _items(rows: Iterator[tuple[int, Any]], noun: str, path: Path, reader: RowReader) -> Iterator[dict]:
    count = itertools.count(1)
    for place, row in rows:
        if not isinstance(row, dict):
            raise DatasetError(f"{noun} {place} of {path.name} is not a JSON object: {str(row)[:80]!r}")
        number = next(count)
        # Objects need not be alike: the first one shows a wrong name, a later one fails by itself.
        if number == 1:
            reader.check_columns(row)
        yield reader.item(row, number)
