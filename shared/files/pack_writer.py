"""How the lines of a pack are written, mended and removed."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.files.pack import (
    LINE_ENTRY,
    NO_ROW,
    Lines,
    Pack,
    PackReader,
    index_of,
    last_number,
    read_index,
    whole_lines,
)
from shared.files.part_file import make_folder, sync_folder
from shared.files.small_files import write_all, write_at, write_file

LINES_TOGETHER = 4096  # lines that are written together when a pack is written anew


class Line(NamedTuple):
    """What one line is written with."""

    digest: int  # name_hash of its key
    row: int  # of the step's table; NO_ROW where that is not known
    data: bytes  # the JSON, with the newline


class PackWriter:
    """Appends to the files of one writer, `name`; it goes on with the last of them where that has room, unless `anew`."""

    def __init__(self, pack: Pack, name: str, anew: bool = False):
        self.pack, self.name, self.anew = pack, name, anew
        self._number = self._count = -1  # of the open file, and its lines; none is open yet
        self._file = self._index = -1

    def append(self, lines: list[Line]) -> None:
        """Returns when the lines are durable; each is whole or absent whatever happens before. Raises OSError."""
        if not lines:
            return
        if self._count >= 0 and not os.fstat(self._file).st_nlink:
            self.close()  # the file was removed
            self._number = -1
        if not 0 <= self._count < self.pack.lines_of_a_file:
            self._open_next()
        # What the index says too early does not count, see whole_lines(): so no reader has to look into lines that just come.
        write_all(self._index, np.array([(*line[:2], len(line.data)) for line in lines], LINE_ENTRY).tobytes())
        write_all(self._file, b"".join(line.data for line in lines))
        os.fdatasync(self._file)
        self._count += len(lines)

    def close(self) -> None:
        for descriptor in (self._file, self._index):
            if descriptor >= 0:
                os.fdatasync(descriptor)
                os.close(descriptor)
        self._file = self._index = self._count = -1

    def _open_next(self) -> None:
        """Open the last file of this writer, mended, or a new one where there is none or it is full."""
        if self._number < 0:
            self._number = last_number(self.pack.files(), self.name)
        has_room = False
        if self._number >= 0 and self._count < 0 and not self.anew:
            count = mend(self._path())
            has_room = count < self.pack.lines_of_a_file
        self.close()
        if has_room:
            self._count = count
        else:
            self._count, self._number = 0, self._number + 1
            make_folder(self.pack.folder, self.pack.root)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._file, self._index = (os.open(place, flags, 0o644) for place in (self._path(), index_of(self._path())))
        sync_folder(self.pack.folder)

    def _path(self) -> Path:
        return self.pack.folder / f"{self.name}-{self._number}.jsonl"


def remove_lines(pack: Pack, hashes: Iterable[int]) -> None:
    """Blank the lines of these keys, for good when this returns. Only while nobody writes."""
    wanted = np.fromiter(hashes, np.uint64)
    for lines in PackReader(pack).new() if len(wanted) else ():
        numbers = np.flatnonzero(np.isin(lines.entries["hash"], wanted))
        if len(numbers):
            blank_lines(lines, numbers)


def rewrite(pack: Pack, lines: Iterable[tuple[int, bytes]]) -> None:
    """Make a pack hold these lines (the hash of the key, and the line) and no others; they may be read from it meanwhile.

    Killed on the way it holds some lines twice. Only while nobody else writes.
    """
    before = pack.files()
    writer = PackWriter(pack, "kept", anew=True)
    group: list[Line] = []
    for digest, line in lines:
        group.append(Line(digest, NO_ROW, line))
        if len(group) == LINES_TOGETHER:
            writer.append(group)
            group = []
    writer.append(group)
    writer.close()
    for path in before:
        remove_file(path)


def mend(path: Path) -> int:
    """Cut off what a writer that died has half written, and complete the index; returns how many lines there are."""
    entries, end = whole_lines(path, 0, 0)
    if os.stat(path).st_size > end:
        os.truncate(path, end)
    write_file(index_of(path), entries.tobytes())
    return len(entries)


def blank_lines(lines: Lines, numbers: np.ndarray) -> None:
    """Overwrite lines of a file, then their hashes in its index. Its writer may append to it meanwhile."""
    if len(read_index(lines.path, 0)) <= numbers.max():
        mend(lines.path)
    sizes = lines.entries["bytes"][numbers].tolist()
    spaces = zip(lines.starts[numbers].tolist(), (b" " * (size - 1) + b"\n" for size in sizes), strict=True)
    overwrite(lines.path, spaces)
    overwrite(index_of(lines.path), ((number * LINE_ENTRY.itemsize, bytes(8)) for number in numbers.tolist()))


def overwrite(path: Path, pieces: Iterable[tuple[int, bytes]]) -> None:
    """Put bytes at places of a file that it has already; durable at the end."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for start, data in pieces:
            write_at(descriptor, data, start)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_file(path: Path) -> None:
    """Its index goes first: lines without one are read, and an index without lines is nobody's."""
    index_of(path).unlink(missing_ok=True)
    path.unlink()
