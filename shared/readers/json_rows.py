"""Rows from JSON and JSON-lines files."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import orjson

from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.far.reading import on_disk
from shared.readers.mended_json import MendedJson
from shared.readers.row import RowReader, faulty


def read_json_rows(path: AnyPath, reader: RowReader) -> Iterator[dict]:
    """Items of a JSON file: a list of objects, or {"data": [...]}, larger than memory if need be."""
    import ijson

    with open(on_disk(path), "rb") as file:
        file.seek(3 if file.read(3) == b"\xef\xbb\xbf" else 0)
        start = file.tell()
        first = next((byte for byte in iter(lambda: file.read(1), b"") if not byte.isspace()), b"")
        if first not in (b"[", b"{"):
            raise DatasetError(f'{path.name} is not a list of objects, or {{"data": [...]}}')
        file.seek(start)
        number = 0
        try:
            rows = ijson.items(MendedJson(file), "item" if first == b"[" else "data.item")
            for item in _items(
                ((f"entry {count} of {path.name}", with_floats(row)) for count, row in enumerate(rows, 1)), reader
            ):
                number += 1
                yield item
            if number == 0 and first == b"{":
                file.seek(start)
                fields = dict(_fields(MendedJson(file)))
                if fields.get("data") != "start_array":
                    raise DatasetError(_what_it_is(path, fields))
        except (ijson.JSONError, UnicodeDecodeError) as error:
            reason = str(error).strip().splitlines()[0]
            raise DatasetError(f"{path.name} is not JSON after entry {number}: {reason}") from None


def with_floats(value: Any) -> Any:
    """Numbers as other readers have them: ijson gives decimals, and integers of any length (as floats it would refuse them)."""
    if isinstance(value, dict):
        return {name: with_floats(one) for name, one in value.items()}
    if isinstance(value, list):
        return [with_floats(one) for one in value]
    is_long = isinstance(value, int) and not -(1 << 63) <= value < 1 << 64
    return float(value) if is_long or isinstance(value, Decimal) else value


def read_json_lines(path: AnyPath, reader: RowReader) -> Iterator[dict]:
    """Items of a file with one JSON object in each line; blank lines are passed over."""

    def rows() -> Iterator[tuple[str, Any]]:
        for number, line in enumerate(file, 1):
            text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
            place = f"line {number} of {path.name}"
            if text:
                try:
                    row = parsed(text, place)
                except DatasetError as error:
                    row = error
                yield place, row

    with open(on_disk(path), "rb") as file:
        yield from _items(rows(), reader)


def parsed(text: bytes, place: str) -> Any:
    """The JSON value; with the NaN and Infinity that Python's json module writes, as null."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            return json.loads(text, parse_constant=lambda _: None)
        except ValueError as error:
            raise DatasetError(f"{place} is not JSON: {error}") from None


def _items(rows: Iterator[tuple[str, Any]], reader: RowReader) -> Iterator[dict]:
    """`rows`: where each is, and what it is, or the error with which it could not be read."""
    is_checked = False
    for number, (place, row) in enumerate(rows, 1):
        if isinstance(row, DatasetError):
            yield faulty(number, str(row))
        elif not isinstance(row, dict):
            yield faulty(number, f"{place} is not a JSON object: {str(row)[:80]!r}")
        else:
            # Objects need not be alike: the first one shows a wrong name, a later one fails by itself.
            if not is_checked:
                reader = reader.for_columns(row)
                is_checked = True
            yield reader.item(row, number)


def _fields(file: Any) -> Iterator[tuple[str, str]]:
    """The fields of an object, and what begins behind each: "start_map", "start_array", "number" and so on."""
    import ijson

    name = None
    for prefix, event, value in ijson.parse(file):
        if prefix == "" and event == "map_key":
            name = value
        elif name is not None:
            yield name, event
            name = None


def _what_it_is(path: AnyPath, fields: dict[str, str]) -> str:
    """A sentence on a JSON object that has no list "data"."""
    lists = [name for name, event in fields.items() if event == "start_array"]
    form = f"{path.name} is an object of {', '.join(map(repr, list(fields)[:6])) or 'nothing'}"
    if {"images", "annotations"} <= set(lists):
        return f"{form}, as COCO has it; take the list: jq .images {path.name} > images.json, with image_key: file_name"
    if lists:
        return f"{form}; what is read is a list of objects: jq .{lists[0]} {path.name} > rows.json"
    if fields and set(fields.values()) == {"start_map"}:
        return (
            f'{form}, as pandas writes it by columns; what is read is a list of objects: to_json(..., orient="records")'
        )
    return f'{form}; what is read is a list of objects, or {{"data": [...]}}'
