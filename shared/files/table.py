"""A table of rows on disk: a JSON-lines file with an index, written whole or not at all."""

import filecmp
import os
import re
import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import orjson

from shared.errors import DatasetError
from shared.files.equal_keys import DerivedKey, EqualKeys
from shared.files.part_file import PartFile, sync_folder
from shared.files.paths import absolute_paths, relative_paths
from shared.files.table_index import IndexWriter, TableIndex
from shared.files.table_lines import BLOCK, blocks_of, lines_one_by_one, parsed_row, split_lines

__all__ = ["DatasetError", "Table"]

_RELATIVE = re.compile(rb'_path":(?!"/|null)')  # of a field of a row, or of one inside another


class Table(Sequence[dict]):
    """The rows of a JSON-lines file, each a dict with its own "key".

    A row is found in constant time and memory, from any number of threads. Its paths (fields ending in
    _path) are absolute in memory. A table that is replaced on disk stays readable here as it was. Raises
    DatasetError where the file is missing, torn, has a line that is no row, or two rows with one key.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(os.path.abspath(path))
        self._folder = str(self.path.parent)
        try:
            self._file = os.open(self.path, os.O_RDONLY)
        except FileNotFoundError:
            raise DatasetError(f"there is no table {self.path}") from None
        weakref.finalize(self, os.close, self._file)
        index = TableIndex.open(index_path(self.path), os.fstat(self._file))
        self._index = index or _rebuilt_index(self.path, self._file)

    @property
    def hashes(self) -> np.ndarray:
        """(rows) uint64, memory-mapped: name_hash of each row's key."""
        return self._index.hashes

    @property
    def digest(self) -> str:
        """128 bits of the file's bytes in hex: equal exactly when the files are equal."""
        return self._index.digest

    def __len__(self) -> int:
        return len(self._index.ends)

    def __getitem__(self, index: Any) -> Any:
        """The row (a dict of its own) at `index`; negative ones count from the end."""
        row = range(len(self))[index]
        if not isinstance(row, int):
            raise TypeError(f"a table is read row by row, not {index}; see IndexedDataset")
        start = int(self._index.ends[row - 1]) if row else 0
        line = os.pread(self._file, int(self._index.ends[row]) - start, start)
        return absolute_paths(parsed_row(line, row, self.path.name), self._folder)

    def rows(self, places: Sequence[int]) -> list[dict]:
        """The rows at some places, which go up; those that lie close together are read at once."""
        if not places:
            return []
        first, last = places[0], places[-1]
        start = int(self._index.ends[first - 1]) if first else 0
        ends = self._index.ends[first : last + 1] - np.uint64(start)
        if last - first > 2 * len(places) or int(ends[-1]) > BLOCK:
            return [self[place] for place in places]
        block, bounds = os.pread(self._file, int(ends[-1]), start), [0, *ends.tolist()]
        lines = ((place, block[bounds[place - first] : bounds[place - first + 1]]) for place in places)
        return [absolute_paths(parsed_row(line, place, self.path.name), self._folder) for place, line in lines]

    def __iter__(self) -> Iterator[dict]:
        folder, name, row = self._folder, self.path.name, 0
        for block in blocks_of(self._file):
            has_relative = _RELATIVE.search(block)
            for line in split_lines(block):
                found = parsed_row(line, row, name)
                yield absolute_paths(found, folder) if has_relative else found
                row += 1

    @staticmethod
    def remove(path: Path) -> None:
        """With its index; nothing where there is none."""
        for place in (path, index_path(path)):
            place.unlink(missing_ok=True)

    def put_at(self, path: Path) -> None:
        """Make this the table at `path`, in the same folder; one there with the same bytes is kept, with its time."""
        if not self.is_at(path):
            os.replace(self.path, path)
            os.replace(index_path(self.path), index_path(path))
            sync_folder(path.parent)

    def copy_to(self, path: Path) -> None:
        """Make `path` a table of the same lines; one there is kept, with its time. See has_same_lines_anywhere()."""
        if not self.is_at(path):
            with PartFile(path) as part, PartFile(index_path(path)) as index_part:
                for copy, source in ((part, self.path), (index_part, index_path(self.path))):
                    with open(source, "rb") as file:
                        shutil.copyfileobj(file, copy.file, BLOCK)
                    copy.sync()
                os.utime(index_part.part, ns=(os.stat(part.part).st_mtime_ns,) * 2)
                part.replace()
                index_part.replace()
                sync_folder(path.parent)

    def is_at(self, path: Path) -> bool:
        """Whether a table of the same bytes lies there."""
        try:
            return Table(path).digest == self.digest
        except DatasetError:
            return False

    def has_same_lines_anywhere(self) -> bool:
        """Whether its lines would be the same in another folder, since no path in them is relative."""
        return not any(_RELATIVE.search(line) for line in blocks_of(self._file))

    @classmethod
    def write(
        cls,
        path: str | os.PathLike,
        rows: Iterable[dict],
        run_folder: str | os.PathLike,
        name: str | None = None,
    ) -> "Table":
        """Write `rows` to `path` as they come; a crash, or an error in `rows`, leaves the old table.

        Memory grows by 17 bytes a row. A table with the same bytes is kept, with its time. `name` is what
        the rows came from, for the sentences of the DatasetErrors: two rows with one key (EqualKeys, where it
        is a DerivedKey), a row without a key, a value that is not JSON.
        """
        target, run = Path(os.path.abspath(path)), os.path.abspath(run_folder)
        folder = str(target.parent)
        written = (relative_paths(row, folder, run) for row in rows)
        return cls.write_encoded(target, _in_blocks(_json_lines(written, name or target.name)), name)

    @classmethod
    def write_encoded(
        cls, path: str | os.PathLike, blocks: Iterable["EncodedRows"], name: str | None = None
    ) -> "Table":
        """The same of rows that are lines already, with the paths as the table has them."""
        target = Path(os.path.abspath(path))
        with PartFile(target) as part, PartFile(index_path(target)) as index_part:
            index, doubled, derived = _write_blocks(blocks, part.file, index_part.file)
            part.file.flush()
            _check_keys(index, doubled, part.file.fileno(), name or target.name, derived)
            is_kept = target.exists() and filecmp.cmp(target, part.part, shallow=False)
            if not is_kept:
                part.sync()
            table_time = os.stat(target if is_kept else part.part).st_mtime_ns
            index_part.sync()
            os.utime(index_part.part, ns=(table_time, table_time))
            if not is_kept:
                part.replace()
            index_part.replace()
            sync_folder(target.parent)
        return cls(target)


class EncodedRows(NamedTuple):
    """Some rows of a table as they lie on disk."""

    block: bytes  # the lines, each with its newline
    lengths: np.ndarray  # (rows) uint64, bytes of each line
    keys: Sequence[str]
    derived: bytes  # one for each row: whether its key is a DerivedKey


def index_path(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def encoded_rows(rows: Iterable[dict], name: str, start: int = 0) -> EncodedRows:
    """All of some rows, of which `start` came before; see Table.write. Raises DatasetError."""
    return _block_of(list(_json_lines(rows, name, start)))


def _json_lines(rows: Iterable[dict], name: str, start: int = 0) -> Iterator[tuple[bytes, str]]:
    """Each row's line and key."""
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    for number, row in enumerate(rows, start + 1):
        key = row.get("key")
        if not isinstance(key, str) or not key:
            raise DatasetError(f"row {number} of {name} has no key: {key!r}")
        try:
            yield orjson.dumps(row, option=options), key
        except TypeError as error:
            raise DatasetError(f"row {number} of {name} cannot be written as JSON: {error}") from None


def _in_blocks(lines: Iterable[tuple[bytes, str]]) -> Iterator[EncodedRows]:
    pending: list[tuple[bytes, str]] = []
    size = 0
    for line in lines:
        pending.append(line)
        size += len(line[0])
        if size >= BLOCK:
            yield _block_of(pending)
            pending, size = [], 0
    yield _block_of(pending)


def _block_of(lines: list[tuple[bytes, str]]) -> EncodedRows:
    lengths = np.fromiter((len(line) for line, _ in lines), dtype="<u8", count=len(lines))
    keys = [key for _, key in lines]
    derived = bytes(isinstance(key, DerivedKey) for key in keys)
    return EncodedRows(b"".join(line for line, _ in lines), lengths, keys, derived)


def _write_blocks(
    blocks: Iterable[EncodedRows], file: IO[bytes] | None, index_file: IO[bytes]
) -> tuple[TableIndex, np.ndarray, bytearray]:
    """Returns the index, the hashes of several rows, and a byte for each row: whether its key is derived."""
    index, derived = IndexWriter(index_file), bytearray()
    for block in blocks:
        index.add(block.block, block.lengths, block.keys)
        derived += block.derived
        if file is not None:
            file.write(block.block)
    return *index.finish(), derived


def _check_keys(index: TableIndex, doubled: np.ndarray, file: int, name: str, derived: bytearray | None = None) -> None:
    """Raises DatasetError where two rows have one key; `doubled` are the hashes that several have."""
    first_rows: dict[str, int] = {}
    seen: Counter[str] = Counter()
    counts: dict[int, int] = {}
    rows = np.flatnonzero(np.isin(index.hashes, doubled)) if len(doubled) else ()
    for row in map(int, rows):
        start = int(index.ends[row - 1]) if row else 0
        key = parsed_row(os.pread(file, int(index.ends[row]) - start, start), row, name)["key"]
        if derived and key in first_rows and (derived[row] or derived[first_rows[key]]):
            # The one whose key was given keeps it.
            renamed = row if derived[row] else first_rows[key]
            seen[key] += 1
            counts[renamed] = seen[key] + 1
            first_rows[key] = first_rows[key] if derived[row] else row
            continue
        if key in first_rows:
            raise DatasetError(
                f'rows {first_rows[key] + 1} and {row + 1} of {name} both have the key "{key}"; '
                "keys name the records, so each must be its own"
            )
        first_rows[key] = row
    if counts:
        raise EqualKeys(counts, min(seen))


def _rebuilt_index(path: Path, file: int) -> TableIndex:
    lines = ((line, parsed_row(line, row, path.name)["key"]) for row, line in enumerate(lines_one_by_one(file)))
    try:
        part = PartFile(index_path(path))
    except OSError:  # a folder that we may not write to: the index lives as long as this table
        with tempfile.TemporaryFile() as temporary:
            index, doubled, _ = _write_blocks(_in_blocks(lines), None, temporary)
            _check_keys(index, doubled, file, path.name)
            return index
    with part:
        table_time = os.fstat(file).st_mtime_ns
        index, doubled, _ = _write_blocks(_in_blocks(lines), None, part.file)
        _check_keys(index, doubled, file, path.name)
        part.sync()
        os.utime(part.part, ns=(table_time, table_time))
        part.replace()
        sync_folder(path.parent)
        return index
