"""Records and failures: one JSON object per item, whole or absent, in place after the images it names."""

import heapq
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path

import numpy as np
import orjson

from shared.files.json_files import json_files, key_inside, name_hashes, read_or_nothing, scan
from shared.files.names import file_name
from shared.files.pack import Pack, lines_of_file, writer_of
from shared.files.pack_lookup import Lookup
from shared.files.pack_writer import remove_lines, rewrite
from shared.files.tar_writer import member_name
from shared.seeding import name_hash
from shared.tars.members import member_size

LINE_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
JSON_OPTIONS = LINE_OPTIONS | orjson.OPT_INDENT_2

TARS = "tars"  # the folder of a step's images where they are members of tars
ADDED_UP = ("asked", "prompt_tokens", "completion_tokens")  # counts that add up over the tries of an item


class Records:
    """The records and failures of a step, and the `retries`: failures that a new run has opened again.

    Each is a JSON file of its own or a line of a pack (see Pack); both are read wherever they lie, and RecordWriter says which
    is written. A failure moves to `retries` when a new run begins, so that a run tries each item once; its attempts are
    counted on.
    """

    def __init__(self, folder: Path, name: str = "records"):
        self.folder = folder
        self.records = folder / name
        self.failures = folder / "failures"
        self.retries = folder / "retries"
        self.tars = folder / TARS  # of images, where they are no files
        packed = folder / "packed"
        self.packed, self.packed_failures, self.packed_retries = (
            Pack(packed / kind, folder) for kind in ("records", "failures", "retries")
        )
        self._lookups: dict[Path, Lookup] = {}

    def record_path(self, key: str) -> Path:
        return self.records / file_name(key, ".json")

    def failure_path(self, key: str) -> Path:
        return self.failures / file_name(key, ".json")

    def is_recorded(self, key: str) -> bool:
        return self.has_record_file(key) or self._line(self.packed, key) is not None

    def is_settled(self, key: str) -> bool:
        if self.is_recorded(key) or self.has_failure_file(key):
            return True
        return self._line(self.packed_failures, key) is not None

    def has_record_file(self, key: str) -> bool:
        return self._is_in(self.records, key)

    def has_failure_file(self, key: str) -> bool:
        return self._is_in(self.failures, key)

    def _is_in(self, folder: Path, key: str) -> bool:
        """As name_hashes() counts it: a torn file says nothing where its name had to be escaped."""
        name = file_name(key, ".json")
        return key_inside(f"{folder}/{name}") == key if "%" in name else os.path.exists(f"{folder}/{name}")

    def _line(self, pack: Pack, key: str) -> bytes | None:
        """The line of a key as it lies on the disk now; None where there is none."""
        return self._lookup(pack).read(key)

    def _lookup(self, pack: Pack) -> Lookup:
        if pack.folder not in self._lookups:
            self._lookups[pack.folder] = Lookup(pack)
        return self._lookups[pack.folder]

    def has_any(self) -> bool:
        return next(json_files(self.records), None) is not None or next(self.packed.each(), None) is not None

    def count(self) -> int:
        return sum(1 for _ in json_files(self.records)) + len(self.packed.hashes())

    def count_failures(self) -> int:
        return sum(1 for _ in json_files(self.failures)) + len(self.packed_failures.hashes())

    def record_hashes(self) -> np.ndarray:
        """(records) uint64, in any order: name_hash of the key of every record."""
        return np.concatenate([name_hashes(self.records), self.packed.hashes()])

    def failure_hashes(self) -> np.ndarray:
        """(failures) uint64, in any order: name_hash of the key of every failure."""
        return np.concatenate([name_hashes(self.failures), self.packed_failures.hashes()])

    def sample_failures(self, most: int) -> list[bytes]:
        """At most so many failures as they lie on the disk, an even sample that does not depend on their order there."""
        skip = len(os.fspath(self.failures)) + 1
        files = ((name_hash(os.fspath(path)[skip:]), path) for path in json_files(self.failures))
        lines = ((name_hash(line.decode()), line) for line in self.packed_failures.each())
        # The smallest of as good as random numbers.
        candidates: Iterator[tuple[int, Path | bytes]] = chain(files, lines)
        found = heapq.nsmallest(most, candidates, key=itemgetter(0))
        return [read_or_nothing(one) if isinstance(one, Path) else one for _, one in found]

    def read_failures(self) -> Iterator[dict]:
        """Every failure that is whole, in no order."""
        files = (read_or_nothing(path) for path in json_files(self.failures))
        for data in chain(files, self.packed_failures.each()):
            try:
                failure = orjson.loads(data)
            except ValueError:
                continue
            if isinstance(failure, dict):
                yield failure

    def spent_on_failure(self, key: str) -> dict[str, int]:
        """What earlier tries of an item have cost, as its failure has it."""
        return spent(self.read_failure(key) or {})

    def spent_on_failures(self) -> Counter[str]:
        """The costs of all items that failed, and how many `failures` had some."""
        total: Counter[str] = Counter()
        for failure in self.read_failures():
            found = spent(failure)
            total.update(found | {"failures": 1} if found else {})
        return total

    def forget_failures(self) -> None:
        for folder in (self.failures, self.retries):
            for path in list(json_files(folder)):
                path.unlink(missing_ok=True)
        for pack in (self.packed_failures, self.packed_retries):
            shutil.rmtree(pack.folder, ignore_errors=True)
        self._lookups.clear()

    def forget_retries(self, keys: list[str]) -> None:
        """What earlier tries of items have left, which have a record now."""
        if self.retries.is_dir():
            for key in keys:
                (self.retries / file_name(key, ".json")).unlink(missing_ok=True)
        if self.packed_retries.folder.is_dir():
            remove_lines(
                self.packed_retries,
                (name_hash(key) for key in keys if self._line(self.packed_retries, key) is not None),
            )

    def forget(self, keys: list[str]) -> None:
        """Make items open again, whether they have a record or a failure. Only while no worker lives."""
        for key in keys:
            for path in (self.record_path(key), self.failure_path(key)):
                path.unlink(missing_ok=True)
        for pack in (self.packed, self.packed_failures):
            remove_lines(pack, map(name_hash, keys))
        self._lookups.clear()

    def read(self, key: str) -> dict:
        """Raises ValueError when the record is torn, empty or another item's, FileNotFoundError when there is none."""
        return self.parsed(key, self._line(self.packed, key))

    def lines(self, keys: Sequence[str]) -> Sequence[bytes | None]:
        """The records of these items that are lines, for parsed(); None of one that is none."""
        if not self.packed.folder.is_dir():
            return [None] * len(keys)
        return self._lookup(self.packed).read_many(keys)

    def parsed(self, key: str, line: bytes | None) -> dict:
        """The record of an item: its line, or its file where it has no line. See read()."""
        data = line if line is not None else self.record_path(key).read_bytes()
        record = orjson.loads(data)
        if not isinstance(record, dict) or record.get("key") != key:
            raise ValueError(f"what lies in {self.folder} for the record of {key!r} is another's")
        return record

    def bytes_of(self, key: str) -> int:
        """What the record of an item takes of the disk: whole blocks of it as a file of its own, else its line."""
        try:
            status = self.record_path(key).stat()
        except FileNotFoundError:
            return len(self._line(self.packed, key) or b"")
        return max(status.st_size, status.st_blocks * 512)

    def check_files(self, record: dict) -> None:
        """Raises ValueError when an image that the record names is not there or has another size."""
        try:
            sizes = {path: stated["bytes"] for path, stated in record.get("files", {}).items()}
        except (AttributeError, TypeError, KeyError):
            raise ValueError("it does not name its images as it should") from None
        for path, stated in sizes.items():
            try:
                size: int | None = os.stat(self.folder / path).st_size
            except NotADirectoryError:
                size = member_size(self.folder / path)
            except FileNotFoundError:
                size = None
            if size is None:
                raise ValueError(f"its image {path} is not there")
            if size != stated:
                raise ValueError(f"its image {path} has {size} bytes instead of {stated}")

    def named_in(self, tar: str) -> set[int]:
        """The hashes of the names of the members of a tar of which records tell: lines by the writer of the tar."""
        begins, found = f"{TARS}/{tar}/", set()
        own = (path for path in self.packed.files() if writer_of(path) == writer_of(Path(tar)))
        for line in chain.from_iterable(map(lines_of_file, own)):
            if begins.encode() in line:
                record = orjson.loads(line)
                names = [path.removeprefix(begins) for path in record.get("files", {}) if path.startswith(begins)]
                found |= set(map(name_hash, [*names, member_name(record["key"], "", ".json")]))
        return found

    def read_failure(self, key: str) -> dict | None:
        name = file_name(key, ".json")
        for folder, pack in ((self.failures, self.packed_failures), (self.retries, self.packed_retries)):
            for data in (read_or_nothing(folder / name), self._line(pack, key) or b""):
                try:
                    return orjson.loads(data)
                except ValueError:
                    continue
        return None

    def digest(self) -> str:
        """Changes when a record is added, removed or touched: from the names, sizes and times, not the contents."""
        total = count = 0
        skip = len(os.fspath(self.records)) + 1
        for entry in scan(self.records):
            status = entry.stat(follow_symlinks=False)
            total += name_hash(f"{entry.path[skip:]}|{status.st_size}|{status.st_mtime_ns}")
            count += 1
        return f"{count}-{total & (1 << 128) - 1:x}" + self.packed.digest()

    def retry_failures(self, max_attempts: int) -> int:
        """Make the failures that may be tried again open; returns how many. Only while no worker lives."""
        count = 0
        for path in list(json_files(self.failures)):
            attempts = attempts_of(path.read_bytes(), max_attempts)
            if attempts is None:
                path.unlink()  # a torn failure says nothing; its item is open
            elif attempts < max_attempts:
                target = self.retries / path.relative_to(self.failures)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)
                count += 1
        count += retry_packed(self.packed_failures, self.packed_retries, max_attempts)
        self._lookups.clear()
        return count


def attempts_of(data: bytes, max_attempts: int) -> int | None:
    """How often an item was tried, of its failure; `max_attempts` of one that is final, None of one that is torn."""
    try:
        failure = orjson.loads(data)
        attempts = int(failure["attempts"])
    except (ValueError, KeyError, TypeError):
        return None
    return max_attempts if failure.get("final") else attempts


def retry_packed(failures: Pack, retries: Pack, max_attempts: int) -> int:
    """The same of failures that are lines: into `retries`, before those of earlier runs, and out of `failures`."""

    def sorted_out(wanted: bool) -> Iterator[tuple[int, bytes]]:
        for line in failures.each():
            attempts = attempts_of(line, max_attempts)
            if attempts is not None and (attempts < max_attempts) == wanted:
                yield name_hash(orjson.loads(line)["key"]), line

    again = {digest for digest, _ in sorted_out(True)}
    if again:
        earlier = ((name_hash(orjson.loads(line)["key"]), line) for line in retries.each())
        rewrite(retries, chain((pair for pair in earlier if pair[0] not in again), sorted_out(True)))
        rewrite(failures, sorted_out(False))
    return len(again)


def spent(fields: object) -> dict[str, int]:
    if not isinstance(fields, dict):
        return {}
    return {name: fields[name] for name in ADDED_UP if isinstance(fields.get(name), int)}
