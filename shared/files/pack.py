"""Many JSON objects in few files: a line each, and beside each file an index of its lines. This is how they are read."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from shared.seeding import name_hash

NO_ROW = 0xFFFFFFFF
# One line: the hash of its key (0: the line was removed), the row of the step's table that it is about, its bytes.
LINE_ENTRY = np.dtype([("hash", "<u8"), ("row", "<u4"), ("bytes", "<u4")])


class Lines(NamedTuple):
    """Some lines of one file of a pack, as its index has them."""

    path: Path
    entries: np.ndarray  # (lines) of LINE_ENTRY
    starts: np.ndarray  # (lines) uint64, the byte at which each begins


class Pack:
    """The lines in one folder, `<writer>-<number>.jsonl`; a file has one writer at a time.

    A line is there when it is whole with its newline; the index only spares reading them. What a writer that died has left
    half written is no line, and goes when the next writer of that name begins. A line that was removed is blank.
    """

    lines_of_a_file = 1 << 15  # and then the next one; with their indexes, ten million lines are some six hundred files

    def __init__(self, folder: Path, root: Path):
        self.folder, self.root = folder, root  # `root` is there before

    def files(self) -> list[Path]:
        try:
            names = os.listdir(self.folder)
        except FileNotFoundError:
            return []
        return [self.folder / name for name in sorted(names) if name.endswith(".jsonl")]

    def hashes(self) -> np.ndarray:
        """(lines) uint64: name_hash of the key of every line that was not removed."""
        found = [lines.entries["hash"] for lines in PackReader(self).new()]
        hashes = np.concatenate([np.zeros(0, np.uint64), *found])
        return hashes[hashes != 0]

    def each(self) -> Iterator[bytes]:
        """Every line that was not removed, in no order."""
        for path in self.files():
            yield from lines_of_file(path)

    def digest(self) -> str:
        """Changes with every line that comes or goes: from the files' names, sizes and times. Nothing: there is no file."""
        total = 0
        paths = self.files()
        for path in paths:
            status = os.stat(path)
            total += name_hash(f"{path.name}|{status.st_size}|{status.st_mtime_ns}")
        return f"{len(paths)}-{total & (1 << 128) - 1:x}" if paths else ""


class PackReader:
    """The lines of a pack, and later those that have come since."""

    def __init__(self, pack: Pack):
        self.pack = pack
        self._seen: dict[Path, tuple[int, int]] = {}  # lines, and where the last of them ends

    def new(self) -> Iterator[Lines]:
        """What was not given before, file by file. A file that is full is not looked at again."""
        for path in self.pack.files():
            count, end = self._seen.get(path, (0, 0))
            if count >= self.pack.lines_of_a_file:
                continue
            try:
                entries, last = whole_lines(path, count, end)
            except FileNotFoundError:  # it was removed meanwhile
                continue
            if len(entries):
                self._seen[path] = count + len(entries), last
                starts = np.cumsum(entries["bytes"], dtype=np.uint64) - entries["bytes"] + np.uint64(end)
                yield Lines(path, entries, starts)


def lines_of_file(path: Path) -> Iterator[bytes]:
    """The lines of one file that were not removed; none where it is gone."""
    try:
        with open(path, "rb") as file:
            entries, _ = whole_lines(path, 0, 0)
            for line, digest in zip(file, entries["hash"].tolist(), strict=False):
                if digest:
                    yield line
    except FileNotFoundError:
        return


def writer_of(path: Path) -> str:
    """Whose a file is: `<writer>-<number>` is what it is called."""
    return path.stem.rpartition("-")[0]


def last_number(paths: Iterable[Path], writer: str) -> int:
    """Of the files of one writer; -1 where there is none."""
    return max((int(path.stem.rpartition("-")[2]) for path in paths if writer_of(path) == writer), default=-1)


def index_of(path: Path) -> Path:
    return path.with_suffix(".index")


def whole_lines(path: Path, count: int, start: int) -> tuple[np.ndarray, int]:
    """(lines) of LINE_ENTRY: those behind the first `count`, which end at byte `start`; and where the last one ends.

    The index may say more than is there, as of lines that a writer begins with, and after a power failure less: then the lines
    are read.
    """
    size = os.stat(path).st_size  # before the index is read
    if size <= start:
        return np.zeros(0, LINE_ENTRY), start
    entries = read_index(path, count)
    ends = np.cumsum(entries["bytes"], dtype=np.int64) + start
    is_whole = (entries["bytes"] > 0) & (ends <= size)
    if not is_whole.all():
        entries = entries[: int(np.argmin(is_whole))]
    end = int(ends[len(entries) - 1]) if len(entries) else start
    with open(path, "rb") as file:
        if len(entries) and os.pread(file.fileno(), 1, end - 1) != b"\n":
            entries, end = entries[:0], start  # what it names was never written, though there is room for it
        if end < size:
            more = entries_of(os.pread(file.fileno(), size - end, end))
            entries = np.concatenate([entries, more])
            end += int(more["bytes"].sum(dtype=np.int64))
    return entries, end


def read_index(path: Path, count: int) -> np.ndarray:
    try:
        with open(index_of(path), "rb") as file:
            file.seek(count * LINE_ENTRY.itemsize)
            data = file.read()
    except FileNotFoundError:
        data = b""
    return np.frombuffer(data[: len(data) // LINE_ENTRY.itemsize * LINE_ENTRY.itemsize], LINE_ENTRY)


def entries_of(text: bytes) -> np.ndarray:
    """(lines) of LINE_ENTRY, of the whole lines in `text`; one that is blank, or no object with a key, has no hash."""
    found = []
    for line in text.split(b"\n")[:-1]:
        try:
            digest = name_hash(orjson.loads(line)["key"])
        except (ValueError, KeyError, TypeError, AttributeError):
            digest = 0
        found.append((digest, NO_ROW, len(line) + 1))
    return np.array(found, LINE_ENTRY)
