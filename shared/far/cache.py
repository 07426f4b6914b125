"""Copies of far files on this machine's disk, shared by its processes: within a limit, what was used longest ago goes first."""

import fcntl
import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.errors import FarError
from shared.far.addresses import digest_of_address, shown_address
from shared.far.store import FarState

USUAL_LIMIT = 20  # GB; a home folder may be small, and a disk that is large says so with FAR_CACHE_GB
MOST_FILES = 100_000  # clusters count inodes
CLEARED_TO = 0.9  # of the limit, so that many processes, which do not count each other's, stay within it
COUNTED_AFTER = 0.01  # of the limit, which a process has written

_written = {"bytes": math.inf, "files": 0}  # by this process since it last counted what there is, which it begins with


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "relight" / "far"


def limit_in_bytes() -> int:
    said = os.environ.get("FAR_CACHE_GB") or USUAL_LIMIT
    try:
        return int(float(said) * 1e9)
    except (ValueError, OverflowError):
        raise FarError(f"FAR_CACHE_GB is {said!r}; it is a number of gigabytes, as {USUAL_LIMIT}") from None


def place_of_copy(address: str, state: FarState) -> Path:
    """Another content has another place, so a copy is never out of date."""
    digest = digest_of_address(address, *state)
    return cache_folder() / digest[:2] / digest[2:40]


def copy_of(address: str, state: FarState) -> Path | None:
    """Where the copy is, which counts as used just now; None where there is none."""
    path = place_of_copy(address, state)
    try:
        os.utime(path)
    except OSError:
        return None
    return path


def keep_copy(address: str, state: FarState, write: Callable[[str], object]) -> Path:
    """Make the copy, which `write(path)` writes: whole or not at all. Raises FarError where there is no room for it."""
    path, limit = place_of_copy(address, state), limit_in_bytes()
    if (state.size or 0) > limit:
        raise FarError(
            f"{shown_address(address)} has {state.size:,} bytes, more than FAR_CACHE_GB ({limit / 1e9:g}); set a larger one, and "
            "XDG_CACHE_HOME where the disk is small"
        )
    try:
        write_whole(path, write)
        clear_when_full(path.stat().st_size, limit)
    except OSError as error:
        raise no_place_for(address, error) from None
    return path


def no_place_for(address: str, error: OSError) -> FarError:
    return FarError(
        f"{shown_address(address)} cannot be kept in {cache_folder()}: {error.strerror or error}; XDG_CACHE_HOME names another "
        "place, FAR_CACHE_GB how much it may take"
    )


def write_whole(path: Path, write: Callable[[str], object]) -> None:
    cache_folder().mkdir(0o700, parents=True, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        write(str(part))
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def alone_with(address: str) -> Iterator[None]:
    """One process or thread at a time fetches a large file; the others then find it."""
    path = cache_folder() / "locks" / digest_of_address(address)[:2]
    try:
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        lock = open(path, "ab")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise no_place_for(address, error) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def clear_when_full(size: int, limit: int) -> None:
    _written["bytes"] += size
    _written["files"] += 1
    if _written["bytes"] >= limit * COUNTED_AFTER or _written["files"] >= MOST_FILES * COUNTED_AFTER:
        _written.update(bytes=0, files=0)
        clear_oldest(limit)


def clear_oldest(limit: int) -> None:
    """Remove copies, and parts that killed processes have left, until the rest fits. What is open stays readable."""
    found = []
    for folder in cache_folder().glob("??"):
        for entry in os.scandir(folder):
            try:
                status = entry.stat()
            except FileNotFoundError:  # another process clears too
                continue
            found.append((status.st_mtime_ns, status.st_size, entry.path))
    found.sort()
    total, count = sum(size for _, size, _ in found), len(found)
    if total <= limit * CLEARED_TO and count <= MOST_FILES * CLEARED_TO:
        return
    for _, size, path in found[:-1]:  # the newest was fetched to be read now
        if total <= limit * CLEARED_TO and count <= MOST_FILES * CLEARED_TO:
            break
        Path(path).unlink(missing_ok=True)
        total, count = total - size, count - 1
