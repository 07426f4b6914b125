"""Reading far files: whole photographs, parts of tars, Parquet by ranges, and tables from their copy on the disk."""

import io
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.errors import FarError
from shared.far.addresses import is_far, is_web, objection_to
from shared.far.cache import alone_with, copy_of, keep_copy, limit_in_bytes
from shared.far.far_path import AnyPath, FarPath
from shared.far.store import FarState, bytes_of_file, download_to, range_of_file, state_of_file

FETCHED_AHEAD = 2  # files that are on their way while one is read

# Of tars and Parquet files, of which many photographs are read: the launcher looks anew whenever the input is read.
_states: dict[str, FarState] = {}


def read_far(address: str) -> bytes:
    """A photograph, from its copy where that is still what the address holds. Raises FarError."""
    check_address(address)
    state = state_of_file(address)
    if (stored := read_copy(address, state)) is not None:
        return stored
    data = bytes_of_file(address)
    if state.tag and len(data) <= limit_in_bytes():
        with suppress(FarError):  # a disk that is full costs the next step another transfer, and no photograph
            keep_copy(address, state, lambda part: Path(part).write_bytes(data))
    return data


def read_part(address: str, start: int, size: int) -> bytes:
    """A member of a tar: from the copy that was made to read its names, or by its range. Raises FarError."""
    state = state_at_hand(address)
    if is_web(address):
        local_copy(address, state)
    stored = read_copy(address, state, start, size)
    return range_of_file(address, start, start + size) if stored is None else stored


def read_copy(address: str, state: FarState, start: int = 0, size: int | None = None) -> bytes | None:
    path = copy_of(address, state)
    if path is None:
        return None
    try:
        with open(path, "rb", buffering=0) as file:
            return os.pread(file.fileno(), os.fstat(file.fileno()).st_size if size is None else size, start)
    except FileNotFoundError:  # it was the oldest after all
        return None


def local_copy(address: str, state: FarState) -> Path:
    """The whole file, fetched once for all processes of this machine. Raises FarError."""
    check_address(address)
    if path := copy_of(address, state):
        return path
    with alone_with(address):
        return copy_of(address, state) or keep_copy(address, state, lambda part: download_to(address, state.size, part))


def on_disk(path: AnyPath | str) -> Path:
    """Where a reader opens an input: itself, or its copy."""
    if isinstance(path, FarPath):
        return local_copy(path.address, noted_state(path))
    return local_copy(str(path), state_at_hand(str(path))) if is_far(path) else Path(path)


def fetched_ahead(paths: Iterable[AnyPath]) -> Iterator[AnyPath]:
    """The same paths, and far files that are read as a whole are on their way to the disk before their turn comes."""
    waiting: deque[tuple[AnyPath, Future | None]] = deque()
    with ThreadPoolExecutor(FETCHED_AHEAD, thread_name_prefix="fetch") as pool:
        try:
            for path in paths:
                is_fetched = isinstance(path, FarPath) and (is_web(path.address) or path.suffix.lower() != ".parquet")
                waiting.append((path, pool.submit(on_disk, path) if is_fetched else None))
                if len(waiting) > FETCHED_AHEAD:
                    yield arrived(*waiting.popleft())
            while waiting:
                yield arrived(*waiting.popleft())
        finally:
            for _, future in waiting:
                if future is not None:
                    future.cancel()


def arrived(path: AnyPath, future: Future | None) -> AnyPath:
    if future is not None:
        future.result()
    return path


def parquet_source(path: AnyPath | str) -> Any:
    """What pyarrow opens: of an object store the file itself, of which it reads what it needs; else itself, or its copy."""
    address = path.address if isinstance(path, FarPath) else str(path)
    if not is_far(address):
        return path
    state = noted_state(path) if isinstance(path, FarPath) else state_at_hand(address)
    if is_web(address) or state.size is None:
        return local_copy(address, state)
    check_address(address)
    return RangeFile(address, state.size)


def state_at_hand(address: str) -> FarState:
    """Of a tar or a Parquet file, looked at once in this process."""
    if address not in _states:
        _states[address] = state_of_file(address)
    return _states[address]


def noted_state(path: FarPath) -> FarState:
    _states[path.address] = path.state
    return path.state


def check_address(address: str) -> None:
    if reason := objection_to(address):
        raise FarError(reason)


class RangeFile(io.RawIOBase):
    """A far file of which each read is a range; nothing is read ahead, for what follows may be photographs nobody asks for."""

    def __init__(self, address: str, size: int) -> None:
        self.address, self.size, self.place = address, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.place = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence]
        return self.place

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self.size - self.place)
        length = rest if size is None or size < 0 else min(size, rest)
        data = range_of_file(self.address, self.place, self.place + length) if length else b""
        self.place += len(data)
        return data
