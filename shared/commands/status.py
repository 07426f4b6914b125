"""How far a run is, from its files alone, and asking its workers to stop."""

import os
from collections.abc import Callable

from shared.dataset import DatasetError
from shared.errors import RunError
from shared.far.addresses import shown_address
from shared.files.small_files import read_json
from shared.files.states import count_states, item_states
from shared.files.step_folder import kill_file
from shared.files.table import Table
from shared.loop.progress import clock
from shared.run.run import Run, Step


def print_status(run: Run) -> int:
    """Print a line a step and a line a living worker; returns the exit status of the run as it stands."""
    run.check_begun()
    settings = run.input.read_made().get("settings") or {}  # none yet while the input is read
    print(f"{run.folder}  ({run.config.path} over {settings.get('input', shown_address(run.config.meta_path))})")
    left = failed = complete = 0
    seconds, expected = 0.0, 0  # what is left of steps whose rate is known, and the items that the next step will have
    for step in run.steps:
        line, step_left, step_failed = line_about(step, expected)
        left, failed = left + step_left, failed + step_failed
        complete += not step_left
        rate = sum(worker["rate"] for worker in living_workers(step))
        seconds += step_left / rate if rate else 0
        expected = items_expected(step, expected)
        print(line)
        for worker in living_workers(step):
            shard = worker["shard"]
            done = shard["recorded"] + shard["failed"]
            opened = shard["items"] - done
            eta = f", {clock(opened / worker['rate'])} left" if worker["rate"] and opened else ""
            print(
                f"    GPU {worker['gpu']}: {worker['state']}, {done}/{shard['items']} of its shard, {worker['rate']:.1f}/s{eta}"
            )
    if len(run.steps) > 1:
        eta = f", {clock(seconds)} left of the step at work" if seconds else ""
        print(f"all: {complete} of {len(run.steps)} steps complete, {failed} failed, {left} left to do{eta}")
    if left:
        return 4
    return 3 if failed else 0


def items_expected(step: Step, before: int) -> int:
    """How many items the step hands on at most, where `before` is what it has been given at most itself."""
    if step.result_path.exists():
        return len(Table(step.result_path))
    try:
        return len(Table(step.table_path))
    except DatasetError:
        return before


def line_about(step: Step, expected: int = 0) -> tuple[str, int, int]:
    """A line about a step, the items it has left (at least one while it is not complete), and those that failed.

    `expected`: items that it will have at most, once the step before it is complete.
    """
    name = f"{step.number} {step.config.name or step.config.type:<12}"
    try:
        table = Table(step.table_path)
    except DatasetError:
        is_items = step.worker.has_records and expected
        about = f", for {expected} items at most" if is_items else ""
        return f"{name} waits for the step before it{about}", expected if is_items else 1, 0
    if step.worker.only_collects:
        rows = step.read_proof().get("rows")
        return (f"{name} complete: {rows} rows", 0, 0) if rows is not None else (f"{name} not made yet", 1, 0)
    if step.worker.runs_together:
        left = step.worker.left(step)
        state = "running" if step.is_alive() else "not complete" if left else "complete"
        return f"{name} {state}: {left} steps left", left, 0
    left, recorded, failed = count_states(item_states(table, step.records))
    state = "complete" if not left and step.result_path.exists() else "running" if step.is_alive() else "not complete"
    return (
        f"{name} {state}: {recorded} of {len(table)} recorded, {failed} failed, {left} left",
        left or state == "running",
        failed,
    )


def living_workers(step: Step) -> list[dict]:
    if not step.is_alive():
        return []
    return [worker for path in step.progress_files() if (worker := read_json(path)) and lives(worker)]


def lives(worker: dict) -> bool:
    """False for the progress file of a process of this machine that is gone."""
    return worker["host"] != os.uname().nodename or os.path.exists(f"/proc/{worker['pid']}")


def request_stop(run: Run, gpu: int | None, say: Callable[[str], None]) -> int:
    """Touch the kill files of the living workers, or of one; returns 0 when somebody was asked."""
    asked = 0
    for step in run.steps:
        for worker in living_workers(step):
            if gpu in (None, worker["gpu"]):
                kill_file(step.folder, worker["gpu"]).touch()
                say(f"GPU {worker['gpu']} is asked to stop after what it has begun ({step.label})")
                asked += 1
    if not asked:
        raise RunError(f"no worker{'' if gpu is None else f' on GPU {gpu}'} is alive in {run.folder}")
    return 0
