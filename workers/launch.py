"""The commands of launcher.sh. Not a step."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from shared.commands.telling import give_up, say
from shared.commands.variables import Variables
from shared.errors import CRASHED, STOPPED, RunError, exit_status
from shared.run.arguments import add_run_arguments, parse_setting

if TYPE_CHECKING:
    from shared.run.run import Run

# Each command imports what it needs by itself: help is printed before anything is installed.


def main() -> None:
    arguments = parse_command()
    status, folder = 0, arguments.output_dir or ""
    try:
        variables = Variables(os.environ)
        run = None if arguments.command == "watch" else load_run(arguments, variables)
        status = COMMANDS[arguments.command].run(arguments, run, variables)
    except Exception as error:
        status, sentence = exit_status(error, folder)
        if status == CRASHED:
            raise
        give_up(sentence, status)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(status)


def load_run(arguments: argparse.Namespace, variables: Variables) -> "Run":
    """The run that the arguments name, or else the variables; the arguments hold it afterwards, in full."""
    from shared.run.config import base_folder_of, load_config
    from shared.run.run import Run

    arguments.config = variables.find_config(str(arguments.config or variables.config()))
    arguments.input = variables.find_input(arguments.input or variables.input())
    arguments.set = [variables.from_here(setting) for setting in (*variables.settings(), *arguments.set)]
    config = load_config(arguments.config, arguments.input, dict(map(parse_setting, arguments.set)))
    variables.take_defaults(config.launcher, arguments.config)
    folder = arguments.output_dir
    arguments.output_dir = Path(
        os.path.abspath(
            variables.called_from / folder if folder else variables.output_dir(arguments.config, base_folder_of(config))
        )
    )
    run = Run(config, arguments.output_dir)
    if arguments.output_dir == base_folder_of(config):
        run.named_by = "base_folder"
    return run


def run_steps(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    if arguments.first and variables.launch_with == "slurm":
        from shared.commands.submit import submit

        return submit(arguments, run, variables)
    if arguments.dry_run:
        raise RunError(
            "--dry-run prints the batch script of LAUNCH_WITH=slurm; what a run here needs is said by doctor"
        )
    from shared.commands.next_step import answer_launcher

    return answer_launcher(arguments, run, variables)


def merge(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.next_step import answer_launcher

    return answer_launcher(arguments, run, variables, again=True)


def watch(arguments: argparse.Namespace, run: None, variables: Variables) -> int:
    from shared.commands.watch import Watch

    made = Watch(arguments.folder, arguments.label, arguments.left, arguments.together, arguments.others)
    return made.run(arguments.parent, arguments.messages)


def status(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.status import print_status
    from shared.commands.submit import print_jobs

    if print_jobs(run) and not run.input.folder.is_dir():
        return STOPPED  # the first of them has not begun
    return print_status(run)


def stop(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.status import request_stop
    from shared.commands.submit import stop_jobs_of

    if arguments.gpu is None and stop_jobs_of(run, say):
        return 0
    return request_stop(run, arguments.gpu, say)


def verify(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.verify import verify_run

    run.check_begun()
    with run.locked(say):
        return verify_run(run, arguments.repair, say)


def unpack(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.unpack import unpack_run

    run.check_begun()
    with run.locked(say):
        return unpack_run(run, arguments.step, say)


def push(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.publish import push_along, push_once

    if arguments.along:
        return push_along(run, arguments.along, arguments.parent, say)
    return push_once(run)


def validate(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.triplets.validate import FAULTY, validate_folder

    if arguments.folder is not None:
        folder = Path(variables.find_input(str(arguments.folder)) or "")
    else:
        steps = [step for step in run.steps if getattr(step.worker, "triplets", None)]
        if not steps:
            raise RunError(f"{run.config.path} has no step that makes triplets; name the folder that holds them")
        folder = steps[-1].folder
    status = validate_folder(Path(os.path.abspath(folder)), arguments.metadata_file, say)
    if arguments.folder is None:
        from shared.run.sources import find_replaced

        for key in find_replaced(run):
            say(f"the photograph of {key} was replaced since its records were made; run again to do it anew")
            status = max(status, FAULTY)
    return status


def report(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.reporting.report import write_report

    run.check_begun()
    with run.locked(say):
        say(f"report: {write_report(run)}")
    return 0


def doctor(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    if variables.launch_with == "slurm":
        from shared.commands.submit import examine_cluster

        return examine_cluster(arguments, run, variables)
    from shared.commands.slots import find_slots
    from shared.doctor.examination import examine

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # so that what a probe has started is ended
    here = Variables({**variables.environ, "LAUNCH_WITH": "local"})  # with Ray too it looks at this machine
    workers = " ".join(slot.gpus for slot in find_slots(here, here.gpus_per_worker))
    return examine(run, workers, variables.steps, variables.at_most, arguments.quick)


def serve(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.serve import become_server

    become_server(run, arguments.more)


def test(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    raise RunError("launcher.sh runs the tests itself")


def pool(arguments: argparse.Namespace, run: "Run", variables: Variables) -> int:
    from shared.commands.pool import run_pool

    return run_pool(arguments, run, variables)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        give_up(f"{self.prog}: {message}; {self.prog} --help says what it takes")


class Command(NamedTuple):
    run: Callable[[argparse.Namespace, Any, Variables], int]  # the second is the run; of a watch nothing
    words: str


COMMANDS = {
    "run": Command(run_steps, "Run the steps of CONFIG over INPUT; go on where the last run stopped."),
    "status": Command(status, "How far the run is, and its workers. Exit status as of a run that ended here."),
    "stop": Command(stop, "Ask the workers of the run, or one, to finish what they have begun."),
    "merge": Command(merge, "Make the tables of a run anew whose items are done, for example after it was moved."),
    "verify": Command(verify, "Check every record, image and table of the run."),
    "unpack": Command(unpack, "Make a JSON file of each record that is a line of a pack, as of large steps."),
    "validate": Command(validate, "Check a folder of triplets: every pair there, readable, of one size."),
    "push": Command(push, "Publish on the Hub what is recorded so far, of a run that still goes too."),
    "report": Command(report, "Write report.html anew, of a run that still goes too."),
    "doctor": Command(doctor, "Say whether this machine can do the run, how long it takes and what it writes."),
    "serve": Command(serve, "Become a vLLM server of the config's captioner, for workers here and elsewhere."),
    "test": Command(test, "Check the style and the types, then run the tests; all arguments are pytest's."),
    "watch": Command(watch, "What launcher.sh shows while a step runs."),
    "pool": Command(pool, "What launcher.sh starts with LAUNCH_WITH=ray: the workers of a step, placed by Ray."),
}


def parse_command() -> argparse.Namespace:
    parser = Parser(prog="./launcher.sh", description=__doc__)
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        one = commands.add_parser(name, help=command.words, description=command.words, prog=f"./launcher.sh {name}")
        one.set_defaults(parser=one, config=None, input=None, output_dir=None, set=[])
        if name not in ("serve", "test", "watch"):
            group = one.add_argument_group("the run, over the variables at the top of launcher.sh")
            add_run_arguments(group, is_required=False)
        add_own_arguments(name, one)
    arguments, unknown = parser.parse_known_args()
    if unknown:
        arguments.parser.error(f"no argument {unknown[0]!r}")
    return arguments


def add_own_arguments(name: str, parser: argparse.ArgumentParser) -> None:
    hidden = argparse.SUPPRESS  # what launcher.sh says, and no person
    if name == "run":
        parser.add_argument(
            "--dry-run", action="store_true", help="print the script of LAUNCH_WITH=slurm, submit nothing"
        )
    if name in ("run", "merge"):
        parser.add_argument("--first", action="store_true", help=hidden)  # of the questions of a launch
        parser.add_argument("--begun", default="", help=hidden)  # numbers of the steps that it has worked on
        parser.add_argument("--stopped", default="", help=hidden)  # ids of the workers that a person has stopped
    elif name == "watch":
        parser.add_argument("--folder", type=Path, required=True, help="of the step")
        parser.add_argument("--label", required=True, help="what the step is called")
        parser.add_argument("--left", type=int, required=True, help="items, or steps of a training")
        parser.add_argument("--together", action="store_true", help="the workers have one progress")
        parser.add_argument("--others", default="", help="how far the other steps are")
        parser.add_argument("--parent", type=int, required=True)
        parser.add_argument("--messages", type=Path, required=True, help="where the launcher says what it does")
    elif name == "pool":
        parser.add_argument("--step", required=True, help="its number")
        parser.add_argument("--gpus-each", type=int, default=1, help="GPUs of a worker")
        parser.add_argument("--limit", type=int, help="workers at most; without one, as many as there is room for")
        parser.add_argument("--without", default="", help="ids of workers that kill files have stopped")
        parser.add_argument("--parent", type=int, required=True)
        parser.add_argument("--gpu", type=int, default=0, help=hidden)
        parser.add_argument("--rank", type=int, default=0, help=hidden)
    elif name == "push":
        parser.add_argument("--along", type=int, help=hidden)  # the number of the step that is at work
        parser.add_argument("--parent", type=int, help=hidden)
    elif name == "stop":
        parser.add_argument("gpu", nargs="?", type=int, help="its number; without one, all of them")
    elif name == "doctor":
        parser.add_argument("--quick", action="store_true", help="load no model, ask no server, estimate no time")
    elif name == "serve":
        words = "GPUs, port, share of their memory; then options of vllm serve"
        parser.add_argument("more", nargs="*", metavar="[gpus [port [memory]]] [--option ...]", help=words)
    elif name == "test":
        parser.add_argument("more", nargs="*", metavar="argument", help="of pytest: -m slow, -k words, a file")
    elif name == "validate":
        parser.add_argument(
            "folder", type=Path, nargs="?", help="of triplets, in any form; empty: the run's merge step"
        )
        parser.add_argument("--metadata-file", "--metadata_file", help="in that folder; empty: found by its name")
    elif name == "unpack":
        parser.add_argument("step", nargs="?", help="its number or name; without one, all of them")
    elif name == "verify":
        parser.add_argument("--repair", action="store_true", help="remove what is not whole, so that it is made again")


if __name__ == "__main__":
    main()
