"""Reading everything back: what is missing, torn, foreign or doubled, and mending it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson

from shared.dataset import DatasetError
from shared.errors import RunError
from shared.files.crashes import recover
from shared.files.names import file_name
from shared.files.records import Records, json_files
from shared.files.states import FAILED, OPEN, RECORDED, item_states
from shared.files.table import Table, name_hash
from shared.images import name_of_photograph
from shared.run.run import Run, Step
from shared.run.sources import is_other_file

NOT_WHOLE = 1
SHOWN = 20  # lines of each kind


def verify_run(run: Run, repair: bool, say: Callable[[str], None]) -> int:
    """Check every step that has begun. Returns 0 when all is whole and complete, 1 when something was found.

    With `repair`: torn records go, so that the next run makes them again; foreign ones are kept aside; parts that dead
    workers left and end files that say too much go.
    """
    run.check_begun()
    problems = list(check_table(run.input.result_path))
    for _, path, sentence in problems:
        say(f"the input: torn: {sentence}")
        if repair:
            path.unlink()  # the next run reads the input again
    count = len(problems)
    for step in run.steps:
        if not step.folder.is_dir() or not step.table_path.exists():
            say(f"{step.label}: not begun")
            continue
        if list(check_table(step.table_path)):
            say(f"{step.label}: cannot be checked before its input is whole")
            continue
        if repair and step.is_alive():
            raise RunError(f"{step.label} is being worked on; stop that run first, then repair")
        count += verify_step(step, repair, say)
    if count and repair:
        say(f"{count} things found and mended where they could be; run again to make what is missing")
    elif count:
        say(f"{count} things found; ./launcher.sh verify --repair mends them, then run again")
    else:
        say("everything that is recorded is whole")
    return NOT_WHOLE if count else 0


def verify_step(step: Step, repair: bool, say: Callable[[str], None]) -> int:
    records = step.records
    table = Table(step.table_path)
    problems = list(check_table(step.result_path))
    counts: dict[str, int] = {}
    if step.worker.has_records:
        problems += list(check_records(step, records, table))
        problems += list(check_leftovers(step, records))
        counts = count_items(table, records, problems)
        problems += list(check_end_files(step, counts))
    shown: dict[str, int] = {}
    for kind, path, sentence in problems:
        shown[kind] = shown.get(kind, 0) + 1
        if shown[kind] <= SHOWN:
            say(f"{step.label}: {kind}: {sentence}")
        if repair:
            mend(step, kind, path)
    for kind, count in shown.items():
        if count > SHOWN:
            say(f"{step.label}: {kind}: {count - SHOWN} more")
    if repair and step.worker.has_records:
        claims = step.open_claims()
        recover(step.parts, claims, records)
        claims.close()
        counts = count_items(table, records, [])
    if counts:
        say(f"{step.label}: items {len(table)} = " + " + ".join(f"{count} {kind}" for kind, count in counts.items()))
    return len(problems)


Problem = tuple[str, Path, str]


def count_items(table: Table, records: Records, problems: list[Problem]) -> dict[str, int]:
    """How many items are missing, recorded and failed; those whose files are torn are missing."""
    states = item_states(table, records)
    for folder, state in ((records.records, RECORDED), (records.failures, FAILED)):
        torn = [path.relative_to(folder) for kind, path, _ in problems if kind == "torn" and folder in path.parents]
        hashes = [name_hash(str(path.with_suffix(""))) for path in torn]
        states[(states == state) & np.isin(table.hashes, np.array(hashes, np.uint64))] = OPEN
    return dict(zip(("missing", "recorded", "failed"), np.bincount(states, minlength=3).tolist(), strict=True))


def check_records(step: Step, records: Records, table: Table) -> Iterator[Problem]:
    """Every record: parsed, its key compared with its name and the input, its images' sizes and checksums."""
    order = np.argsort(table.hashes)
    known = table.hashes[order]
    for path in json_files(records.records):
        try:
            record = orjson.loads(path.read_bytes())
            key = record["key"]
            if path != records.record_path(key):
                raise ValueError(f"it states the key {key!r}")
            check_images(step.folder, record)
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            yield "torn", path, f"{path} is not whole: {error}"
            continue
        place = np.searchsorted(known, np.uint64(name_hash(key)))
        if place == len(known) or known[place] != name_hash(key):
            yield "foreign", path, f"{path} is about an item that is not in the input"
        elif (records.failures / file_name(key, ".json")).exists():
            yield "doubled", records.failures / file_name(key, ".json"), f"{key} has a record and a failure"
        elif record.get("source") and is_other_file(record["source"], item := table[int(order[place])]):
            yield "replaced", path, f"{name_of_photograph(item)} is another file than the record of {key} was made of"
    for path in json_files(records.failures):
        try:
            if path != records.failure_path(orjson.loads(path.read_bytes())["key"]):
                raise ValueError("it is not about the item that its name says")
        except (ValueError, KeyError, TypeError) as error:
            yield "torn", path, f"{path} is not whole: {error}"


def check_images(folder: Path, record: dict) -> None:
    for path, stated in record.get("files", {}).items():
        try:
            data = (folder / path).read_bytes()
        except FileNotFoundError:
            raise ValueError(f"its image {path} is not there") from None
        if len(data) != stated["bytes"] or hashlib.sha256(data).hexdigest() != stated["sha256"]:
            raise ValueError(f"its image {path} is not the one that was written")


def check_table(path: Path) -> Iterator[Problem]:
    if path.exists():
        try:
            Table(path)
        except DatasetError as error:
            yield "torn", path, str(error)


def check_leftovers(step: Step, records: Records) -> Iterator[Problem]:
    """What a dead worker had half written. A living one's parts are its own business."""
    claims = step.open_claims()
    parts = step.parts
    for folder in sorted(parts.iterdir()) if parts.is_dir() else []:
        if folder.name.isdecimal() and claims.is_slot_free(int(folder.name)):
            yield "half", folder, f"{folder} was left by a worker that died"
    claims.close()


def check_end_files(step: Step, counts: dict[str, int]) -> Iterator[Problem]:
    if counts["missing"]:
        for path in step.end_files():
            yield "end file", path, f"{path.name} is there, and {counts['missing']} items of the step are missing"


def mend(step: Step, kind: str, path: Path) -> None:
    if kind == "foreign":
        target = step.folder / "foreign" / path.relative_to(step.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
    elif kind == "half":
        return  # recover() takes note of what was in flight before it removes them
    else:
        path.unlink(missing_ok=True)
