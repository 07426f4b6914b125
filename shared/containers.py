"""Photographs as they are stored: in files of their own, or inside tar, Parquet and Arrow files."""

import ctypes
import mmap
import os
import threading
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from shared.errors import DatasetError
from shared.far.addresses import below, is_far
from shared.far.far_path import AnyPath
from shared.far.reading import on_disk, parquet_source, read_far, read_part, state_at_hand
from shared.own_reader import read_photograph

_BATCH_BYTES = 4 << 20  # photographs that are read from a Parquet file at once
_WINDOW = 4  # batches that stay at hand, because threads take neighbours out of order
_OPEN_FILES = 4
_FAR_BUFFER = 8 << 20  # of a Parquet file that is far away so much comes at once, of a column with so much
_MAPPED_BYTES = 32 << 20  # of an Arrow file that is read through, so much stays in memory
_UNKNOWN = 2**63  # behind every row, so that the next call begins anew
_ARROW_END = b"\xff\xff\xff\xff\0\0\0\0"


def read_member(item: dict) -> bytes:
    """The bytes of the item's photograph, as stored; may be called from any number of threads.

    `item` has "image_path" and, for one inside a container, "image_member": {"offset", "size"} of a tar or
    {"row", "column"} of a Parquet or Arrow file, or what read_photograph() takes.
    Neighbouring rows are quick: some megabytes around the
    last one stay in memory. Raises OSError, and DatasetError where the container has no such photograph.
    """
    path, member = item["image_path"], item.get("image_member")
    if member is None:
        with open(path, "rb") as file:
            return file.read()
    if "reader" in member:
        return read_photograph(path, member)
    if "offset" in member:
        stored = _part(path, member["offset"], member["size"])
        if len(stored) != member["size"]:
            raise DatasetError(f"{path} ends before the photograph at byte {member['offset']} does")
        return stored
    column = _open_column(path, member["column"], _state(path))
    return _image_bytes(column.value(member["row"]), path, member["row"])


def _part(path: str, start: int, size: int) -> bytes:
    if is_far(path):
        return read_part(path, start, size)
    with open(path, "rb", buffering=0) as file:
        return os.pread(file.fileno(), size, start)


def open_parquet(path: AnyPath | str) -> Any:
    """A pyarrow.parquet.ParquetFile that reads pages as they are asked for, not whole row groups."""
    import pyarrow.parquet

    source = parquet_source(path)
    buffer = 1 << 20 if source is path else _FAR_BUFFER
    return pyarrow.parquet.ParquetFile(source, memory_map=True, pre_buffer=False, buffer_size=buffer)


def open_arrow(path: AnyPath | str) -> tuple[Any, Iterator[Any]]:
    """The schema and the batches of a memory-mapped Arrow file, of the stream format or the file format."""
    import pyarrow as pa

    copy = on_disk(path)
    with open(copy, "rb") as file:
        is_file_format = file.read(6) == b"ARROW1"
    if is_file_format:
        reader = pa.ipc.open_file(pa.memory_map(str(copy)))
        batches = (reader.get_batch(place) for place in range(reader.num_record_batches))
        return reader.schema, map(_validated, batches)
    source = pa.memory_map(str(copy))
    stream = pa.ipc.open_stream(source)
    return stream.schema, map(_validated, _whole_stream(stream, source, path))


def _validated(batch: Any) -> Any:
    """Arrow believes what a damaged file says of places in it, and reads outside of it."""
    batch.validate(full=True)
    return batch


def _whole_stream(stream: Any, source: Any, path: AnyPath | str) -> Iterator[Any]:
    mapped = Mapped(source)
    for batch in stream:
        yield batch
        mapped.let_go(source.tell())
    # Arrow takes a stream that ends between two batches for a whole one; a writer that was killed leaves such.
    read = source.tell()
    source.seek(max(0, source.size() - len(_ARROW_END)))
    if source.read() != _ARROW_END:
        raise DatasetError(f"{path} is cut off: it has no end mark")
    if read < source.size():
        raise DatasetError(f"{path} is damaged: {source.size() - read} bytes behind its end")


class Mapped:
    """The pages of a file that was read forwards: what has been seen counts no longer as this process's memory."""

    def __init__(self, source: Any) -> None:
        place = source.tell()
        source.seek(0)
        self._whole = source.read_buffer()  # no copy: where the file is mapped
        source.seek(place)
        self._behind = 0

    def let_go(self, end: int) -> None:
        """Of all before byte `end`; a page that is looked at again comes from the file again."""
        page = mmap.PAGESIZE
        start = self._whole.address + self._behind
        length = (end - self._behind) // page * page
        if length >= _MAPPED_BYTES and start % page == 0:
            ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), mmap.MADV_DONTNEED)
            self._behind += length


class _Column:
    """One column of a Parquet or Arrow file, read forwards; a step back beyond the window begins anew."""

    def __init__(self, path: str, column: str) -> None:
        self._path, self._column = path, column
        self._lock = threading.Lock()
        self._window: deque[tuple[int, Any]] = deque(maxlen=_WINDOW)
        self._arrays: Iterator[Any] = iter(())
        self._next_row = 0
        self._is_parquet = path.lower().endswith(".parquet")
        names = (open_parquet(path).schema_arrow if self._is_parquet else open_arrow(path)[0]).names
        if column not in names:
            raise DatasetError(f'no column "{column}" in {path}')
        self._group_starts = _row_group_starts(path) if self._is_parquet else [0]
        self._start(0)

    def value(self, row: int) -> Any:
        with self._lock:
            for start, array in self._window:
                if start <= row < start + len(array):
                    return array[row - start].as_py()
            group_start = max(start for start in self._group_starts if start <= row)
            if row < self._next_row or group_start > self._next_row:
                self._start(group_start)
            start, self._next_row = self._next_row, _UNKNOWN
            for array in self._arrays:
                self._window.append((start, array))
                if row < start + len(array):
                    self._next_row = start + len(array)
                    return array[row - start].as_py()
                start += len(array)
            raise DatasetError(f"{self._path} has no row {row}")

    def _start(self, group_start: int) -> None:
        """Go to the row group that starts at this row; an Arrow file starts at row 0 only."""
        self._window.clear()
        self._next_row = group_start
        if self._is_parquet:
            file = open_parquet(self._path)
            groups = range(self._group_starts.index(group_start), file.num_row_groups)
            self._arrays = _parquet_arrays(file, self._column, groups)
        else:
            schema, batches = open_arrow(self._path)
            self._arrays = (batch.column(schema.get_field_index(self._column)) for batch in batches)


@lru_cache(maxsize=_OPEN_FILES)
def _open_column(path: str, column: str, state: tuple) -> _Column:
    """`state` is there so that a file that was replaced is opened anew."""
    return _Column(path, column)


def _state(path: str) -> tuple:
    if is_far(path):
        return state_at_hand(path)
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns


def _row_group_starts(path: str) -> list[int]:
    metadata = open_parquet(path).metadata
    starts = [0]
    for group in range(metadata.num_row_groups):
        starts.append(starts[-1] + metadata.row_group(group).num_rows)
    return starts[:-1] or [0]


def _parquet_arrays(file: Any, column: str, groups: range) -> Iterator[Any]:
    for group in groups:
        metadata = file.metadata.row_group(group)
        sizes = [metadata.column(place) for place in range(metadata.num_columns)]
        stored = sum(part.total_uncompressed_size for part in sizes if part.path_in_schema.split(".")[0] == column)
        rows = max(1, _BATCH_BYTES * metadata.num_rows // max(1, stored))
        for batch in file.iter_batches(min(rows, 1024), row_groups=[group], columns=[column], use_threads=False):
            yield batch.column(0)


def _image_bytes(value: Any, path: str, row: int) -> bytes:
    written = None
    if isinstance(value, dict):  # the datasets library: the bytes, or else the path they can be read from
        value, written = value.get("bytes"), value.get("path")
    if value is not None:
        return bytes(value)
    if not written:
        raise DatasetError(f"row {row + 1} of {path} has no photograph")
    if "://" in written:
        return read_far(written)
    folder = os.path.dirname(path)
    if not os.path.isabs(written) and os.path.normpath(written).split("/")[0] == "..":
        raise DatasetError(f"the path {written} leaves the folder {folder}")
    if is_far(path) and not os.path.isabs(written):
        return read_far(below(folder, written))
    with open(os.path.join(folder, written), "rb") as file:
        return file.read()
