"""Records and failures: one JSON file per item, whole or absent, in place after the images it names."""

import errno
import hashlib
import io
import os
import shutil
import socket
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from shared.durable import write_synced
from shared.names import file_name
from shared.part_file import sync_folder
from shared.table import name_hash

JSON_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS


@dataclass
class ImageFile:
    """An image that a step makes: written before its record, which then names it with size and checksum.

    `path` is relative to the step's folder; `image` a uint8 array (height, width[, 3]), a PIL image (both become PNG), or
    bytes that are written as they are.
    """

    path: str
    image: Any


class Rejected(ValueError):
    """What was made of an item is not good enough: its failure keeps `files` (field: ImageFile), to be looked at."""

    def __init__(self, reason: str, files: dict[str, ImageFile]):
        super().__init__(reason)
        self.files = files


class DiskError(RuntimeError):
    """The run's folder cannot be written; a worker stops, because this is no item's fault."""


@dataclass
class Outcome:
    """What became of one item: a found dict, or the exception that it failed with."""

    key: str
    found: dict | BaseException
    parts: list[tuple[Path, Path]] = field(default_factory=list)  # (written beside, final place), images first
    recorded: bool = False


class Records:
    """The folders `records`, `failures` and `retries` of a step, and how they are written.

    A failure moves to `retries` when a new run begins, so that a run tries each item once; its attempts are counted on.
    """

    def __init__(self, folder: Path, name: str = "records"):
        self.folder = folder
        self.records = folder / name
        self.failures = folder / "failures"
        self.retries = folder / "retries"

    def record_path(self, key: str) -> Path:
        return self.records / file_name(key, ".json")

    def failure_path(self, key: str) -> Path:
        return self.failures / file_name(key, ".json")

    def is_recorded(self, key: str) -> bool:
        return self._is_in(self.records, key)

    def is_settled(self, key: str) -> bool:
        return self.is_recorded(key) or self._is_in(self.failures, key)

    def _is_in(self, folder: Path, key: str) -> bool:
        """As name_hashes() counts it: a torn file says nothing where its name had to be escaped."""
        name = file_name(key, ".json")
        return key_inside(f"{folder}/{name}") == key if "%" in name else os.path.exists(f"{folder}/{name}")

    def read(self, key: str) -> dict:
        """Raises ValueError when the record is torn, empty or another item's, FileNotFoundError when there is none."""
        data = self.record_path(key).read_bytes()
        record = orjson.loads(data)
        if not isinstance(record, dict) or record.get("key") != key:
            raise ValueError(f"{self.record_path(key)} is not the record of {key!r}")
        return record

    def check_files(self, record: dict) -> None:
        """Raises ValueError when an image that the record names is not there or has another size."""
        try:
            sizes = {path: stated["bytes"] for path, stated in record.get("files", {}).items()}
        except (AttributeError, TypeError, KeyError):
            raise ValueError("it does not name its images as it should") from None
        for path, stated in sizes.items():
            try:
                size = os.stat(self.folder / path).st_size
            except FileNotFoundError:
                raise ValueError(f"its image {path} is not there") from None
            if size != stated:
                raise ValueError(f"its image {path} has {size} bytes instead of {stated}")

    def read_failure(self, key: str) -> dict | None:
        for folder in (self.failures, self.retries):
            try:
                return orjson.loads((folder / file_name(key, ".json")).read_bytes())
            except (FileNotFoundError, ValueError):
                continue
        return None

    def name_hashes(self, folder: Path) -> np.ndarray:
        """The name_hash of every key that has a file in `folder` (uint64, any order), from one listing."""
        hashes = array("Q")
        skip = len(os.fspath(folder)) + 1
        for entry in scan(folder):
            if entry.name.endswith(".json"):
                name = entry.path[skip : -len(".json")]
                key = key_inside(entry.path) if "%" in name else name
                if key is not None and (key == name or file_name(key, ".json") == name + ".json"):
                    hashes.append(name_hash(key))
        return np.frombuffer(hashes, np.uint64) if hashes else np.zeros(0, np.uint64)

    def digest(self) -> str:
        """Changes when a record is added, removed or touched: from the names, sizes and times, not the contents."""
        total = count = 0
        skip = len(os.fspath(self.records)) + 1
        for entry in scan(self.records):
            found = entry.stat(follow_symlinks=False)
            total += name_hash(f"{entry.path[skip:]}|{found.st_size}|{found.st_mtime_ns}")
            count += 1
        return f"{count}-{total & (1 << 128) - 1:x}"

    def retry_failures(self, max_attempts: int) -> int:
        """Make the failures that may be tried again open; returns how many. Only while no worker lives."""
        count = 0
        for path in list(json_files(self.failures)):
            try:
                failure = orjson.loads(path.read_bytes())
                attempts = int(failure["attempts"])
            except (ValueError, KeyError, TypeError):
                path.unlink()  # a torn failure says nothing; its item is open
                continue
            if attempts < max_attempts:
                target = self.retries / path.relative_to(self.failures)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                count += 1
        return count


class RecordWriter:
    """Writes outcomes in groups: all parts beside and synced, then renamed, then the folders synced.

    A group costs about as much as one durable file, so that durability does not cost throughput.
    """

    def __init__(self, records: Records, parts: Path, fingerprint: str, threads: int = 8):
        self.records, self.parts, self.fingerprint = records, parts, fingerprint
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="write")
        self._made: set[Path] = set()

    def write(self, outcomes: list[Outcome]) -> None:
        """Raises DiskError; then none of the group that is not yet in place will ever be."""
        try:
            list(self.pool.map(self._write_parts, range(len(outcomes)), outcomes))
            self._rename([outcome.parts[:-1] for outcome in outcomes])
            self._rename([outcome.parts[-1:] for outcome in outcomes])
            for outcome in outcomes:
                if outcome.recorded:
                    (self.records.retries / file_name(outcome.key, ".json")).unlink(missing_ok=True)
        except OSError as error:
            raise disk_error(error, self.records.folder) from error

    def close(self) -> None:
        self.pool.shutdown()

    def _write_parts(self, number: int, outcome: Outcome) -> None:
        error: dict | BaseException = outcome.found
        if isinstance(error, dict):
            try:
                files, record = self._encode(outcome.key, error)
            except Exception as unwritable:  # what was found cannot be put into a file: that item's failure
                error = unwritable
            else:
                self._write_record(number, outcome, files, record)
                return
        self._write_failure(number, outcome, error)

    def _encode(self, key: str, found: dict) -> tuple[dict[str, bytes], bytes]:
        """The bytes of an item's images by their path, and of its record."""
        images: dict[str, bytes] = {}
        record: dict[str, Any] = {"key": key}
        for name, value in found.items():
            if isinstance(value, ImageFile):
                images[value.path] = encode(value.image)
                record[name] = value.path
            else:
                record[name] = value
        if images:
            record["files"] = {
                path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in images.items()
            }
        record["fingerprint"] = self.fingerprint
        return images, orjson.dumps(record, option=JSON_OPTIONS)

    def _write_record(self, number: int, outcome: Outcome, images: dict[str, bytes], record: bytes) -> None:
        for position, (path, data) in enumerate(images.items()):
            part = self.parts / f"{number}-{position}"
            write_synced(part, data)
            outcome.parts.append((part, self.records.folder / path))
        write_synced(self.parts / str(number), record)
        outcome.parts.append((self.parts / str(number), self.records.record_path(outcome.key)))
        outcome.recorded = True

    def _write_failure(self, number: int, outcome: Outcome, error: BaseException) -> None:
        before = self.records.read_failure(outcome.key)
        failure = {
            "key": outcome.key,
            "error": type(error).__name__,
            "message": (str(error) or type(error).__name__).encode("utf-8", "replace").decode(),
            "step": self.records.folder.name,
            "attempts": (before["attempts"] if before else 0) + 1,
            "host": socket.gethostname(),
            "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        }
        for name, file in error.files.items() if isinstance(error, Rejected) else ():
            part = self.parts / f"{number}-{len(outcome.parts)}"
            write_synced(part, encode(file.image))
            outcome.parts.append((part, self.records.folder / file.path))
            failure[name] = file.path
        part = self.parts / f"{number}"
        write_synced(part, orjson.dumps(failure, option=JSON_OPTIONS))
        outcome.parts.append((part, self.records.failure_path(outcome.key)))

    def _rename(self, groups: list[list[tuple[Path, Path]]]) -> None:
        folders = set()
        for part, path in (pair for group in groups for pair in group):
            if path.parent not in self._made:
                self._make_folder(path.parent)
            os.replace(part, path)
            folders.add(path.parent)
        list(self.pool.map(sync_folder, folders))

    def _make_folder(self, folder: Path) -> None:
        missing = [folder, *folder.parents][: len(folder.parts) - len(self.records.folder.parts)]
        folder.mkdir(parents=True, exist_ok=True)
        for made in missing:
            sync_folder(made.parent)
        self._made.add(folder)


def encode(image: Any) -> bytes:
    """PNG of a uint8 array or a PIL image, at a level that costs little time; bytes stay as they are."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    from PIL import Image

    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


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


def is_disk_error(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)


def disk_error(error: OSError, folder: Path) -> DiskError:
    reason = error.strerror or str(error)
    way_out = "free some space and run again" if is_disk_error(error) else "mend that and run again"
    return DiskError(f"cannot write under {folder}: {reason}; {way_out}, nothing recorded is lost")


def remove_parts(parts: Path) -> None:
    shutil.rmtree(parts, ignore_errors=True)
