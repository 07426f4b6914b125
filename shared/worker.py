"""Worker: what a step does to its items. The author of a step reads this file."""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple, Protocol

from pydantic import AfterValidator, Field, NonNegativeInt, PositiveInt

from shared.errors import is_disk_error, is_out_of_memory
from shared.files.step_folder import KEPT_FOLDERS
from shared.machine import free_gpu_memory

if TYPE_CHECKING:
    from shared.files.control import Control
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step

log = logging.getLogger("worker")


def _not_taken(name: str) -> str:
    if name in TAKEN_NAMES or name.startswith("data"):
        raise ValueError(f"a step keeps other things in its folder {name}")
    return name


TAKEN_NAMES = (*KEPT_FOLDERS, "tars", "model", "thumbnails", "images", "filtered_images", "queries")
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$"), AfterValidator(_not_taken)]


class Loaded(NamedTuple):
    """An item and what `load` made of it."""

    item: dict
    data: Any


class Member(Protocol):
    """One of the processes that work on a step together, as shared/loop/together.py makes it."""

    step: "Step"
    folder: Path
    rank: int
    world_size: int
    cores: int
    control: "Control"

    def stop_requested(self) -> bool:
        """The same answer in all processes, which must all ask."""

    def show(self, done: int, total: int, rate: float, state: str) -> None:
        """How far the work is, for the person at the launcher."""

    def mark_end(self, done: int) -> None:
        """Say that the work is complete."""


@dataclass(kw_only=True)
class Worker:
    """What one GPU does to items. A subclass is a dataclass; its fields are the options of its step."""

    batch_size: Annotated[PositiveInt, Field(description="items that go through process() together")] = 1
    max_attempts: Annotated[PositiveInt, Field(description="runs that try an item before its failure is final")] = 3
    load_threads: Annotated[
        NonNegativeInt,
        Field(
            description="threads that decode ahead; 0 is this worker's share of the cores, and 16 or more for far photographs"
        ),
    ] = 0
    stall_seconds: Annotated[
        PositiveInt, Field(description="a worker that finishes nothing for so long is started again")
    ] = 900
    gpus_per_worker: Annotated[
        NonNegativeInt, Field(description="GPUs that each worker of this step has; 0 is GPUS_PER_WORKER")
    ] = 0
    records: Annotated[
        Literal["auto", "json", "packed"],
        Field(
            description="a JSON file for each item, or packed: lines in files of some ten thousand; auto packs steps of 100,000 "
            "items and more. ./launcher.sh unpack makes files of the lines"
        ),
    ] = "auto"
    records_name: Annotated[
        FolderName, Field(description="folder of the records that are JSON files, in the step's folder")
    ] = "records"

    seed: int = field(init=False, default=0)  # these are set before setup() and collect()
    folder: Path = field(init=False, default=Path())
    table_path: Path = field(init=False, default=Path())  # of the step's items
    gpu: int = field(init=False, default=0)
    cores: int = field(init=False, default=1)  # this worker's share of the CPU, for threads of its own
    world_size: int = field(init=False, default=1)  # workers that share the step
    earlier: tuple[Any, ...] = field(init=False, default=())  # the run's steps before this one
    written: dict[str, Any] = field(init=False, default_factory=dict)  # paths that were found, as the config has them

    speed_options: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "max_attempts", "load_threads", "stall_seconds", "gpus_per_worker", "records"}
    )
    collect_options: ClassVar[frozenset[str]] = frozenset()  # those that only collect() reads: records stay as they are
    from_run: ClassVar[dict[str, str]] = {}  # options -> the config's own key that gives them a default, as text_key
    aliases: ClassVar[dict[str, str]] = {}  # other spellings of options -> their names
    only_collects: ClassVar[bool] = False  # True: no work per item, the step is its collect()
    runs_together: ClassVar[bool] = False  # True: one process per GPU, all at one work under torchrun; see work()

    @property
    def in_tars(self) -> bool:
        """Whether the images that it makes become members of tars; see ImageMaker."""
        return False

    @property
    def has_records(self) -> bool:
        return not (self.only_collects or self.runs_together)

    def check(self, label: str) -> None:
        """Raise ConfigError for options that contradict each other; the types are checked before. Changes nothing."""

    def fill_in(self, label: str) -> None:
        """After check(): give what was left out the value that follows from the other options. Raises ConfigError."""

    def remarks(self) -> list[str]:
        """Sentences for the person at the launcher, about options that will have no effect or not the one they seem to."""
        return []

    def forecast(self) -> "Forecast":
        """The models that setup() will load, and what the step will leave; nothing is loaded for it."""
        from shared.forecast import Forecast

        return Forecast()

    @property
    def notes_sources(self) -> bool:
        """Whether a record says which file its photograph was, so that one that is replaced is done anew."""
        return True

    def begin(self, step: "Step") -> None:
        """In the launcher, each time it prepares the step: put into its folder what is to lie there from the start."""

    def made_with(self) -> str:
        """What the records depend on beside the options: a model that the run itself changes. Nothing: on nothing."""
        return ""

    def setup(self) -> None:
        """Import what is heavy and load models. Called once, and only if there is something to do."""

    def hindrance(self) -> str:
        """Why nothing is finished just now, for those who watch the progress; nothing: all goes well."""
        return ""

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
                yield from self.settle(batch)
                batch = []
        if batch:
            yield from self.settle(batch)

    def left(self, step: "Step", processes: int | None = None) -> int:
        """Of a worker that runs together: how many steps are still to do by so many processes; 0: the work is complete."""
        raise NotImplementedError

    def work(self, together: "Member") -> None:
        """Of a worker that runs together: one process's part; returns when all is done, or when a stop was requested."""
        raise NotImplementedError

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        """Once, when every item is settled: write the step's tables, and return the rows of result.jsonl if they differ.

        `rows` has the step's input row and record together, in input order, for the items that have a record.
        """
        return None

    def settle(self, batch: list[Loaded], process: Callable | None = None) -> Iterator[tuple[dict, Any]]:
        """Take a batch through process(), or another like it, and yield each item with what was found or its failure."""
        process = process or self.process
        try:
            found = process(batch)
            if len(found) != len(batch):
                raise RuntimeError(f"{type(self).__name__}.process gave {len(found)} results for {len(batch)} items")
        except Exception as error:
            if is_disk_error(error):
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
            yield from self.settle(batch[start : start + size], process)


@dataclass(kw_only=True)
class ImageMaker(Worker):
    """A Worker that makes images and lets a person choose where they are put."""

    images: Annotated[
        Literal["files", "tar"],
        Field(
            description="a file each, or members of tars of a gibibyte, in the form of WebDataset, with packed records"
        ),
    ] = "files"

    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {"images"}

    @property
    def in_tars(self) -> bool:
        return self.images == "tar"
