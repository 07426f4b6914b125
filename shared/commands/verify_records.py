"""Reading the records and failures of a step back, the files and the lines of packs."""

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from shared.files.json_files import json_files
from shared.files.leases import AnyClaims
from shared.files.names import file_name
from shared.files.pack import Lines, Pack, PackReader, index_of, read_index, whole_lines, writer_of
from shared.files.pack_writer import blank_lines, mend
from shared.files.records import JSON_OPTIONS, Records
from shared.files.small_files import write_file
from shared.files.states import FAILED, OPEN, RECORDED, count_states, item_states
from shared.files.table import Table
from shared.files.table_index import are_among, is_among
from shared.images import name_of_photograph, read_file
from shared.run.run import Step
from shared.run.sources import is_other_file
from shared.seeding import name_hash


class Problem(NamedTuple):
    """What is not as it should be. `torn`: the state that an item has only by this, and the hash of its key."""

    kind: str
    sentence: str
    mend: Callable[[], object]
    torn: tuple[int, int] | None = None


def count_items(table: Table, records: Records, problems: list[Problem]) -> dict[str, int]:
    """How many items are missing, recorded and failed; those whose files are torn are missing."""
    states = item_states(table, records)
    for state in (RECORDED, FAILED):
        hashes = [problem.torn[1] for problem in problems if problem.torn and problem.torn[0] == state]
        states[(states == state) & np.isin(table.hashes, np.array(hashes, np.uint64))] = OPEN
    return dict(zip(("missing", "recorded", "failed"), count_states(states), strict=True))


class RecordCheck:
    """Every record: parsed, its key compared with its name and the input, its images' sizes and checksums. And every failure."""

    def __init__(self, step: Step, table: Table):
        self.step, self.table, self.records = step, table, step.records
        self._order = np.argsort(table.hashes)
        self._known = table.hashes[self._order]
        self._recorded = np.sort(self.records.record_hashes())
        self._doubled = self._recorded[1:][self._recorded[1:] == self._recorded[:-1]]
        self._seen: set[str] = set()  # of those that are doubled

    def problems(self) -> Iterator[Problem]:
        yield from self._files()
        yield from self._failure_files()
        claims = self.step.open_claims()
        for pack, state in ((self.records.packed, RECORDED), (self.records.packed_failures, FAILED)):
            yield from half_written(pack, claims)
            for lines in PackReader(pack).new():
                yield from self._lines(lines, state)
        claims.close()

    def _files(self) -> Iterator[Problem]:
        for path in json_files(self.records.records):
            try:
                record = orjson.loads(path.read_bytes())
                key = record["key"]
                if path != self.records.record_path(key):
                    raise ValueError(f"it states the key {key!r}")
                check_images(self.step.folder, record)
            except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                yield torn_file(path, self.records.records, RECORDED, error)
                continue
            for kind, sentence in self._of_item(key, record, str(path)):
                yield Problem(kind, sentence, partial(self._aside, path) if kind == "foreign" else path.unlink)

    def _failure_files(self) -> Iterator[Problem]:
        for path in json_files(self.records.failures):
            try:
                key = orjson.loads(path.read_bytes())["key"]
                if path != self.records.failure_path(key):
                    raise ValueError("it is not about the item that its name says")
            except (ValueError, KeyError, TypeError) as error:
                yield torn_file(path, self.records.failures, FAILED, error)
                continue
            if is_among(name_hash(key), self._recorded):
                yield Problem("doubled", f"{key} has a record and a failure", path.unlink)

    def _lines(self, lines: Lines, state: int) -> Iterator[Problem]:
        is_known = are_among(lines.entries["hash"], self._known)
        is_doubled = are_among(lines.entries["hash"], self._doubled)
        with open(lines.path, "rb") as file:
            for number, (digest, _, size) in enumerate(lines.entries.tolist()):
                line, place = file.read(size), f"line {number + 1} of {lines.path}"
                if line.find(b"\n") != size - 1:
                    yield Problem(
                        "torn", f"{index_of(lines.path)} does not fit its lines", partial(index_anew, lines.path)
                    )
                    return
                away = partial(blank_lines, lines, np.array([number]))
                if not digest or line.isspace():
                    if digest or not line.isspace():
                        yield Problem("torn", f"{place} is no record", away, (state, digest) if digest else None)
                    continue
                try:
                    record = orjson.loads(line)
                    key = record["key"]
                    if name_hash(key) != digest:
                        raise ValueError(f"it states the key {key!r}")
                    check_images(self.step.folder, record)
                except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
                    yield Problem("torn", f"{place} is not whole: {error}", away, (state, digest))
                    continue
                if state == FAILED:
                    if is_among(digest, self._recorded):
                        yield Problem("doubled", f"{key} has a record and a failure", away)
                elif not is_known[number] or is_doubled[number] or record.get("source"):
                    yield from self._of_line(key, record, place, away)

    def _of_line(self, key: str, record: dict, place: str, away: Callable[[], object]) -> Iterator[Problem]:
        if is_among(name_hash(key), self._doubled):
            if self.records.has_record_file(key) or key in self._seen:
                yield Problem("doubled", f"{key} has two records", away)
                return
            self._seen.add(key)
        for kind, sentence in self._of_item(key, record, place):
            yield Problem(kind, sentence, partial(self._aside_line, key, record, away) if kind == "foreign" else away)

    def _of_item(self, key: str, record: dict, where: str) -> Iterator[tuple[str, str]]:
        """Whether a record is about an item of the input, and of the photograph that this has now."""
        digest = name_hash(key)
        place = int(np.searchsorted(self._known, np.uint64(digest)))
        if place == len(self._known) or int(self._known[place]) != digest:
            yield "foreign", f"{where} is about an item that is not in the input"
        elif record.get("source") and is_other_file(record["source"], item := self.table[int(self._order[place])]):
            yield "replaced", f"{name_of_photograph(item)} is another file than the record of {key} was made of"

    def _aside(self, path: Path) -> None:
        target = self.step.folder / "foreign" / path.relative_to(self.step.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)

    def _aside_line(self, key: str, record: dict, away: Callable[[], object]) -> None:
        target = self.step.folder / "foreign" / self.records.records.name / file_name(key, ".json")
        write_file(target, orjson.dumps(record, option=JSON_OPTIONS))
        away()


def half_written(pack: Pack, claims: AnyClaims) -> Iterator[Problem]:
    """The end of a file that a dead worker was writing. A living one's is its own business."""
    for path in pack.files():
        writer = writer_of(path)
        if writer.isdecimal() and not claims.is_slot_free(int(writer)):
            continue
        entries, end = whole_lines(path, 0, 0)
        if path.stat().st_size > end or len(read_index(path, 0)) != len(entries):
            yield Problem("half", f"the end of {path} was left by a worker that died", partial(mend, path))


def index_anew(path: Path) -> None:
    index_of(path).unlink()
    mend(path)


def torn_file(path: Path, folder: Path, state: int, error: Exception) -> Problem:
    digest = name_hash(str(path.relative_to(folder).with_suffix("")))
    return Problem("torn", f"{path} is not whole: {error}", path.unlink, (state, digest))


def check_images(folder: Path, record: dict) -> None:
    for path, stated in record.get("files", {}).items():
        try:
            data = read_file(folder / path)
        except FileNotFoundError:
            raise ValueError(f"its image {path} is not there") from None
        if len(data) != stated["bytes"] or hashlib.sha256(data).hexdigest() != stated["sha256"]:
            raise ValueError(f"its image {path} is not the one that was written")
