"""Worker, what one GPU does to items, and run(), the one loop that every step shares."""

import argparse
import faulthandler
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import NonNegativeInt, PositiveInt

if TYPE_CHECKING:
    from shared.forecast import Forecast
    from shared.run import Step
    from shared.table import Table
    from shared.together import Together

log = logging.getLogger("worker")


class Loaded(NamedTuple):
    """An item and what `load` made of it."""

    item: dict
    data: Any


@dataclass(kw_only=True)
class Worker:
    """What one GPU does to items. A subclass is a dataclass; its fields are the options of its step."""

    batch_size: PositiveInt = 1  # items that go through process() together
    max_attempts: PositiveInt = 3  # runs that try an item before its failure is final
    load_threads: NonNegativeInt = 0  # threads that decode ahead; 0 is this worker's share of the cores
    stall_seconds: PositiveInt = 900  # a worker that finishes nothing for so long is started again

    seed: int = field(init=False, default=0)  # these are set before setup() and collect()
    folder: Path = field(init=False, default=Path())
    gpu: int = field(init=False, default=0)
    cores: int = field(init=False, default=1)  # this worker's share of the CPU, for threads of its own
    earlier: tuple[Any, ...] = field(init=False, default=())  # the run's steps before this one
    written: dict[str, Any] = field(init=False, default_factory=dict)  # paths that were found, as the config has them

    speed_options: ClassVar[frozenset[str]] = frozenset({"batch_size", "max_attempts", "load_threads", "stall_seconds"})
    collect_options: ClassVar[frozenset[str]] = frozenset()  # those that only collect() reads: records stay as they are
    records_name: ClassVar[str] = "records"
    aliases: ClassVar[dict[str, str]] = {}  # other spellings of options -> their names
    only_collects: ClassVar[bool] = False  # True: no work per item, the step is its collect()
    runs_together: ClassVar[bool] = False  # True: one process per GPU, all at one work under torchrun; see work()

    @property
    def has_records(self) -> bool:
        return not (self.only_collects or self.runs_together)

    def check(self, label: str) -> None:
        """Raise ConfigError for options that contradict each other; the types are checked before."""

    def forecast(self) -> "Forecast":
        """The models that setup() will load, and what the step will leave; nothing is loaded for it."""
        from shared.forecast import Forecast

        return Forecast()

    def made_with(self) -> str:
        """What the records depend on beside the options: a model that the run itself changes. Nothing: on nothing."""
        return ""

    def setup(self) -> None:
        """Import what is heavy and load models. Called once, and only if there is something to do."""

    def load(self, item: dict) -> Any:
        """Decode and prepare one item, on a CPU thread, ahead of the GPU. An exception is that item's failure."""
        return None

    def process(self, batch: list[Loaded]) -> list[dict]:
        """Return what was found out about each item, in the same order."""
        raise NotImplementedError

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        """Yield each item with what was found, or with the exception that is its failure, in any order.

        The default cuts batches. When a batch fails its items are tried one by one, so that a bad one costs itself alone;
        when the GPU's memory runs out the batch is halved, and stays so.
        """
        batch: list[Loaded] = []
        for one in loaded:
            batch.append(one)
            if len(batch) >= self.batch_size:
                yield from self._process(batch)
                batch = []
        if batch:
            yield from self._process(batch)

    def left(self, step: "Step", processes: int | None = None) -> int:
        """Of a worker that runs together: how many steps are still to do by so many processes; 0: the work is complete."""
        raise NotImplementedError

    def work(self, together: "Together") -> None:
        """Of a worker that runs together: one process's part; returns when all is done, or when a stop was requested."""
        raise NotImplementedError

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        """Once, when every item is settled: write the step's tables, and return the rows of result.jsonl if they differ.

        `rows` has the step's input row and record together, in input order, for the items that have a record.
        """
        return None

    def _process(self, batch: list[Loaded], process: Callable | None = None) -> Iterator[tuple[dict, Any]]:
        process = process or self.process
        try:
            found = process(batch)
            if len(found) != len(batch):
                raise RuntimeError(f"{type(self).__name__}.process gave {len(found)} results for {len(batch)} items")
        except Exception as error:
            if is_disk_full(error):
                raise
            if len(batch) == 1:
                log.warning("%s failed", batch[0].item["key"], exc_info=True)
                yield batch[0].item, error
                return
            size = len(batch)
            if is_out_of_memory(error):
                self.batch_size = size = (len(batch) + 1) // 2
                free_gpu_memory()
                log.warning("out of GPU memory with %d items: going on with batches of %d", len(batch), size)
            else:
                log.warning("a batch of %d failed (%s): trying its items one by one", len(batch), error)
                size = 1
        else:
            yield from zip((one.item for one in batch), found, strict=True)
            return
        for start in range(0, len(batch), size):
            yield from self._process(batch[start : start + size], process)


def run(worker_class: type[Worker]) -> None:
    """Take one worker through its shard, then help the others. Every file in workers/ ends with this call."""
    from shared.config import ConfigError, load_config
    from shared.dataset import DatasetError
    from shared.option_help import describe_options
    from shared.records import DiskError
    from shared.run import Run, RunError

    arguments = parse_arguments(worker_class, describe_options(worker_class))
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format=f"%(asctime)s {arguments.step_name}%(message)s")
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # the watchdog asks where a silent worker stands
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's; it asks by kill file
    try:
        config = load_config(arguments.config, arguments.input, dict(arguments.set))
        step = Run(config, arguments.output_dir).step_of(type_name(), arguments.step)
        status = run_together(step, arguments) if worker_class.runs_together else run_alone(step, arguments)
    except (ConfigError, RunError) as error:
        log.error("%s", error)
        sys.exit(2)
    except (DatasetError, DiskError) as error:
        log.error("%s", error)
        sys.exit(1)
    except Exception as error:
        if is_disk_full(error):
            log.error("no space left under %s; free some and run again, nothing recorded is lost", arguments.output_dir)
            sys.exit(1)
        log.exception("the worker broke")
        sys.exit(70)  # EX_SOFTWARE: the launcher starts it again
    sys.exit(status)


def run_alone(step: "Step", arguments: argparse.Namespace) -> int:
    from shared.loop import Loop

    loop = Loop(step, arguments)
    signal.signal(signal.SIGTERM, lambda *_: loop.control.stop("a TERM signal asked for it"))
    return loop.run()


def run_together(step: "Step", arguments: argparse.Namespace) -> int:
    from shared.together import Parent, Together, is_member

    if is_member():
        return Together(step, arguments).run()
    parent = Parent(step, arguments)
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
    parser.add_argument("--parent", type=int, help="pid of the launcher; the worker drains when that is gone")
    parser.add_argument("--kill-folder", type=Path, help="another place for kill<gpu>.txt: beside launcher.sh")
    arguments = parser.parse_args()
    if not 0 <= arguments.rank < arguments.world_size:
        parser.error(f"--rank {arguments.rank} should be from 0 to {arguments.world_size - 1} (--world-size less one)")
    return arguments


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which run: common to the workers and to what the launcher asks."""
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--input", help="a folder or table, over the config's meta_path")
    parser.add_argument("--output-dir", type=Path, required=True, help="the run's folder")
    parser.add_argument("--set", type=parse_setting, action="append", default=[], metavar="OPTION=VALUE")


def parse_setting(text: str) -> tuple[str, Any]:
    """`num_images=100`, or for one step alone `1.num_images=100`; the value is read as YAML."""
    import yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} should be OPTION=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value


def is_out_of_memory(error: BaseException) -> bool:
    """True for torch.OutOfMemoryError and its subclasses, without importing torch where it is not in use."""
    return any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__)


def is_disk_full(error: BaseException) -> bool:
    from shared.records import is_disk_error

    return is_disk_error(error)


def free_gpu_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def share_of_cores(cores: int) -> int:
    return cores or len(os.sched_getaffinity(0))
