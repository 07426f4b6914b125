"""Steps whose processes work together, one on each GPU: torchrun starts them, one kill file stops them all."""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import CRASHED, MISUSE, STOPPED, RunError, exit_status
from shared.files.control import SECONDS_BETWEEN_LOOKS, Control
from shared.files.leases import AnyClaims
from shared.loop.place import Place
from shared.loop.progress import about_process
from shared.machine import end_with_parent, share_of_cores
from shared.run.run import Step

if TYPE_CHECKING:
    from torch.distributed import ProcessGroup

log = logging.getLogger("worker")

WAY_OUT = "uv pip install --python .venv/bin/python -r requirements.txt"
SECONDS_TO_MEET = 1800  # a machine may still be at the step before
REASONS_VARIABLE = "RELIGHT_REASONS"  # a folder in which a process that breaks says why
PARENT = "RELIGHT_PARENT"  # the pid that the launcher knows


def is_member() -> bool:
    """Whether this is one of the processes that torchrun started."""
    return REASONS_VARIABLE in os.environ


class Parent:
    """The process that the launcher started: it starts torchrun, hands on a stop, and says how all ended."""

    def __init__(self, step: Step, place: Place):
        self.step, self.place = step, place
        self.stop_requested = False
        self.torchrun: subprocess.Popen | None = None

    def run(self) -> int:
        """Returns the exit status of the whole: 0 when the work is done, 4 when it was asked to stop. Raises RunError."""
        if find_spec("torch") is None:
            raise RunError(f"training needs the package torch, which is not installed: {WAY_OUT}")
        claims = self.step.open_claims()
        if self.place.node_rank == 0:  # the other machines wait for it
            self._take_turn(claims)
        if self.stop_requested or not self.step.worker.left(self.step, self.place.processes):
            return STOPPED if self.stop_requested else 0
        with tempfile.TemporaryDirectory(prefix="together-") as reasons:
            environment = os.environ | {REASONS_VARIABLE: reasons, PARENT: str(os.getpid())}
            processes = self.place.processes // self.place.nodes
            cores = max(1, share_of_cores(self.place.cores) // processes)
            environment["OMP_NUM_THREADS"] = str(cores)
            environment["TQDM_DISABLE"] = "1"  # the libraries' bars, in a log that people follow
            command = [
                sys.executable,
                "-m",
                "torch.distributed.run",
                *self._where(),
                "--nproc-per-node",
                str(processes),
            ]
            # A scheduler's TERM reaches torchrun too, which would give its processes half a minute; they are asked below.
            command += ["--signals-to-handle", "SIGINT,SIGQUIT"]
            command += ["--max-restarts", "0", "-m", f"workers.{self.step.module}", *sys.argv[1:]]
            self.torchrun = subprocess.Popen(command, env=environment, preexec_fn=ignore_scheduler)
            status = self._wait()
            broken = first_reason(Path(reasons))
        if broken:
            log.error("%s", broken["reason"])
            return broken["status"]
        if status:
            log.error(
                "a process of the training died without a word (torchrun: status %d); the log above says more", status
            )
            return CRASHED
        return STOPPED if self.step.worker.left(self.step, self.place.processes) else 0

    def _where(self) -> list[str]:
        """How torchrun finds its like on the other machines."""
        if self.place.nodes == 1:
            return ["--standalone"]
        address, _, port = self.place.meeting.rpartition(":")
        words = ["--nnodes", str(self.place.nodes), "--node-rank", str(self.place.node_rank)]
        words += ["--master-addr", address, "--master-port", port]
        return [*words, "--rdzv-conf", f"timeout={SECONDS_TO_MEET}"]

    def stop(self, *_: object) -> None:
        """For signals: the members are asked, who agree on where to stop."""
        self.stop_requested = True
        if self.torchrun:
            for pid in children(self.torchrun.pid):
                os.kill(pid, signal.SIGTERM)

    def _take_turn(self, claims: AnyClaims) -> None:
        """Two launchers on one folder: the second waits until the first has ended."""
        is_told = False
        while not self.stop_requested and not claims.take_only_slot():
            if not is_told:
                log.info("another launcher is training here; waiting until it has ended")
                is_told = True
            time.sleep(1)

    def _wait(self) -> int:
        assert self.torchrun is not None
        while True:
            try:
                return self.torchrun.wait(SECONDS_BETWEEN_LOOKS)
            except subprocess.TimeoutExpired:
                if self.place.parent is not None and os.getppid() != self.place.parent and not self.stop_requested:
                    self.stop()


class Together:
    """This process among those that work on the step; the first, rank 0, listens and speaks for all."""

    def __init__(self, step: Step, place: Place):
        self.step, self.folder = step, step.folder
        self.rank, self.world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self.cores = max(1, share_of_cores(place.cores) // self.world_size)
        self.control = Control(step.folder, place.gpu, place.kill_folders(step))
        self.group: ProcessGroup | None = None
        if not self.is_first:
            log.setLevel(logging.WARNING)

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def stop_requested(self) -> bool:
        """The same answer in all processes, which must all ask. A few dozen microseconds; the GPU is not waited for."""
        import torch
        from torch import distributed

        if self.world_size == 1:
            return self.control.stop_requested()
        if self.group is None:
            self.group = distributed.new_group(backend="gloo")
        # Of a process that does not speak for all, its own signals alone: a scheduler may send them to one machine.
        wanted = torch.tensor([int(self.control.stop_requested() if self.is_first else bool(self.control.reason))])
        distributed.all_reduce(wanted, distributed.ReduceOp.MAX, group=self.group)
        return bool(wanted.item())

    def show(self, done: int, total: int, rate: float, state: str) -> None:
        """The progress file, as the launcher's watch reads it; an item is here one step of the optimizer."""
        values = about_process(self.control, self.step.worker) | {
            "pid": int(os.environ[PARENT]),  # the process that the launcher knows
            "state": state,
            "recorded": done,
            "failed": 0,
            "shard": {"items": total, "recorded": done, "failed": 0},
            "rate": round(rate, 3),
        }
        self.control.show_progress(values)

    def mark_end(self, done: int) -> None:
        """Say that the work is complete. The caller has made sure."""
        if self.is_first:
            self.control.mark_end(done, 0)

    def run(self) -> int:
        """The step's work; whatever breaks it is noted for the parent. Returns the exit status."""
        end_with_parent()
        signal.signal(signal.SIGTERM, lambda *_: self.control.stop("a TERM signal asked for it"))
        try:
            self.step.worker.work(self)
        except ImportError as error:
            return self._broke(f"training needs the package {error.name}, which is not installed: {WAY_OUT}", MISUSE)
        except Exception as error:
            status, sentence = exit_status(error, self.folder)
            if status == CRASHED:
                log.exception("rank %d broke", self.rank)
                sentence = f"rank {self.rank} of {self.world_size} broke: {sentence}"
            return self._broke(sentence, status)
        return 0

    def _broke(self, reason: str, status: int) -> int:
        note = {"reason": reason, "status": status, "time": time.time()}
        Path(os.environ[REASONS_VARIABLE], str(self.rank)).write_text(json.dumps(note))
        return status


def ignore_scheduler() -> None:
    """In torchrun before it begins; its processes set what they need themselves."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def first_reason(folder: Path) -> dict | None:
    """Why the first process broke; the others then lose their partner, which is no reason."""
    notes = [json.loads(path.read_text()) for path in folder.iterdir()]
    return min(notes, key=lambda note: note["time"], default=None)


def children(pid: int) -> list[int]:
    """Processes that the process started and that live."""
    pids: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            pids += map(int, task.read_text().split())
        except OSError:
            continue
    return pids
