"""Records and failures put in place: images first, in groups, whole or not at all."""

import hashlib
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import orjson

from shared.errors import DownloadError, disk_error
from shared.files.pack import NO_ROW
from shared.files.pack_writer import Line, PackWriter
from shared.files.placer import Placer
from shared.files.records import ADDED_UP, JSON_OPTIONS, LINE_OPTIONS, TARS, Records
from shared.files.small_files import write_synced
from shared.files.tar_writer import TarWriter, member_name
from shared.images import ImageFile, Rejected, encode
from shared.seeding import name_hash


@dataclass
class Outcome:
    """What became of one item: a found dict, or the exception that it failed with."""

    key: str
    found: dict | BaseException
    source: dict | None = None  # bytes, time and sha256 of the photograph, where it was read
    row: int = NO_ROW  # of the step's table, where that is known
    parts: list[tuple[Path, Path]] = field(default_factory=list)  # (written beside, final place), images first
    line: bytes = b""  # of a pack, instead of the last part
    members: list[tuple[str, bytes]] = field(default_factory=list)  # of a tar, instead of the others
    recorded: bool = False


class RecordWriter:
    """Writes outcomes in groups: all parts beside and synced, then renamed, then the folders synced.

    A group costs about as much as one durable file, so that durability does not cost throughput. With the name of a
    `packer` records and failures become lines of its files, and only images are parts; `in_tars` these become members of tars,
    each with its record beside it.
    """

    def __init__(
        self,
        records: Records,
        parts: Path,
        fingerprint: str,
        packer: str = "",
        threads: int = 8,
        in_tars: bool = False,
    ):
        self.records, self.parts, self.fingerprint = records, parts, fingerprint
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="write")
        self.lines = PackWriter(records.packed, packer) if packer else None
        self.failed_lines = PackWriter(records.packed_failures, packer) if packer else None
        self.tars = TarWriter(records.tars, records.folder, packer, records.named_in) if in_tars else None
        self._tar = ""
        self._options = LINE_OPTIONS if packer else JSON_OPTIONS
        self.placer = Placer(records.folder, self.pool)

    def write(self, outcomes: list[Outcome]) -> None:
        """Raises DiskError; then none of the group that is not yet in place will ever be."""
        try:
            has_files = not self.lines or any(makes_files(outcome.found) for outcome in outcomes)
            self._tar = self.tars.current() if self.tars and has_files else ""
            list((self.pool.map if has_files else map)(self._write_parts, range(len(outcomes)), outcomes))
            images = [outcome.parts if outcome.line else outcome.parts[:-1] for outcome in outcomes]
            self.placer.place(chain.from_iterable(images))
            if self.tars:
                self.tars.append(chain.from_iterable(outcome.members for outcome in outcomes))
            if self.lines and self.failed_lines:
                self.lines.append(lines_of(outcome for outcome in outcomes if outcome.recorded))
                self.failed_lines.append(lines_of(outcome for outcome in outcomes if not outcome.recorded))
            else:
                self.placer.place(outcome.parts[-1] for outcome in outcomes)
            self.records.forget_retries([outcome.key for outcome in outcomes if outcome.recorded])
        except OSError as error:
            raise disk_error(error, self.records.folder) from error

    def close(self) -> None:
        self.pool.shutdown()
        for writer in (self.lines, self.failed_lines, self.tars):
            if writer:
                writer.close()

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
                path = value.path
                if self._tar:
                    path = f"{TARS}/{self._tar}/{member_name(outcome.key, name, PurePosixPath(path).suffix)}"
                images[path] = encode(value)
                record[name] = path
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
        return images, orjson.dumps(record, option=self._options)

    def _write_record(
        self, number: int, outcome: Outcome, images: dict[str, bytes], record: bytes, spare: set[str]
    ) -> None:
        if images and self._tar:
            inside = len(f"{TARS}/{self._tar}/")
            outcome.members = [(path[inside:], data) for path, data in images.items()]
            outcome.members.append((member_name(outcome.key, "", ".json"), record))
            images = {}
        for position, (path, data) in enumerate(images.items()):
            part = self.parts / f"{number}-{position}"
            if path in spare:
                part.write_bytes(data)
            else:
                write_synced(part, data)
            outcome.parts.append((part, self.records.folder / path))
        self._put(number, outcome, record, self.records.record_path)
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
        self._put(number, outcome, orjson.dumps(failure, option=self._options), self.records.failure_path)

    def _put(self, number: int, outcome: Outcome, data: bytes, path_of: Callable[[str], Path]) -> None:
        if self.lines:
            outcome.line = data
        else:
            write_synced(self.parts / str(number), data)
            outcome.parts.append((self.parts / str(number), path_of(outcome.key)))


def makes_files(found: dict | BaseException) -> bool:
    """Whether there are images to write, of what was found or of what was rejected."""
    values = found.values() if isinstance(found, dict) else ()
    return isinstance(found, Rejected) or any(isinstance(value, ImageFile) for value in values)


def lines_of(outcomes: Iterable[Outcome]) -> list[Line]:
    return [Line(name_hash(outcome.key), outcome.row, outcome.line) for outcome in outcomes]
