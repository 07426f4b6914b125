"""Reading everything back: what is missing, torn, foreign or doubled, and mending it."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from shared.commands.verify_records import Problem, RecordCheck, count_items
from shared.dataset import DatasetError
from shared.errors import RunError
from shared.files.crashes import recover
from shared.files.table import Table
from shared.run.run import Run, Step

NOT_WHOLE = 1
SHOWN = 20  # lines of each kind


def verify_run(run: Run, repair: bool, say: Callable[[str], None]) -> int:
    """Check every step that has begun. Returns 0 when all is whole and complete, 1 when something was found.

    With `repair`: torn records go, so that the next run makes them again; foreign ones are kept aside; parts that dead
    workers left and end files that say too much go.
    """
    run.check_begun()
    problems = list(check_table(run.input.result_path))
    for problem in problems:
        say(f"the input: torn: {problem.sentence}")
        if repair:
            problem.mend()  # the next run reads the input again
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
        problems += list(RecordCheck(step, table).problems())
        problems += list(check_leftovers(step))
        counts = count_items(table, records, problems)
        problems += list(check_end_files(step, counts))
    shown: dict[str, int] = {}
    for problem in problems:
        shown[problem.kind] = shown.get(problem.kind, 0) + 1
        if shown[problem.kind] <= SHOWN:
            say(f"{step.label}: {problem.kind}: {problem.sentence}")
        if repair:
            problem.mend()
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


def check_table(path: Path) -> Iterator[Problem]:
    if path.exists():
        try:
            Table(path)
        except DatasetError as error:
            yield Problem("torn", str(error), path.unlink)


def check_leftovers(step: Step) -> Iterator[Problem]:
    """What a dead worker had half written. A living one's parts are its own business."""
    claims = step.open_claims()
    parts = step.parts
    for folder in sorted(parts.iterdir()) if parts.is_dir() else []:
        if folder.name.isdecimal() and claims.is_slot_free(int(folder.name)):
            # recover() takes note of what was in flight before it removes them
            yield Problem("half", f"{folder} was left by a worker that died", lambda: None)
    claims.close()


def check_end_files(step: Step, counts: dict[str, int]) -> Iterator[Problem]:
    if counts["missing"]:
        for path in step.end_files():
            sentence = f"{path.name} is there, and {counts['missing']} items of the step are missing"
            yield Problem("end file", sentence, partial(path.unlink, missing_ok=True))
