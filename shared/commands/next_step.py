"""What launcher.sh asks between two steps: do what needs no worker, and say which workers to start next."""

import argparse
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from shared.commands.publish import publisher_of
from shared.commands.slots import Slot, find_slots
from shared.commands.telling import say
from shared.commands.variables import OPTIONS, Variables
from shared.errors import RunError
from shared.files.lookup import ROOT
from shared.files.step_folder import kill_files
from shared.machine import listed_gpus
from shared.run.advance import Advance, advance, check_changes
from shared.run.run import Run, Step
from shared.run.saving import save_folder_of, save_results

MASTER_PORT = "29500"  # torchrun's own
Value = str | int | list[str] | Mapping[int, str | int]  # of a variable of bash


def answer_launcher(arguments: argparse.Namespace, run: Run, variables: Variables, again: bool = False) -> int:
    """Write on descriptor 3 the assignments that launcher.sh evaluates. `again`: tables are made that are up to date too.

    Raises RunError, DatasetError, ConfigError, all of them before anything is created.
    """
    answer = assignments(take_stock(arguments, run, variables, again))
    with os.fdopen(3, "w") as launcher:
        launcher.write(answer)
    return 0


def take_stock(arguments: argparse.Namespace, run: Run, variables: Variables, again: bool) -> dict[str, Value]:
    stopped = [slot.id for slot in find_slots(variables, 1)] if arguments.stopped == "all" else ids(arguments.stopped)
    slots = find_slots(variables, variables.gpus_per_worker, stopped)
    only = [run.find(selector) for selector in variables.steps.replace(",", " ").split()]
    if arguments.first:
        check_before_run(run, variables)
        is_here = variables.launch_with != "ray"
        if is_here and not all(step.result_path.exists() for step in only or run.steps):
            from shared.doctor.examination import look_before

            look_before(run, " ".join(slot.gpus for slot in slots), variables.steps, variables.at_most, say)
    with run.locked(say):
        if arguments.first:
            check_changes(run, variables.on_change, say)
            remove_old_kill_files(run, variables.log_dir())
        chosen = sorted(only, key=lambda step: step.number)
        processes = len(slots) * variables.gpus_per_worker * variables.node_count
        if variables.launch_with == "ray":
            processes = variables.gpu_count or 1
        reached = advance(run, say, chosen, frozenset(ids(arguments.begun)), variables.at_most, again, processes)
        saved = save_results(run, say) if reached.is_complete else None
        if reached.is_complete and (reached.collected or not run.report_path.exists()):
            from shared.reporting.report import (
                write_report,
            )  # what draws is not needed for what only asks what to do next

            say(f"report: {write_report(run)}")
    variables.log_dir().mkdir(parents=True, exist_ok=True)
    common: dict[str, Value] = {
        "output_dir": str(run.folder),
        "log_dir": str(variables.log_dir()),
        "max_restarts": variables.max_restarts,
    }
    if reached.step is None:
        return common | results_of(run, reached, saved)
    return common | work_of(arguments, reached.step, reached.left, variables, stopped)


def check_before_run(run: Run, variables: Variables) -> None:
    """What can be refused without looking at this machine. Raises RunError, DatasetError, ConfigError."""
    only = [run.find(selector) for selector in variables.steps.replace(",", " ").split()]
    for step in only or run.steps:
        find_slots(variables, gpus_of_a_worker(step, variables))  # raises where they cannot be shared out
    tell_notes(run)
    if variables.node_note:
        say(f"note: {variables.node_note}")
    check_writable(run.named_by, run.folder)
    if folder := save_folder_of(run):
        check_writable("save_folder", folder)
    check_writable("LOG_DIR", variables.log_dir())
    next(run.source.items())  # raises when there is nothing to read
    if variables.on_change != "redo":
        check_changes(run, variables.on_change, say)


def results_of(run: Run, reached: Advance, saved: Path | None) -> dict[str, Value]:
    tables = [f"tables and triplets: {path}/" for path in sorted(run.folder.glob("step_*_merge*/"))]
    results = [*tables, *([f"results: {saved}/"] if saved else [])] + [
        f"report: {run.report_path}"
    ] * run.report_path.is_file()
    return {"state": "complete", "failed": reached.failed, "collected": reached.collected, "results": results}


def work_of(
    arguments: argparse.Namespace, step: Step, left: int, variables: Variables, stopped: list[int]
) -> dict[str, Value]:
    """The workers of one step: for each id the GPUs that it sees and the rank of its shard, and the words for all of them."""
    is_together = step.worker.runs_together
    name = step.config.name or step.config.type
    meeting = os.environ.get("MASTER_ADDR", "")
    if is_together and variables.node_count > 1 and not meeting:
        raise RunError(
            f"step {step.number} ({name}): its processes on {variables.node_count} machines must find each other; set "
            "MASTER_ADDR to the first one's address (a job of LAUNCH_WITH=slurm does, an array of jobs cannot), or run it with "
            f"NODE_COUNT=1 and STEPS={step.number}"
        )
    common: dict[str, Value] = {
        "state": "work",
        "number": step.number,
        "name": name,
        "left": left,
        "unit": "steps" if is_together else "items",
        "push_words": [f"--along={step.number}", *run_words(arguments)] if publisher_of(step) else [],
        "watch_words": [
            f"--folder={step.folder}",
            f"--label={step.label}",
            f"--others={others_than(step)}",
            *(["--together"] if is_together else []),
        ],
    }
    if variables.launch_with == "ray":
        return common | work_in_pool(arguments, step, left, variables, stopped)
    slots = find_slots(variables, gpus_of_a_worker(step, variables), stopped, is_together)
    cores = max(1, len(os.sched_getaffinity(0)) // max(1, len(slots)))
    processes = sum(slot.gpus.count(",") + 1 for slot in slots) if is_together else 1
    processes *= variables.node_count if is_together else 1
    has_gpu = listed_gpus() > 0
    return common | {
        "module": step.module,
        "announcement": announcement(step, name, left, slots, processes, variables.log_dir()),
        "cores": cores,
        "gpus": {slot.id: slot.gpus if has_gpu else "" for slot in slots},
        "ranks": {slot.id: slot.rank for slot in slots},
        "run_words": [*run_words(arguments), "--step", str(step.number)],
        "worker_words": [
            *("--step-name", f"step {step.number} ({name}) "),
            *("--world-size", str(variables.node_count * len(slots)), "--cores", str(cores)),
            *("--processes", str(processes), "--kill-folder", str(ROOT)),
            *(words_to_meet(variables, meeting) if is_together else []),
        ],
    }


def work_in_pool(
    arguments: argparse.Namespace, step: Step, left: int, variables: Variables, stopped: list[int]
) -> dict[str, Value]:
    """One process for the launcher to start, which has Ray place the workers: what differs from work_of()."""
    is_together = step.worker.runs_together
    name = step.config.name or step.config.type
    gpus = variables.gpu_count or 1 if is_together else gpus_of_a_worker(step, variables)
    limit = 1 if is_together else variables.gpu_count
    begun = [one for one in step.run.steps if one.number in ids(arguments.begun)]
    # The launcher, which remembers whom a person has stopped, sees the pool alone.
    killed = sorted({id for one in begun for id in one.killed()})
    return {
        "module": "launch",
        "announcement": f"step {step.number} ({name}): {left} {'steps' if is_together else 'items'} for the workers that Ray "
        f"places; logs in {variables.log_dir()}",
        "cores": 1,
        "gpus": {} if stopped else {0: ""},
        "ranks": {0: 0},
        "run_words": ["pool", *run_words(arguments), "--step", str(step.number), "--gpus-each", str(gpus)],
        "worker_words": [*(["--limit", str(limit)] if limit else []), f"--without={' '.join(map(str, killed))}"],
    }


def words_to_meet(variables: Variables, address: str) -> list[str]:
    port = os.environ.get("MASTER_PORT") or MASTER_PORT
    place = ["--nodes", str(variables.node_count), "--node-rank", str(variables.node_rank)]
    return [*place, "--meeting", f"{address}:{port}"] if variables.node_count > 1 else []


def gpus_of_a_worker(step: Step, variables: Variables) -> int:
    return step.worker.gpus_per_worker or variables.gpus_per_worker


def announcement(step: Step, name: str, left: int, slots: list[Slot], processes: int, log_dir: Path) -> str:
    if step.worker.runs_together and slots:
        id = slots[0].id
        return (
            f"step {step.number} ({name}): {left} steps, {processes} processes together; log: {log_dir}/gpu{id}.log, "
            f"stop them with: touch kill{id}.txt"
        )
    return (
        f"step {step.number} ({name}): {left} items, {len(slots)} workers; logs in {log_dir}, "
        "stop one with: touch kill<gpu>.txt"
    )


def others_than(step: Step) -> str:
    """How far the run's other steps are: `step 2 of 3; before: 1 filter, 12 rows; then: 3 triplets`."""
    steps = step.run.steps
    names = [f"{one.number} {one.config.name or one.config.type}" for one in steps]
    place = steps.index(step)
    if len(steps) == 1:
        return ""
    before = [
        f"{name}, {rows} rows" if (rows := one.read_proof().get("rows")) is not None else name
        for one, name in zip(steps[:place], names, strict=False)
    ]
    parts = [f"step {place + 1} of {len(steps)}"]
    parts += [f"before: {'; '.join(before)}"] if before else []
    parts += [f"then: {', '.join(names[place + 1 :])}"] if names[place + 1 :] else []
    return "; ".join(parts)


def run_words(arguments: argparse.Namespace) -> list[str]:
    """The same run in the words of a worker."""
    words = [f"--config={arguments.config}", f"--output-dir={arguments.output_dir}"]
    words += [f"--input={arguments.input}"] if arguments.input else []
    return words + [word for setting in arguments.set for word in ("--set", setting)]


def tell_notes(run: Run) -> None:
    """What the config says in vain; an option that a variable has set is called by the variable."""
    variables = {option: variable for variable, option in OPTIONS.items()}
    for note in run.config.notes:
        option, _, rest = note.partition(" ")
        say(f"note: {variables.get(option, option)} {rest}")


def check_writable(variable: str, folder: Path) -> None:
    """Raises RunError where a folder cannot be made or written, before anything is created."""
    folder = Path(os.path.abspath(folder))
    place = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not place.is_dir():
        raise RunError(f"{variable} is {folder}, but {place} is no folder; take another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{variable} is {folder}, but {place} may not be written by this user; take another one")


def remove_old_kill_files(run: Run, log_dir: Path) -> None:
    """A kill file from before the launch would stop what has only begun."""
    if any(step.is_alive() for step in run.steps):
        return
    folders = [ROOT, run.folder, *(step.folder for step in run.steps)]
    for path in (path for folder in folders for path in kill_files(folder)):
        path.unlink(missing_ok=True)
        line = f"{path} was left from before the launch and is removed"
        say(line)
        log_dir.mkdir(parents=True, exist_ok=True)
        number = "".join(filter(str.isdigit, path.stem))
        with open(log_dir / f"gpu{number}.log", "a") as log:
            log.write(f"launcher: {line}\n")


def assignments(values: Mapping[str, Value]) -> str:
    """As bash evaluates them: a text or a number, a list, or an array by number."""
    return "".join(f"{name}={in_bash(value)}\n" for name, value in values.items())


def in_bash(value: Value) -> str:
    if isinstance(value, Mapping):
        return "(" + " ".join(f"[{place}]={shlex.quote(str(one))}" for place, one in value.items()) + ")"
    if isinstance(value, list):
        return "(" + " ".join(map(shlex.quote, value)) + ")"
    return shlex.quote(str(value))


def ids(text: str) -> list[int]:
    return [int(word) for word in text.split()]
