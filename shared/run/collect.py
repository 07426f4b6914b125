"""A step's records made into result.jsonl and its tables, with the proof that none is missing."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import numpy as np

from shared.files.paths import absolute_paths
from shared.files.records import Records
from shared.files.small_files import write_json
from shared.files.states import RECORDED, count_states, item_states
from shared.files.table import Table
from shared.run.run import Run, Step
from shared.run.settings import canonical

READ_TOGETHER = 1000  # records
HIDDEN = ("files", "source", "fingerprint")  # what a record says about itself, and no table repeats


def collect(step: Step, say: Callable[[str], None], again: bool) -> tuple[bool, int]:
    """Make result.jsonl and the step's tables of its records, unless they are up to date.

    Returns whether it did, and how many items turned out to be missing, because their records were torn: those are removed,
    so that they are done again.
    """
    records = step.records
    digest = result_digest(step, records)
    if not again and step.result_path.exists() and step.read_proof().get("digest") == digest:
        return False, 0
    table = Table(step.table_path)
    if not step.worker.has_records:
        write_result(step, table, say)
        write_json(step.proof_path, {"items": len(table), "rows": len(Table(step.result_path)), "digest": digest})
        return True, 0
    states = item_states(table, records)
    reader = RecordReader(step, table, records, states)
    try:
        rows = Table.write(step.gathered_path, reader.rows(), step.run.folder)
        if reader.torn:
            for path in step.end_files():
                path.unlink()
            for name, reason in reader.torn[:5]:
                say(f"{step.label}: the record of {name} is not whole ({reason}) and is made again")
            return False, len(reader.torn)
        write_result(step, rows, say)
    finally:
        Table.remove(step.gathered_path)
    proof = count_proof(states, records) | {"rows": len(Table(step.result_path))}
    write_json(step.proof_path, proof | {"digest": result_digest(step, records)})
    counts = ", ".join(f"{count} {name}" for name, count in proof.items() if count or name == "failed")
    say(f"{step.label}: {counts}; {step.ending()}")
    return True, 0


def write_result(step: Step, rows: Table, say: Callable[[str], None]) -> None:
    (step.proof_path).unlink(missing_ok=True)  # it tells of the tables that are about to go
    chosen = step.worker.collect(rows, step)
    with unread(step.run, step, say):
        if chosen is None and rows.path == step.gathered_path:
            rows.put_at(step.result_path)
        elif chosen is None and rows.has_same_lines_anywhere():
            rows.copy_to(step.result_path)
        else:
            Table.write(step.result_path, rows if chosen is None else chosen, step.run.folder)


class RecordReader:
    """The rows of a table joined with their records, read one after another."""

    def __init__(self, step: Step, table: Table, records: Records, states: np.ndarray):
        self.step, self.table, self.records, self.states = step, table, records, states
        self.torn: list[tuple[str, str]] = []

    def rows(self) -> Iterator[dict]:
        folder = str(self.step.folder)
        recorded = (row for row, state in zip(self.table, self.states, strict=True) if state == RECORDED)
        while rows := list(islice(recorded, READ_TOGETHER)):
            lines = self.records.lines([row["key"] for row in rows])
            for row, line in zip(rows, lines, strict=True):
                try:
                    record = self.records.parsed(row["key"], line)
                    if "files" in record:
                        self.records.check_files(record)
                except (ValueError, FileNotFoundError) as error:
                    self.records.forget([row["key"]])
                    self.torn.append((row["key"], str(error)))
                    continue
                for name in HIDDEN:
                    record.pop(name, None)
                yield row | absolute_paths(record, folder)


def count_proof(states: np.ndarray, records: Records) -> dict[str, int]:
    """items = recorded + failed + missing, and foreign: records of items that are no longer in the input."""
    missing, recorded, failed = count_states(states)
    foreign = records.count() - recorded
    return {"items": len(states), "recorded": recorded, "failed": failed, "missing": missing, "foreign": foreign}


def result_digest(step: Step, records: Records) -> str:
    """What the step's tables were made of; the same digest means that they are up to date."""
    failed = records.count_failures()
    settings = hashlib.sha256(canonical(step.settings | step.collect_settings)).hexdigest()[:16]
    place = "" if step.run.config.paths == "relative" else step.folder  # of a run that was moved all paths are others
    return f"{Table(step.table_path).digest} {records.digest()} {failed} {settings} {step.run.config.paths} {place}"


@contextmanager
def unread(run: Run, step: Step | None, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no worker of the step that reads a table lives, and let no new one open it meanwhile.

    Workers tell each other by row numbers what they have, so a table must not change under them.
    """
    reader = run.following(step)
    if reader is None or not reader.claims_path.exists():
        yield
        return
    claims = reader.open_claims()
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
