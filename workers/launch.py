"""What launcher.sh asks of Python: what is next, how far it is, whether it is whole. Not a step."""

import argparse
import os
import signal
import sys
from pathlib import Path

from shared.errors import CRASHED, RunError, exit_status
from shared.files.step_folder import kill_files
from shared.run.advance import Advance, advance, check_changes
from shared.run.config import RunConfig, load_config
from shared.run.run import Run
from shared.start import add_run_arguments

VARIABLES = {"BSZ": "batch_size", "MAX_NUM": "max_num", "TEMPERATURE": "temperature", "MODEL_PATH": "model_path"}


def main() -> None:
    arguments = parse_command()
    try:
        status = arguments.command(arguments, load_run(arguments))
    except Exception as error:
        status, sentence = exit_status(error, arguments.output_dir)
        if status == CRASHED:
            raise
        say(f"error: {sentence}", sys.stderr)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


def load_run(arguments: argparse.Namespace) -> Run:
    config = load_config(arguments.config, arguments.input, dict(arguments.set))
    if arguments.command is next_step and arguments.first:
        tell_notes(config)
    return Run(config, arguments.output_dir)


def tell_notes(config: RunConfig) -> None:
    options = {option: variable for variable, option in VARIABLES.items()}
    for note in config.notes:
        option, _, rest = note.partition(" ")
        say(f"note: {options.get(option, option)} {rest}")


def next_step(arguments: argparse.Namespace, run: Run) -> int:
    """Do what needs no worker, and answer on descriptor 3 which step needs them: number, module, name, items left,
    and whether its workers work alone or together."""
    only = [run.find(selector) for selector in arguments.steps.replace(",", " ").split()]
    if arguments.first:
        check_writable("OUTPUT_DIR", run.folder)
        check_writable("LOG_DIR", arguments.log_dir)
        next(run.source.items())  # raises when there is nothing to read, before anything is created
        if arguments.on_change != "redo":
            check_changes(run, arguments.on_change, say)
    with run.locked(say):
        if arguments.first:
            check_changes(run, arguments.on_change, say)
            remove_old_kill_files(arguments, run)
        begun = frozenset(int(number) for number in arguments.begun.split())
        chosen = sorted(only, key=lambda step: step.number)
        reached = advance(run, say, chosen, begun, arguments.at_most, arguments.again, arguments.processes)
        if reached.is_complete and (reached.collected or not run.report_path.exists()):
            report_on(run)
    if arguments.log_dir:
        arguments.log_dir.mkdir(parents=True, exist_ok=True)
    with os.fdopen(3, "w") as reply:
        reply.write(answer(reached))
    return 0


def check_writable(variable: str, folder: Path | None) -> None:
    """Raises RunError where a folder cannot be made or written, before anything is created."""
    if folder is None:
        return
    folder = Path(os.path.abspath(folder))
    place = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
    if not place.is_dir():
        raise RunError(f"{variable} is {folder}, but {place} is no folder; take another one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise RunError(f"{variable} is {folder}, but {place} may not be written by this user; take another one")


def answer(reached: Advance) -> str:
    if reached.step is None:
        return f"complete\t{reached.failed}\t{reached.collected}\n"
    step = reached.step
    how = "together" if step.worker.runs_together else "alone"
    return f"work\t{step.number}\t{step.module}\t{step.config.name or step.config.type}\t{reached.left}\t{how}\n"


def remove_old_kill_files(arguments: argparse.Namespace, run: Run) -> None:
    """A kill file from before the launch would stop what has only begun."""
    if any(step.is_alive() for step in run.steps):
        return
    folders = [arguments.kill_folder, run.folder, *(step.folder for step in run.steps)]
    for path in (path for folder in folders if folder for path in kill_files(folder)):
        path.unlink(missing_ok=True)
        line = f"{path} was left from before the launch and is removed"
        say(line)
        if arguments.log_dir:
            arguments.log_dir.mkdir(parents=True, exist_ok=True)
            number = "".join(filter(str.isdigit, path.stem))
            with open(arguments.log_dir / f"gpu{number}.log", "a") as log:
                log.write(f"launcher: {line}\n")


def watch(arguments: argparse.Namespace, run: Run) -> int:
    from shared.commands.watch import Watch

    return Watch(run.find(arguments.step), arguments.left, arguments.parent, arguments.messages).run()


def status(arguments: argparse.Namespace, run: Run) -> int:
    from shared.commands.status import print_status

    return print_status(run)


def stop(arguments: argparse.Namespace, run: Run) -> int:
    from shared.commands.status import request_stop

    return request_stop(run, arguments.gpu, say)


def verify(arguments: argparse.Namespace, run: Run) -> int:
    from shared.commands.verify import verify_run

    run.check_begun()
    with run.locked(say):
        return verify_run(run, arguments.repair, say)


def validate(arguments: argparse.Namespace, run: Run) -> int:
    from shared.triplets.validate import validate_folder

    folder = arguments.folder
    if folder is None:
        steps = [step for step in run.steps if getattr(step.worker, "triplets", None)]
        if not steps:
            raise RunError(f"{run.config.path} has no step that makes triplets; name the folder that holds them")
        folder = steps[-1].folder
    return validate_folder(Path(os.path.abspath(folder)), arguments.metadata_file, say)


def report(arguments: argparse.Namespace, run: Run) -> int:
    run.check_begun()
    with run.locked(say):
        report_on(run)
    return 0


def report_on(run: Run) -> None:
    from shared.reporting.report import write_report as write

    say(f"report: {write(run)}")


def doctor(arguments: argparse.Namespace, run: Run) -> int:
    from shared.doctor.examination import examine

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what a probe has started is ended
    return examine(run, arguments.workers, arguments.steps, arguments.at_most, arguments.quick)


def become_server(arguments: argparse.Namespace, run: Run) -> int:
    from shared.commands.serve import serve as become_server

    become_server(run, arguments.more)
    return 0


def say(text: str, file=None) -> None:
    print(f"launcher: {text}", file=file or sys.stdout, flush=True)


def parse_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m workers.launch", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.__doc__)
        one.set_defaults(command=command)
        add_run_arguments(one)
        if command is next_step:
            one.add_argument("--first", action="store_true", help="the first call of a launch")
            one.add_argument("--steps", default="", help="only these, by number, name or type")
            one.add_argument("--begun", default="", help="numbers of the steps that this launch has worked on")
            one.add_argument("--at-most", type=int, help="items of the input")
            one.add_argument("--again", action="store_true", help="collect also what is up to date")
            one.add_argument("--processes", type=int, help="that a step has whose processes work together")
            one.add_argument("--on-change", choices=("error", "redo", "keep"), default="error")
            one.add_argument("--kill-folder", type=Path)
            one.add_argument("--log-dir", type=Path)
        elif command is watch:
            one.add_argument("--step", required=True)
            one.add_argument("--left", type=int, required=True)
            one.add_argument("--parent", type=int, required=True)
            one.add_argument("--messages", type=Path, required=True, help="where the launcher says what it does")
        elif command is stop:
            one.add_argument("gpu", nargs="?", type=int)
        elif command is doctor:
            one.add_argument(
                "--workers", default="", help="each worker's GPUs: '0,1 2,3'; empty: one worker per GPU or core"
            )
            one.add_argument("--steps", default="", help="only these, by number, name or type")
            one.add_argument("--at-most", type=int, help="items of the input")
            one.add_argument("--quick", action="store_true", help="load no model, ask no server, estimate no time")
        elif command is become_server:
            one.add_argument("more", nargs="*", help="arguments of vllm serve, after --")
        elif command is validate:
            one.add_argument(
                "folder", type=Path, nargs="?", help="of triplets, in any form; empty: the run's merge step"
            )
            one.add_argument("--metadata-file", "--metadata_file", help="in that folder; empty: found by its name")
        elif command is verify:
            one.add_argument("--repair", action="store_true", help="remove what is not whole, so that it is made again")
    return parser.parse_args()


COMMANDS = {
    "next": next_step, "watch": watch, "status": status, "stop": stop, "verify": verify, "validate": validate, "report": report,
    "doctor": doctor, "serve": become_server,
}  # fmt: skip

if __name__ == "__main__":
    main()
