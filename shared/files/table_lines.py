"""The lines of a table, as they are read."""

import os
from collections.abc import Iterator

import orjson

from shared.errors import DatasetError

BLOCK = 1 << 20  # bytes that are read or written at once
NEWLINE = ord("\n")


def lines_one_by_one(file: int) -> Iterator[bytes]:
    """The lines with their newlines, read with pread, so that readers do not move each other's place."""
    for block in blocks_of(file):
        yield from split_lines(block)


def split_lines(block: bytes) -> list[bytes]:
    *lines, rest = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])


def blocks_of(file: int) -> Iterator[bytes]:
    """The same, as many together as are read at once."""
    offset = 0
    rest = b""
    while block := os.pread(file, BLOCK, offset):
        offset += len(block)
        whole, newline, rest_of_block = block.rpartition(b"\n")
        if newline:
            yield rest + whole + newline
            rest = rest_of_block
        else:
            rest += block
    yield rest


def parsed_row(line: bytes, row: int, name: str) -> dict:
    try:
        found = orjson.loads(line)
        if type(found["key"]) is str and line[-1] == NEWLINE:
            return found
    except (orjson.JSONDecodeError, TypeError, KeyError, IndexError):
        pass
    if not line.endswith(b"\n"):
        raise DatasetError(f"line {row + 1} of {name} is cut off; remove the table and run again")
    raise DatasetError(f'line {row + 1} of {name} is not a row, a JSON object with a "key": {line[:80]!r}')
