"""Images of a step as members of tars, which people read with WebDataset, in place of a file each."""

import os
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from shared.files.names import file_name
from shared.files.pack import last_number
from shared.files.part_file import make_folder, sync_folder
from shared.files.small_files import write_all, write_at, write_file
from shared.seeding import name_hash
from shared.tars.members import MEMBER, index_of_tar, read_members, scan_members

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)


def member_name(key: str, field: str, suffix: str) -> str:
    """In the form of WebDataset, for which all files of an item have one name before the first dot."""
    return f"{file_name(key, '').replace('.', '%2E')}{f'.{field}' if field else ''}{suffix}"


class TarWriter:
    """Appends to the tars of one writer, `<name>-<number>.tar`.

    Members of which no record tells are left by a writer that died: they go when the next of that name begins. `named_in` says
    of which members of a tar records tell, by the hashes of their names.
    """

    bytes_of_a_file = 1 << 30  # and then the next one

    def __init__(self, folder: Path, root: Path, name: str, named_in: Callable[[str], set[int]]):
        self.folder, self.root, self.name, self.named_in = folder, root, name, named_in
        self._number = self._file = self._index = -1
        self._end = 0

    def current(self) -> str:
        """The tar in which the next members come."""
        if self._file < 0 or self._end >= self.bytes_of_a_file:
            self._open_next()
        return self._path().name

    def append(self, members: Iterable[tuple[str, bytes]]) -> None:
        """Returns when they are durable. Raises OSError."""
        entries, end = [], self._end
        for name, data in members:
            header = tarfile.TarInfo(name)
            header.size = len(data)
            block = header.tobuf(tarfile.PAX_FORMAT)
            entries.append((name_hash(name), end + len(block), len(data)))
            padded = block + data + bytes(-len(data) % _BLOCK)
            write_at(self._file, padded, end)
            end += len(padded)
        if entries:
            write_at(self._file, _END, end)
            os.fdatasync(self._file)
            write_all(self._index, np.array(entries, MEMBER).tobytes())
            os.fdatasync(self._index)
            self._end = end

    def close(self) -> None:
        for descriptor in (self._file, self._index):
            if descriptor >= 0:
                os.fdatasync(descriptor)
                os.close(descriptor)
        self._file = self._index = -1

    def _open_next(self) -> None:
        is_first = self._number < 0
        self.close()
        if is_first:
            self._number = last_number(self.folder.glob("*.tar"), self.name)
        self._end = self._mended() if is_first and self._number >= 0 else self.bytes_of_a_file
        if self._end >= self.bytes_of_a_file:
            self._number, self._end = self._number + 1, 0
            make_folder(self.folder, self.root)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(self._path(), flags, 0o644)
        self._index = os.open(index_of_tar(self._path()), flags | os.O_APPEND, 0o644)
        sync_folder(self.folder)

    def _mended(self) -> int:
        """Cut off what no record names; returns where the next member begins."""
        path = self._path()
        entries = read_members(path, path.stat().st_size)
        if not len(entries):
            entries = scan_members(path) if path.stat().st_size else entries
        is_named = np.isin(entries["hash"], np.fromiter(self.named_in(path.name), np.uint64))
        kept = entries[: int(np.flatnonzero(is_named)[-1]) + 1] if is_named.any() else entries[:0]
        end = int(kept["start"][-1] + kept["bytes"][-1]) if len(kept) else 0
        end += -end % _BLOCK
        with open(path, "r+b") as file:
            file.truncate(end)
            file.seek(end)
            file.write(_END)
        write_file(index_of_tar(path), kept.tobytes())
        return end

    def _path(self) -> Path:
        return self.folder / f"{self.name}-{self._number}.tar"
