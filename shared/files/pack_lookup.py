"""Where the line of a key is in a pack."""

import os
import weakref
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shared.files.pack import Lines, Pack, PackReader
from shared.seeding import name_hash

FILES_OPEN = 64
SPREAD = 4  # times what is wanted is read at once, at most
MOST_RECENT = 1 << 15  # lines, before they are put in order


class Lookup:
    """Where the line of each key is. 24 bytes of memory a line, and while there are none next to nothing."""

    def __init__(self, pack: Pack):
        self.pack = pack
        self._reader = PackReader(pack)
        self._files: list[Path] = []
        self._hashes = np.zeros(0, np.uint64)  # in order
        self._places = np.zeros(0, [("file", "<u4"), ("bytes", "<u4"), ("start", "<u8")])
        self._recent: dict[int, tuple[int, int, int]] = {}  # what came since they were put in order
        self._open: dict[int, int] = {}  # file -> its descriptor
        weakref.finalize(self, close_all, self._open)

    def _update(self) -> None:
        """Take note of the lines that have come since."""
        new = list(self._reader.new())
        if sum(len(lines.entries) for lines in new) + len(self._recent) > MOST_RECENT:
            self._put_in_order(new)
            return
        for lines in new:
            self._files.append(lines.path)
            for entry, start in zip(lines.entries.tolist(), lines.starts.tolist(), strict=True):
                if entry[0]:
                    self._recent[entry[0]] = (len(self._files) - 1, entry[2], start)

    def read(self, key: str) -> bytes | None:
        """The line of a key; None where there is none."""
        return self.read_many([key])[0]

    def read_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The same of many keys; lines that lie close together, as those of neighbouring rows do, are read at once."""
        digests = list(map(name_hash, keys))
        places = self._find(digests)
        if None in places:
            self._update()
            places = self._find(digests)
        lines: list[bytes | None] = [None] * len(keys)
        by_file = defaultdict(list)
        for number, place in enumerate(places):
            if place is not None:
                by_file[place[0]].append((place[2], place[1], number))
        for file, wanted in by_file.items():
            first, last = min(wanted)[0], max(start + size for start, size, _ in wanted)
            is_close = last - first <= SPREAD * sum(size for _, size, _ in wanted)
            block = os.pread(self._descriptor(file), last - first, first) if is_close else None
            for start, size, number in wanted:
                line = block[start - first :][:size] if block else os.pread(self._descriptor(file), size, start)
                lines[number] = None if line.isspace() else line  # it was removed meanwhile
        return lines

    def _find(self, digests: list[int]) -> list[tuple[int, int, int] | None]:
        wanted = np.array(digests, np.uint64)
        places = np.searchsorted(self._hashes, wanted, "right") - 1
        is_there = (self._hashes[places] == wanted).tolist() if len(self._hashes) else [False] * len(digests)
        found = self._places[places].tolist() if len(self._hashes) else digests
        known = zip(digests, is_there, found, strict=True)
        return [self._recent.get(digest) or (place if is_known else None) for digest, is_known, place in known]

    def _descriptor(self, file: int) -> int:
        if file not in self._open:
            if len(self._open) == FILES_OPEN:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[file] = os.open(self._files[file], os.O_RDONLY | os.O_CLOEXEC)
        return self._open[file]

    def _put_in_order(self, new: list[Lines]) -> None:
        hashes, places = [self._hashes], [self._places]
        hashes.append(np.fromiter(self._recent, np.uint64))
        places.append(np.array(list(self._recent.values()), self._places.dtype))
        self._recent = {}
        for lines in new:
            is_there = lines.entries["hash"] != 0
            hashes.append(lines.entries["hash"][is_there])
            some = np.empty(len(hashes[-1]), self._places.dtype)
            some["file"], some["bytes"], some["start"] = (
                len(self._files), lines.entries["bytes"][is_there], lines.starts[is_there],
            )  # fmt: skip
            self._files.append(lines.path)
            places.append(some)
        self._hashes = np.concatenate(hashes)
        order = np.argsort(self._hashes, kind="stable")
        self._hashes = self._hashes[order]
        self._places = np.concatenate(places)[order]


def close_all(descriptors: dict[int, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
