"""run(), with which every file in workers/ ends: arguments, the worker's part of a step, the exit status."""

import argparse
import faulthandler
import logging
import signal
import sys
from pathlib import Path

from shared.errors import CRASHED, exit_status
from shared.loop.place import Place
from shared.machine import collect_seldom
from shared.run.arguments import add_run_arguments, parse_setting
from shared.run.config import load_config
from shared.run.option_help import describe_options
from shared.run.run import Run, Step
from shared.worker import Worker, log


def run(worker_class: type[Worker]) -> None:
    """Take one worker through its shard, then help the others. Every file in workers/ ends with this call."""
    collect_seldom(True)  # until its models are loaded
    arguments = parse_arguments(worker_class, describe_options(worker_class))
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format=f"%(asctime)s {arguments.step_name}%(message)s")
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # the watchdog asks where a silent worker stands
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's; it asks by kill file
    place = Place(**{name: getattr(arguments, name) for name in Place.__dataclass_fields__})
    try:
        config = load_config(arguments.config, arguments.input, dict(map(parse_setting, arguments.set)))
        step = Run(config, arguments.output_dir).step_of(type_name(), arguments.step)
        status = run_together(step, place) if worker_class.runs_together else run_alone(step, place)
    except Exception as error:
        status, sentence = exit_status(error, arguments.output_dir)
        log.error("%s", sentence, exc_info=error if status == CRASHED else None)
    sys.exit(status)


def run_alone(step: Step, place: Place) -> int:
    from shared.loop.loop import Loop

    loop = Loop(step, place)
    signal.signal(signal.SIGTERM, lambda *_: loop.control.stop("a TERM signal asked for it"))
    return loop.run()


def run_together(step: Step, place: Place) -> int:
    from shared.loop.together import Parent, Together, is_member

    if is_member():
        return Together(step, place).run()
    parent = Parent(step, place)
    signal.signal(signal.SIGTERM, parent.stop)
    return parent.run()


def type_name() -> str:
    """`filter` for `python -m workers.filter`."""
    return Path(sys.modules["__main__"].__file__ or "").stem


def parse_arguments(worker_class: type[Worker], options: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m workers.{type_name()}",
        description=worker_class.__doc__,
        epilog=f"options of the step, in its `config:` or by --set:\n{options}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_run_arguments(parser)
    parser.add_argument("--step", help="number or name of the step, where the config has several of this type")
    parser.add_argument("--step-name", default="", help="what begins each line of the log")
    parser.add_argument("--gpu", type=int, default=0, help="names the kill, end, log and progress files")
    parser.add_argument("--rank", type=int, default=0, help="which shard is this worker's")
    parser.add_argument("--world-size", type=int, default=1, help="how many shards there are")
    parser.add_argument("--cores", type=int, default=0, help="this worker's share of the CPU; 0 is all")
    parser.add_argument("--processes", type=int, default=1, help="of a step whose processes work together: how many")
    parser.add_argument("--nodes", type=int, default=1, help="on so many machines together")
    parser.add_argument("--node-rank", type=int, default=0, help="which of them this is")
    parser.add_argument("--meeting", default="", help="where their processes meet: address:port of the first machine")
    parser.add_argument("--parent", type=int, help="pid of the launcher; the worker drains when that is gone")
    parser.add_argument("--kill-folder", type=Path, help="another place for kill<gpu>.txt: beside launcher.sh")
    arguments = parser.parse_args()
    if not 0 <= arguments.rank < arguments.world_size:
        parser.error(f"--rank {arguments.rank} should be from 0 to {arguments.world_size - 1} (--world-size less one)")
    return arguments
