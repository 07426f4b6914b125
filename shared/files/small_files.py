"""Small files that are whole or absent, whatever happens while they are written."""

import json
import os
from pathlib import Path
from typing import Any

import orjson

from shared.files.part_file import PartFile, sync_folder


def write_file(path: Path, data: bytes) -> bool:
    """Write beside, sync, rename, sync the folder. Equal content is left untouched; True if the file changed."""
    try:
        if path.stat().st_size == len(data) and path.read_bytes() == data:
            return False
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
    with PartFile(path) as part:
        part.file.write(data)
        part.sync()
        part.replace()
    sync_folder(path.parent)
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Replace without syncing: for files that only people look at, such as progress."""
    with PartFile(path) as part:
        part.file.write(data)
        part.file.flush()
        part.replace()


def write_synced(path: Path, data: bytes) -> None:
    """Write a file in one go and sync it. Its name is not durable before sync_folder()."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_at(descriptor: int, data: bytes, start: int) -> None:
    """The same at a place of the file."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, start)
        view, start = view[written:], start + written


def read_json(path: Path) -> dict:
    """A JSON object that the project wrote; empty when it is not there or torn, which only costs making it again."""
    try:
        value = orjson.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_json(path: Path, value: Any) -> bool:
    return write_file(path, (json.dumps(value, ensure_ascii=False, indent=2) + "\n").encode())


def write_text(path: Path, text: str) -> bool:
    return write_file(path, text.encode("utf-8", "surrogateescape"))


def write_bytes(path: Path, data: bytes) -> bool:
    return write_file(path, data)
