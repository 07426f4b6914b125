"""Images that a step has put into tars: `tars/0-0.tar/<member>` names one as if the tar were a folder."""

import os
import tarfile
from functools import lru_cache
from pathlib import Path

import numpy as np

from shared.seeding import name_hash

MEMBER = np.dtype([("hash", "<u8"), ("start", "<u8"), ("bytes", "<u8")])  # of its name; of its content
_INSIDE = ".tar/"


def inside_tar(path: str | os.PathLike) -> tuple[Path, str] | None:
    """The tar and the member that a path names; None where it names a file."""
    tar, inside, member = os.fspath(path).partition(_INSIDE)
    return (Path(tar + _INSIDE[:-1]), member) if inside and member else None


def member_size(path: str | os.PathLike) -> int | None:
    """The bytes of a member; None where there is none of that name, or no such tar."""
    found = _find(path)
    return found[2] if found else None


def read_member_file(path: str | os.PathLike) -> bytes:
    """Raises FileNotFoundError where there is no such member, or no such tar."""
    found = _find(path)
    if found is None:
        raise FileNotFoundError(f"there is no {path}")
    tar, start, size = found
    with open(tar, "rb") as file:
        return os.pread(file.fileno(), size, start)


def _find(path: str | os.PathLike) -> tuple[Path, int, int] | None:
    inside = inside_tar(path)
    if inside is None:
        return None
    tar, member = inside
    try:
        status = os.stat(tar)
    except OSError:
        return None
    entries = _entries(tar, status.st_size, status.st_mtime_ns)
    places = np.flatnonzero(entries["hash"] == np.uint64(name_hash(member)))
    if not len(places):
        return None
    return tar, int(entries["start"][places[-1]]), int(entries["bytes"][places[-1]])  # the last of that name counts


@lru_cache(maxsize=64)
def _entries(tar: Path, size: int, time: int) -> np.ndarray:
    """Of a tar as it is now; one that has grown since has another size."""
    entries = read_members(tar, size)
    return entries if len(entries) or not size else scan_members(tar)


def index_of_tar(tar: Path) -> Path:
    return tar.with_suffix(".index")


def read_members(tar: Path, size: int) -> np.ndarray:
    """(members) of MEMBER that the index tells of and that lie in the first `size` bytes; none where there is no index."""
    try:
        data = index_of_tar(tar).read_bytes()
    except FileNotFoundError:
        return np.zeros(0, MEMBER)
    entries = np.frombuffer(data[: len(data) // MEMBER.itemsize * MEMBER.itemsize], MEMBER)
    return entries[entries["start"] + entries["bytes"] <= np.uint64(size)]


def scan_members(tar: Path) -> np.ndarray:
    """The same of a tar whose index is gone."""
    with tarfile.open(tar, "r:") as file:
        found = [(name_hash(one.name), one.offset_data, one.size) for one in file]
    return np.array(found, MEMBER)
