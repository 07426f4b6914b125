"""Records and failures: one JSON file per item, whole or absent, in place after the images it names."""

import os
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson

from shared.files.names import file_name
from shared.files.table import name_hash

JSON_OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS

ADDED_UP = ("asked", "prompt_tokens", "completion_tokens")  # counts that add up over the tries of an item


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

    def has_any(self) -> bool:
        return next(json_files(self.records), None) is not None

    def spent_on_failure(self, key: str) -> dict[str, int]:
        """What earlier tries of an item have cost, as its failure has it."""
        return spent(self.read_failure(key) or {})

    def spent_on_failures(self) -> Counter[str]:
        """The costs of all items that failed, and how many `failures` had some."""
        total: Counter[str] = Counter()
        for path in json_files(self.failures):
            try:
                found = spent(orjson.loads(path.read_bytes()))
            except (OSError, ValueError):
                continue
            total.update(found | {"failures": 1} if found else {})
        return total

    def forget_failures(self) -> None:
        for folder in (self.failures, self.retries):
            for path in list(json_files(folder)):
                path.unlink(missing_ok=True)

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
            status = entry.stat(follow_symlinks=False)
            total += name_hash(f"{entry.path[skip:]}|{status.st_size}|{status.st_mtime_ns}")
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
            if attempts < max_attempts and not failure.get("final"):
                target = self.retries / path.relative_to(self.failures)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                count += 1
        return count


def spent(fields: object) -> dict[str, int]:
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in ADDED_UP if isinstance(fields.get(name), int)}


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
