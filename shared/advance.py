"""What a run has to do next: the input is read, finished steps are collected, the first unfinished one is prepared."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from shared.claims import Claims
from shared.control import END_FILE, PROGRESS_FILE, matching
from shared.crashes import recover
from shared.paths import absolute_paths
from shared.picker import FAILED, OPEN, RECORDED, item_states
from shared.records import Records, json_files
from shared.run import Run, RunError, Step, canonical, differences, put_aside, read_json, write_settings
from shared.table import Table
from shared.tables import write_json

HIDDEN = ("files", "fingerprint")  # what a record says about itself, and no table repeats
WAYS_OUT = "take a new OUTPUT_DIR, or ON_CHANGE=redo (what is there is kept aside), or ON_CHANGE=keep"


@dataclass
class Advance:
    """How far a run has come. `step` is the first that needs workers, with `left` items; None when all are complete."""

    step: Step | None = None
    left: int = 0
    failed: int = 0  # items of the complete steps that have a failure for a record
    collected: int = 0  # steps whose tables were made anew

    @property
    def is_complete(self) -> bool:
        return self.step is None


def advance(
    run: Run,
    say: Callable[[str], None],
    only: list[Step] | None = None,
    begun: frozenset[int] = frozenset(),
    at_most: int | None = None,
    again: bool = False,
    processes: int | None = None,
) -> Advance:
    """Do everything that needs no worker. Call with the run locked, again and again until it is complete.

    `only`: these steps and no others. `begun`: the steps whose failures this launch has made open already. `at_most`: items
    of the input. `again`: collect also what is up to date. `processes`: how many will work together where they do. Raises
    RunError, DatasetError.
    """
    if not begun or not (run.input_folder / "result.jsonl").exists():  # once in a launch
        read_input(run, say, at_most)
    reached = Advance()
    for step in only or run.steps:
        if not step.table_path.exists():
            raise RunError(f"{step.label} needs {step.table_path}, which the step before it makes; run that one first")
        put_aside_outdated(run, step, say)
        step.folder.mkdir(exist_ok=True)
        step.write_settings()
        if step.worker.only_collects:
            left, failed = 0, 0
        elif step.worker.runs_together:
            left, failed = prepare_together(step, processes, is_begun=step.number in begun), 0
        else:
            left, failed = prepare(step, say, is_begun=step.number in begun)
        if left == 0:
            is_new, left = collect(step, say, again)
            reached.collected += is_new
        if left:
            return Advance(step, left, reached.failed + failed, reached.collected)
        reached.failed += failed
    return reached


def put_aside_outdated(run: Run, step: Step, say: Callable[[str], None]) -> None:
    """Keep aside what a step has made with another model than today's, and all that was made from it. Raises RunError."""
    before, now = read_json(step.folder / "step.json").get("made_with"), step.worker.made_with()
    if not before or not now or before == now:
        return
    outdated = [later for later in run.steps[run.steps.index(step) :] if later.folder.exists()]
    for later in outdated:
        if later.is_alive():
            raise RunError(f"{later.label} is being worked on by another launcher; stop that one first")
    for later in reversed(outdated):  # the step itself goes last, so that a kill on the way is seen to
        say(f"{later.label}: the model has changed; kept aside as {put_aside(later.folder).name}")


def check_changes(run: Run, on_change: str, say: Callable[[str], None]) -> None:
    """Compare the settings with those that made what is there. Raises RunError with the difference in words."""
    before = read_json(run.input_folder / "step.json").get("settings")
    found = [("the input", differences(before, input_settings(run)), run.input_folder)]
    found += [(step.label, step.changes(), step.folder) for step in run.steps]
    changed = [place for place, (_, changes, _) in enumerate(found) if changes]
    if not changed or on_change == "keep":
        return
    if on_change == "error":
        words = "; ".join(f"{label}: {', '.join(changes)}" for label, changes, _ in found if changes)
        raise RunError(f"{run.folder} was made with other settings: {words}. {WAYS_OUT}")
    folders = [
        (label, folder) for label, _, folder in found[changed[0] :] if folder.exists()
    ]  # what follows was made from it
    for label, folder in folders:
        if Claims(folder / "claims").has_living_workers():
            raise RunError(f"{label} is being worked on by another launcher; stop that one first")
    for label, folder in reversed(folders):  # the one that differs goes last, so that a kill on the way is seen to
        say(f"{label}: kept aside as {put_aside(folder).name}")


def input_settings(run: Run) -> dict:
    config = run.config
    return {"input": str(run.source.path), "image_key": config.image_key, "key_column": config.key_column} | (
        {"meta_folder": config.meta_folder} if config.meta_folder else {}
    )


def read_input(run: Run, say: Callable[[str], None], at_most: int | None) -> None:
    """Step 0: the items as they are read, in result.jsonl; nothing is done when the input is as it was."""
    path = run.input_folder / "result.jsonl"
    settings = hashlib.sha256(canonical(input_settings(run))).hexdigest()[:16]
    digest = f"{run.source.digest()} {settings} {at_most or 'all'}"
    if path.exists() and read_json(run.input_folder / "result.json").get("digest") == digest:
        return
    run.input_folder.mkdir(parents=True, exist_ok=True)
    (run.input_folder / "result.json").unlink(missing_ok=True)  # it tells of the table that is about to go
    with unread(run, None, say):
        table = Table.write(path, islice(run.source.items(), at_most), run.folder, name=run.source.path.name)
    write_settings(run.input_folder, input_settings(run), {})
    write_json(run.input_folder / "result.json", {"items": len(table), "digest": digest})
    say(f"{len(table)} items in {run.source.path}")


def prepare(step: Step, say: Callable[[str], None], is_begun: bool) -> tuple[int, int]:
    """Ready the step's folder for workers; returns the items that are left, and those that failed for good."""
    records = Records(step.folder, step.worker.records_name)
    claims = Claims(step.folder / "claims")
    is_alone = not claims.has_living_workers()
    if is_alone:
        recover(step.folder / "parts", claims, records)
    claims.close()
    if is_alone and not is_begun:
        retried = records.retry_failures(step.worker.max_attempts)
        if retried:
            say(f"{step.label}: {retried} failed items are tried again")
    counts = np.bincount(item_states(Table(step.table_path), records), minlength=3)
    if is_alone and not is_begun and counts[OPEN]:
        clear_signs(step.folder)
    return int(counts[OPEN]), int(counts[FAILED])


def prepare_together(step: Step, processes: int | None, is_begun: bool) -> int:
    """Ready the folder of a step whose processes work together; returns how many steps are left."""
    left = step.worker.left(step, processes)
    if left and not is_begun and not step.is_alive():
        clear_signs(step.folder)
    return left


def clear_signs(folder: Path) -> None:
    """End and progress files of an earlier run say nothing about this one."""
    for path in matching(folder, END_FILE) + matching(folder, PROGRESS_FILE):
        path.unlink(missing_ok=True)


def collect(step: Step, say: Callable[[str], None], again: bool) -> tuple[bool, int]:
    """Make result.jsonl and the step's tables of its records, unless they are up to date.

    Returns whether it did, and how many items turned out to be missing, because their records were torn: those are removed,
    so that they are done again.
    """
    records = Records(step.folder, step.worker.records_name)
    digest = result_digest(step, records)
    if not again and step.result_path.exists() and step.read_result().get("digest") == digest:
        return False, 0
    table = Table(step.table_path)
    if not step.worker.has_records:
        write_result(step, table, say)
        write_json(
            step.folder / "result.json", {"items": len(table), "rows": len(Table(step.result_path)), "digest": digest}
        )
        return True, 0
    states = item_states(table, records)
    reader = RecordReader(step, table, records, states)
    gathered = step.folder / "recorded.jsonl"
    try:
        rows = Table.write(gathered, reader.rows(), step.run.folder)
        if reader.torn:
            for path in matching(step.folder, END_FILE):
                path.unlink()
            for name, reason in reader.torn[:5]:
                say(f"{step.label}: the record of {name} is not whole ({reason}) and is made again")
            return False, len(reader.torn)
        write_result(step, rows, say)
    finally:
        for path in (gathered, gathered.with_name(gathered.name + ".index")):
            path.unlink(missing_ok=True)
    proof = count_proof(states, records) | {"rows": len(Table(step.result_path))}
    write_json(step.folder / "result.json", proof | {"digest": result_digest(step, records)})
    counts = ", ".join(f"{count} {name}" for name, count in proof.items() if count or name == "failed")
    say(f"{step.label}: {counts}; {step.ending()}")
    return True, 0


def write_result(step: Step, rows: Table, say: Callable[[str], None]) -> None:
    (step.folder / "result.json").unlink(missing_ok=True)  # it tells of the tables that are about to go
    chosen = step.worker.collect(rows, step)
    with unread(step.run, step, say):
        Table.write(step.result_path, rows if chosen is None else chosen, step.run.folder)


class RecordReader:
    """The rows of a table joined with their records, read one after another."""

    def __init__(self, step: Step, table: Table, records: Records, states: np.ndarray):
        self.step, self.table, self.records, self.states = step, table, records, states
        self.torn: list[tuple[str, str]] = []

    def rows(self) -> Iterator[dict]:
        folder = str(self.step.folder)
        for row, state in zip(self.table, self.states, strict=True):
            if state != RECORDED:
                continue
            try:
                record = self.records.read(row["key"])
                self.records.check_files(record)
            except (ValueError, FileNotFoundError) as error:
                self.records.record_path(row["key"]).unlink(missing_ok=True)
                self.torn.append((row["key"], str(error)))
                continue
            yield row | absolute_paths({name: record[name] for name in record if name not in HIDDEN}, folder)


def count_proof(states: np.ndarray, records: Records) -> dict[str, int]:
    """items = recorded + failed + missing, and foreign: records of items that are no longer in the input."""
    counts = np.bincount(states, minlength=3)
    listed = sum(1 for _ in json_files(records.records))
    return {
        "items": len(states),
        "recorded": int(counts[RECORDED]),
        "failed": int(counts[FAILED]),
        "missing": int(counts[OPEN]),
        "foreign": listed - int(counts[RECORDED]),
    }


def result_digest(step: Step, records: Records) -> str:
    """What the step's tables were made of; the same digest means that they are up to date."""
    failed = sum(1 for _ in json_files(records.failures))
    settings = hashlib.sha256(canonical(step.settings | step.collect_settings)).hexdigest()[:16]
    return f"{Table(step.table_path).digest} {records.digest()} {failed} {settings}"


@contextmanager
def unread(run: Run, step: Step | None, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no worker of the step that reads a table lives, and let no new one open it meanwhile.

    Workers tell each other by row numbers what they have, so a table must not change under them.
    """
    reader = run.following(step)
    if reader is None or not (reader.folder / "claims").exists():
        yield
        return
    claims = Claims(reader.folder / "claims")
    is_told = False
    try:
        while True:
            with claims.replacing_table():
                if not claims.has_living_workers():
                    yield
                    return
            if not is_told:
                say(f"another launcher's workers are at {reader.label}; waiting until they have ended")
                is_told = True
            time.sleep(1)
    finally:
        claims.close()
