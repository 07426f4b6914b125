"""A run and its steps: which folder, which table, which settings made what is there."""

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared.dataset import Source
from shared.errors import RunError
from shared.files.leases import BEAT, LeasedClaims
from shared.files.mounts import lock_trouble
from shared.files.step_folder import INPUT_FOLDER, StepFolder
from shared.run.config import RunConfig, StepConfig
from shared.run.settings import canonical, comparable, differences, settings_of, versions, write_settings

PACKED_FROM = 100_000  # items of a step; clusters allow some hundred thousand files


class Run:
    """One config over one input, in one folder."""

    def __init__(self, config: RunConfig, folder: Path):
        self.config, self.folder = config, Path(os.path.abspath(folder))
        self.source = Source(
            config.meta_path, config.meta_folder, config.image_key, config.key_column, config.path.resolve().parent,
            config.reader, None if config.shards is None else str(config.shards), config.video_key, config.text_key,
        )  # fmt: skip
        self.leased = config.claims == "files" or (config.claims == "auto" and bool(lock_trouble(self.folder)))
        self.input = StepFolder(self.folder / INPUT_FOLDER)
        self.report_path = self.folder / "report.html"
        self.named_by = "OUTPUT_DIR"  # what a person says for another folder
        self.steps: list[Step] = []
        for step_config in config.steps:
            table = self.steps[-1].result_path if self.steps else self.input.result_path
            self.steps.append(Step(self, step_config, table))

    @property
    def relative_within(self) -> Path | None:
        """The folder inside which the paths of people's tables are relative; None where all are absolute."""
        return self.folder if self.config.paths == "relative" else None

    def find(self, selector: str) -> "Step":
        """The step of that number, name or type. Raises RunError."""
        for step in self.steps:
            if selector in (str(step.number), step.config.name, step.config.type):
                return step
        known = ", ".join(f"{step.number} {step.config.name or step.config.type}" for step in self.steps)
        raise RunError(f"{self.config.path} has no step {selector!r}; it has {known}")

    def step_of(self, type_name: str, selector: str | None) -> "Step":
        """The step that the file workers/<type_name>.py works on; `selector` tells several of one type apart."""
        if selector:
            return self.find(selector)
        steps = [step for step in self.steps if step.module == type_name]
        if len(steps) != 1:
            raise RunError(f"{self.config.path} has {len(steps)} steps of type {type_name}; name one with --step")
        return steps[0]

    def following(self, step: "Step | None") -> "Step | None":
        """The step that reads what `step` makes; of None, the first."""
        position = self.steps.index(step) + 1 if step else 0
        return self.steps[position] if position < len(self.steps) else None

    def check_begun(self) -> None:
        """Raises RunError where there is no run yet."""
        if not self.input.folder.is_dir():
            raise RunError(f"{self.folder} holds no run yet; start it with ./launcher.sh")

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """One process at a time prepares and collects; the kernel lets go when it dies."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.leased:
            with self._leased(say):
                yield
            return
        descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                say(f"another launcher is at work in {self.folder}; waiting for its turn")
                fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @contextmanager
    def _leased(self, say: Callable[[str], None]) -> Iterator[None]:
        claims, is_told = LeasedClaims(self.folder / ".leases"), False
        try:
            while not claims.take_name("launcher"):
                if not is_told:
                    say(f"another launcher is at work in {self.folder}; waiting for its turn")
                    is_told = True
                time.sleep(BEAT / 4)
            yield
        finally:
            claims.close()


class Step(StepFolder):
    """One entry of the config, in its folder."""

    def __init__(self, run: Run, config: StepConfig, table_path: Path):
        super().__init__(run.folder / config.folder_name, config.worker.records_name, run.leased)
        self.run, self.config = run, config
        self.number, self.label, self.worker = config.number, config.label, config.worker
        self.module = type(config.worker).__module__.rpartition(".")[2]
        self.table_path = table_path  # of the items, which the step before has made
        self.seed = run.config.seed
        self.worker.seed, self.worker.folder, self.worker.earlier = self.seed, self.folder, tuple(run.steps)
        self.worker.table_path = table_path
        settings = settings_of(self.worker) | {"seed": self.seed}
        only_collecting = self.worker.collect_options
        self.settings = {name: value for name, value in settings.items() if name not in only_collecting}
        self.collect_settings = {name: value for name, value in settings.items() if name in only_collecting}
        self.fingerprint = hashlib.sha256(canonical(self.settings)).hexdigest()[:16]

    def packs(self, items: int) -> bool:
        """Whether the records of a step of so many items become lines of packs. Those that are there are read in either form."""
        form = self.worker.records
        return form == "packed" or self.worker.in_tars or (form == "auto" and items >= PACKED_FROM)

    def changes(self) -> list[str]:
        """How the settings differ from those that made what is there, in words; empty when they do not, or nothing is."""
        if self.worker.only_collects or self.has_nothing():
            return []
        return differences(comparable(self.read_made().get("settings"), self.worker), self.settings)

    def has_nothing(self) -> bool:
        """Whether nothing was made and nobody is making anything, as after a model that did not load."""
        if self.worker.runs_together:
            return not self.folder.exists()
        return not self.records.has_any() and not self.is_alive()

    def write_settings(self) -> None:
        more: dict[str, Any] = {
            "collect": self.collect_settings,
            "fingerprint": self.fingerprint,
            "versions": versions(),
        }
        if made_with := self.worker.made_with():
            more["made_with"] = made_with
        write_settings(self.settings_path, self.settings, more)

    def tell(self, text: str) -> None:
        """What collecting says to the person at the launcher."""
        print(f"launcher: {self.label}: {text}", flush=True)

    def ending(self) -> str:
        """For the person at the launcher: where its tables are, and what reads them."""
        following = self.run.following(self)
        return f"complete in {self.folder}" + (f", next is {following.label}" if following else "")


def put_aside(folder: Path) -> Path:
    """Rename a folder to the first free `<name>.old-<n>`, so that redoing a step loses nothing."""
    number = 1
    while (target := folder.with_name(f"{folder.name}.old-{number}")).exists():
        number += 1
    shutil.move(folder, target)
    return target
