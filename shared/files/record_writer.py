"""Records and failures put in place: images first, in groups, whole or not at all."""

import hashlib
import os
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from shared.errors import DownloadError, disk_error
from shared.files.names import file_name
from shared.files.part_file import sync_folder
from shared.files.records import ADDED_UP, JSON_OPTIONS, Records
from shared.files.small_files import write_synced
from shared.images import ImageFile, Rejected, encode


@dataclass
class Outcome:
    """What became of one item: a found dict, or the exception that it failed with."""

    key: str
    found: dict | BaseException
    source: dict | None = None  # bytes, time and sha256 of the photograph, where it was read
    parts: list[tuple[Path, Path]] = field(default_factory=list)  # (written beside, final place), images first
    recorded: bool = False


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
                files, record = self._encode(outcome, error)
                spare = {value.path for value in error.values() if isinstance(value, ImageFile) and value.is_spare}
            except Exception as unwritable:  # what was found cannot be put into a file: that item's failure
                error = unwritable
            else:
                self._write_record(number, outcome, files, record, spare)
                return
        self._write_failure(number, outcome, error)

    def _encode(self, outcome: Outcome, fields: dict) -> tuple[dict[str, bytes], bytes]:
        """The bytes of an item's images by their path, and of its record."""
        images: dict[str, bytes] = {}
        record: dict[str, Any] = {"key": outcome.key}
        for name, value in fields.items():
            if isinstance(value, ImageFile):
                images[value.path] = encode(value)
                record[name] = value.path
            else:
                record[name] = value
        if images:
            record["files"] = {
                path: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in images.items()
            }
        if any(name in record for name in ADDED_UP):
            for name, count in self.records.spent_on_failure(outcome.key).items():
                record[name] = record.get(name, 0) + count
        if outcome.source:
            record["source"] = outcome.source
        record["fingerprint"] = self.fingerprint
        return images, orjson.dumps(record, option=JSON_OPTIONS)

    def _write_record(
        self, number: int, outcome: Outcome, images: dict[str, bytes], record: bytes, spare: set[str]
    ) -> None:
        for position, (path, data) in enumerate(images.items()):
            part = self.parts / f"{number}-{position}"
            if path in spare:
                part.write_bytes(data)
            else:
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
        if isinstance(error, DownloadError):
            failure |= {"http_status": error.http_status, "final": error.is_final}
        noted = Counter(getattr(error, "noted", {}))
        failure |= noted + Counter(self.records.spent_on_failure(outcome.key))
        for name, file in error.files.items() if isinstance(error, Rejected) else ():
            part = self.parts / f"{number}-{len(outcome.parts)}"
            write_synced(part, encode(file))
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
