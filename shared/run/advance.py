"""What a run has to do next: the input is read, finished steps are collected, the first unfinished one is prepared."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from shared.errors import RunError
from shared.files.crashes import recover
from shared.files.equal_keys import EqualKeys, with_suffixes
from shared.files.part_file import remove_dead_parts
from shared.files.small_files import write_json
from shared.files.states import count_states, item_states
from shared.files.step_folder import StepFolder
from shared.files.table import Table
from shared.run.collect import collect, unread
from shared.run.run import Run, Step, put_aside
from shared.run.settings import canonical, differences, write_settings
from shared.run.sources import redo_replaced

WAYS_OUT = "take a new {}, or ON_CHANGE=redo (what is there is kept aside), or ON_CHANGE=keep"


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
    of the input. `again`: collect also what is up to date, and try no failure again. `processes`: how many will work
    together where they do. Raises RunError, DatasetError.
    """
    if not begun or not run.input.result_path.exists():  # once in a launch
        read_input(run, say, at_most)
        redo_replaced(run, say)
    reached = Advance()
    for step in only or run.steps:
        if not step.table_path.exists():
            raise RunError(f"{step.label} needs {step.table_path}, which the step before it makes; run that one first")
        put_aside_outdated(run, step, say)
        step.folder.mkdir(exist_ok=True)
        remove_dead_parts(step.folder)  # a worker of that number may never write its file again
        is_changed = step.read_made().get("fingerprint") not in (None, step.fingerprint)
        step.write_settings()
        step.worker.begin(step)
        if step.worker.only_collects:
            left, failed = 0, 0
        elif step.worker.runs_together:
            left, failed = prepare_together(step, processes, is_begun=step.number in begun), 0
        else:
            left, failed = prepare(step, say, again or step.number in begun, is_changed)
        if left == 0:
            is_new, left = collect(step, say, again)
            reached.collected += is_new
        if left:
            return Advance(step, left, reached.failed + failed, reached.collected)
        reached.failed += failed
    return reached


def put_aside_outdated(run: Run, step: Step, say: Callable[[str], None]) -> None:
    """Keep aside what a step has made with another model than today's, and all that was made from it. Raises RunError."""
    before, now = step.read_made().get("made_with"), step.worker.made_with()
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
    if run.named_by == "base_folder":
        check_same_config(run)
    before = run.input.read_made().get("settings")
    compared: list[tuple[str, list[str], StepFolder]] = [
        ("the input", differences(before, input_settings(run)), run.input)
    ]
    compared += [(step.label, step.changes(), step) for step in run.steps]
    changed = [place for place, (_, changes, _) in enumerate(compared) if changes]
    if not changed or on_change == "keep":
        return
    if on_change == "error":
        words = "; ".join(f"{label}: {', '.join(changes)}" for label, changes, _ in compared if changes)
        redone = ", ".join(label for label, _, step in compared[changed[0] :] if step.folder.exists())
        raise RunError(
            f"{run.folder} was made with other settings: {words}. {WAYS_OUT.format(run.named_by)}; redo makes anew: {redone}"
        )
    # What follows the first that differs was made from it.
    outdated = [(label, step) for label, _, step in compared[changed[0] :] if step.folder.exists()]
    for label, step in outdated:
        if step.is_alive():
            raise RunError(f"{label} is being worked on by another launcher; stop that one first")
    for label, step in reversed(outdated):  # the one that differs goes last, so that a kill on the way is seen to
        say(f"{label}: kept aside as {put_aside(step.folder).name}")


def check_same_config(run: Run) -> None:
    """Two configs that name one base_folder would mix their steps. Raises RunError."""
    names = {step.folder.name for step in run.steps}
    numbers = {str(step.number) for step in run.steps}
    for path in sorted(run.folder.glob("step_*")):
        parts = path.name.split("_")
        if parts[1] in numbers and path.name not in names and ".old-" not in path.name:
            raise RunError(
                f"base_folder {run.folder} holds {path.name}, which is no step of {run.config.path}: it is of another config; "
                "name another base_folder, or set OUTPUT_DIR"
            )


def input_settings(run: Run) -> dict:
    config = run.config
    return {"input": str(run.source.path), "image_key": config.image_key, "key_column": config.key_column} | (
        {
            name: value
            for name in ("meta_folder", "reader", "shards", "video_key", "text_key")
            if (value := getattr(config, name)) not in (None, "")
        }
    )


def read_input(run: Run, say: Callable[[str], None], at_most: int | None) -> None:
    """Step 0: the items as they are read, in result.jsonl; nothing is done when the input is as it was."""
    path = run.input.result_path
    settings = hashlib.sha256(canonical(input_settings(run))).hexdigest()[:16]
    digest = f"{run.source.digest()} {settings} {at_most or 'all'}"
    if path.exists() and run.input.read_proof().get("digest") == digest:
        return
    run.input.folder.mkdir(parents=True, exist_ok=True)
    run.input.proof_path.unlink(missing_ok=True)  # it tells of the table that is about to go
    with unread(run, None, say):
        table = write_items(run, path, say, at_most)
    write_settings(run.input.settings_path, input_settings(run), {})
    write_json(run.input.proof_path, {"items": len(table), "digest": digest})
    say(f"{len(table)} items in {run.source.path}")


def write_items(run: Run, path: Path, say: Callable[[str], None], at_most: int | None) -> Table:
    """The input as a table; where names derived for rows are equal it is read once more, for their suffixes."""
    if at_most is None and (blocks := run.source.encoded(str(path.parent), str(run.folder))):
        try:
            if len(table := Table.write_encoded(path, blocks, run.source.path.name)):
                return table
        except EqualKeys:
            pass  # the way by items tells them apart
    suffixes: dict[int, str] = {}
    while True:
        said: list[str] = []
        rows = with_suffixes(islice(run.source.items(said.append), at_most), suffixes)
        try:
            table = Table.write(path, rows, run.folder, name=run.source.path.name)
        except EqualKeys as equal:
            for row, count in equal.counts.items():
                suffixes[row] = suffixes.get(row, "") + f"-{count}"
            continue
        if suffixes:
            example = table[min(suffixes)]["key"]
            said.append(f'{len(suffixes)} items have the name of another, and a number behind it: "{example}"')
        for sentence in said:
            say(sentence)
        return table


def prepare(step: Step, say: Callable[[str], None], is_begun: bool, is_changed: bool = False) -> tuple[int, int]:
    """Ready the step's folder for workers; returns the items that are left, and those that failed for good.

    Failures of other settings (`is_changed`) say nothing, unless there are records beside them.
    """
    claims = step.open_claims()
    with claims.replacing_table():  # no worker begins meanwhile
        is_alone = not claims.has_living_workers()
        if is_alone:
            claims.forget_touched()
    if is_alone:
        claims.tidy()
        recover(step.parts, claims, step.records)
        if is_changed and not step.records.has_any():
            step.records.forget_failures()
    claims.close()
    if is_alone and not is_begun:
        retried = step.records.retry_failures(step.worker.max_attempts)
        if retried:
            say(f"{step.label}: {retried} failed items are tried again")
    left, _, failed = count_states(item_states(Table(step.table_path), step.records))
    if is_alone and not is_begun and left:
        step.clear_signs()
    return left, failed


def prepare_together(step: Step, processes: int | None, is_begun: bool) -> int:
    """Ready the folder of a step whose processes work together; returns how many steps are left."""
    left = step.worker.left(step, processes)
    if left and not is_begun and not step.is_alive():
        step.clear_signs()
    return left
