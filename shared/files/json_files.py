"""The JSON files below a folder, each named after a key."""

import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

from shared.files.names import file_name
from shared.seeding import name_hash


def name_hashes(folder: Path) -> np.ndarray:
    """(files) uint64, in any order: the name_hash of every key that has a file in `folder`, from one listing."""
    hashes = array("Q")
    skip = len(os.fspath(folder)) + 1
    for entry in scan(folder):
        if entry.name.endswith(".json"):
            name = entry.path[skip : -len(".json")]
            key = key_inside(entry.path) if "%" in name else name
            if key is not None and (key == name or file_name(key, ".json") == name + ".json"):
                hashes.append(name_hash(key))
    return np.frombuffer(hashes, np.uint64) if hashes else np.zeros(0, np.uint64)


def key_inside(path: str) -> str | None:
    """The key that a record or failure states, where its name had to be escaped; None when it is torn."""
    try:
        with open(path, "rb") as file:
            key = orjson.loads(file.read())["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None


def json_files(folder: Path) -> Iterator[Path]:
    """All .json files below a folder, in no order; none where there is no folder."""
    for entry in scan(folder):
        if entry.name.endswith(".json"):
            yield Path(entry.path)


def scan(folder: Path | str) -> Iterator[os.DirEntry]:
    """Every file below a folder, a listing at a time: memory grows with the depth, not with the number of files."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return
    with entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from scan(entry.path)
            else:
                yield entry


def read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
