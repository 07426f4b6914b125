"""Where each row of a JSON-lines file ends and the hash of its key, as a file that is memory-mapped."""

import os
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import IO

import numpy as np

from shared.seeding import name_digest

_MAGIC = int.from_bytes(b"rowends1", "little")
_HEADER_WORDS = 5  # magic, size of the table in bytes, rows, digest of the table (two words)
_WORD = np.dtype("<u8")


def are_among(hashes: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """(hashes) bool: which of them are in `ordered`."""
    if not len(ordered):
        return np.zeros(len(hashes), bool)
    return ordered[np.minimum(np.searchsorted(ordered, hashes), len(ordered) - 1)] == hashes


def is_among(value: int, ordered: np.ndarray) -> bool:
    return bool(are_among(np.array([value], np.uint64), ordered)[0])


class TableIndex:
    """The index of one table, read from `words`.

    `ends` (rows) uint64: the byte behind each row; `hashes` (rows) uint64: name_hash of each row's key.
    """

    def __init__(self, words: np.ndarray) -> None:
        rows = int(words[2])
        self.size = int(words[1])
        self.digest = words[3:5].tobytes().hex()
        self.ends = words[_HEADER_WORDS : _HEADER_WORDS + rows]
        self.hashes = words[_HEADER_WORDS + rows :]

    @classmethod
    def open(cls, path: Path, table: os.stat_result) -> "TableIndex | None":
        """The index at `path`, or None where it is not there, torn, or of another table.

        Its modification time is set to the table's, and its head has the table's size; a table that was
        changed, or copied without its times, differs in one of them.
        """
        try:
            status = os.stat(path)
            words = np.memmap(path, _WORD, mode="r").view(np.ndarray)
        except (OSError, ValueError):
            return None
        if len(words) < _HEADER_WORDS or words[0] != _MAGIC:
            return None
        fits = words[1] == table.st_size and len(words) == _HEADER_WORDS + 2 * int(words[2])
        return cls(words) if fits and status.st_mtime_ns == table.st_mtime_ns else None


class IndexWriter:
    """Makes the index in `file` while the table's lines go by."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._file.write(bytes(8 * _HEADER_WORDS))
        self._hashes = bytearray()  # 8 bytes a row, which the search for equal ones needs at once anyway
        self._content = blake2b(digest_size=16)
        self._size = 0
        self._rows = 0

    def add(self, block: bytes, lengths: np.ndarray, keys: Sequence[str]) -> None:
        """Take the next lines, the bytes of each (uint64), and their keys."""
        self._file.write((np.cumsum(lengths, dtype=_WORD) + np.uint64(self._size)).tobytes())
        self._hashes += b"".join(map(name_digest, keys))
        self._content.update(block)
        self._size += len(block)
        self._rows += len(lengths)

    def finish(self) -> tuple[TableIndex, np.ndarray]:
        """Complete the file. The caller syncs it and sets its time to the table's.

        Returns the index, and (n) uint64: the hashes that stand in several rows, none nearly always. They are looked for in
        the memory that holds the hashes anyway.
        """
        self._file.write(self._hashes)
        ordered = np.frombuffer(self._hashes, _WORD)
        ordered.sort()
        doubled = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        del ordered
        self._hashes.clear()
        self._file.seek(0)
        self._file.write(np.array([_MAGIC, self._size, self._rows], _WORD).tobytes() + self._content.digest())
        self._file.flush()
        return TableIndex(np.memmap(self._file, _WORD, mode="r").view(np.ndarray)), doubled
