"""The workers of one step as actors of Ray: placed where there are GPUs, and again where a machine has died.

Ray places and restarts, the files in the run's folder stay the truth: an actor starts the same worker process that the
launcher starts on one machine, and nothing but its log and its exit status goes through Ray.
"""

import logging
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from shared.errors import BROKEN, MISUSE, STOPPED, RunError

log = logging.getLogger("worker")

SECONDS_BETWEEN_POLLS = 0.5
SECONDS_TO_ANSWER = 60  # of an actor; one that takes longer is asked again
OF_A_MACHINE = ("CUDA_VISIBLE_DEVICES", "HOSTNAME", "PWD", "TMPDIR")  # variables that another machine has for itself
HOW_TO_INSTALL_RAY = "uv pip install --python .venv/bin/python --group ray"


class Starter:
    """The actor: it starts a worker on its machine, and hands on what that says."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  (it goes with the actor)
        self.read = 0

    def start(self, command: list[str], environment: Mapping[str, str], folder: str) -> str:
        """Start it, with the GPUs that Ray has set aside; returns the machine's name. Starting twice starts once."""
        if self.process is None:
            words = [*command, "--parent", str(os.getpid())]
            self.process = subprocess.Popen(
                words, env=os.environ | dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        return os.uname().nodename

    def look(self) -> tuple[bool, bytes, int | None]:
        """Whether it was started, what it has said since the last look, and its exit status once it has ended."""
        status = self.process.poll() if self.process else None
        said = os.pread(self.log.fileno(), 1 << 20, self.read)
        self.read += len(said)
        return self.process is not None, said, None if len(said) == 1 << 20 else status

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)


@dataclass
class Seat:
    """A worker's place: its id, which names its files, and its actor."""

    id: int
    actor: Any
    is_started: bool = False
    place: str = ""  # the machine that it is, or was, on
    restarts: int = 0
    status: int | None = None  # once it has ended for good
    question: Any = None  # a look that has not been answered


def knock(address: str) -> None:
    """Raises OSError where nobody listens at `host:port`, for which Ray would wait a minute; other forms are Ray's to judge."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()


@dataclass
class RayPool:
    """Workers of one step, as many as the cluster has GPUs (or CPU cores where it has none), at most `limit`.

    Those `without` a place are the ids of workers that kill files have stopped before. `command` is a worker's, without its
    number; `log_dir` is on the launcher's machine.
    """

    command: list[str]
    log_dir: Path
    folder: Path
    gpus_per_worker: int = 1
    limit: int | None = None
    max_restarts: int = 3
    without: frozenset[int] = frozenset()
    seats: list[Seat] = field(default_factory=list)
    is_stopping: bool = False

    def run(self, parent: int) -> int:
        """Until all workers have ended, or the launcher is gone.

        Returns 0 where they have found nothing left to do, 1 where one broke, 4 where they were stopped.
        """
        import ray

        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        address = os.environ.get("RAY_ADDRESS") or None
        try:
            knock(address or "")
            ray.init(address=address, log_to_driver=False)
        except OSError as error:
            raise RunError(f"RAY_ADDRESS is {address}, where no Ray answers: {error}; see `ray status` there") from None
        signal.signal(signal.SIGTERM, self.stop)  # after Ray, which would end this process
        try:
            self.world_size = max(1, self.room(ray))
            while not self.seats or any(seat.status is None for seat in self.seats):
                self.grow(ray)
                for seat in self.seats:
                    self.attend(ray, seat)
                if os.getppid() != parent:
                    self.stop()
                time.sleep(SECONDS_BETWEEN_POLLS)
        finally:
            ray.shutdown()
        statuses = {seat.status for seat in self.seats}
        if not statuses <= {0, STOPPED}:
            return BROKEN
        # One that was killed has left its items to the others.
        is_left = STOPPED in statuses and (self.is_stopping or 0 not in statuses)
        return STOPPED if is_left else 0

    def stop(self, *_: object) -> None:
        """For signals too: every worker is asked at the next look."""
        self.is_stopping = True

    def room(self, ray: Any) -> int:
        """How many workers the cluster, as it is now, has room for, without those that were stopped."""
        there = ray.cluster_resources()
        kind, each = ("GPU", self.gpus_per_worker) if there.get("GPU") else ("CPU", 1)
        places = min(int(there.get(kind, 0)) // each, self.limit or 1 << 30)
        return max(min(1, places), places - len(self.without))  # a machine may have gone instead

    def grow(self, ray: Any) -> None:
        """A worker for every place that is there now and was not: machines that have come since begin to work."""
        while not self.is_stopping and not self.has_ended() and len(self.seats) < self.room(ray):
            has_gpus = bool(ray.cluster_resources().get("GPU"))
            resources = {"num_gpus": self.gpus_per_worker, "num_cpus": 0} if has_gpus else {"num_cpus": 1}
            starter = ray.remote(Starter).options(max_restarts=-1, scheduling_strategy="SPREAD", **resources)
            number = next(id for id in count() if id not in self.without and all(id != seat.id for seat in self.seats))
            self.seats.append(Seat(number, starter.remote()))

    def has_ended(self) -> bool:
        """Whether a worker has found nothing left to do: whoever came now would not, either."""
        return any(seat.status == 0 for seat in self.seats)

    def attend(self, ray: Any, seat: Seat) -> None:
        """Look at one worker without waiting for it; an actor that is placed anew, or waits for a place, takes its time."""
        if seat.status is not None:
            return
        if self.is_stopping and not seat.is_started:
            seat.status = STOPPED  # it had no place yet
            return
        if self.has_ended() and not seat.place:
            seat.status = 0  # it was given no place while there was something to do
            return
        if seat.question is None:
            seat.question = seat.actor.look.remote()
        if not ray.wait([seat.question], timeout=0)[0]:
            return
        question, seat.question = seat.question, None
        try:
            is_started, said, status = ray.get(question)
            if not is_started:
                self.start(ray, seat)
                return
            if self.is_stopping:
                seat.actor.stop.remote()
        except ray.exceptions.RayError as error:
            if seat.is_started:
                seat.is_started = False
                log.warning(
                    "GPU %d: %s is gone, and it is placed again (%s)", seat.id, seat.place, type(error).__name__
                )
            return
        with open(self.log_path(seat), "ab") as file:
            file.write(said)
        if status is not None:
            self.ended(ray, seat, status)

    def start(self, ray: Any, seat: Seat) -> None:
        rank = self.seats.index(seat) % self.world_size
        own = ["--gpu", str(seat.id), "--rank", str(rank), "--world-size", str(self.world_size)]
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)) // self.world_size)
        own += ["--cores", str(cores)]
        own_variables = {"OMP_NUM_THREADS": str(cores), "OPENCV_FOR_THREADS_NUM": "1"}
        carried = {
            name: value
            for name, value in os.environ.items()
            if name not in OF_A_MACHINE and not name.startswith("RAY_")
        } | own_variables
        seat.place = ray.get(
            seat.actor.start.remote([*self.command, *own], carried, str(self.folder)), timeout=SECONDS_TO_ANSWER
        )
        seat.is_started = True
        log.info("GPU %d: on %s, log: %s", seat.id, seat.place, self.log_path(seat))

    def ended(self, ray: Any, seat: Seat, status: int) -> None:
        if status in (0, STOPPED, BROKEN, MISUSE) or self.is_stopping:
            seat.status = status if status in (0, BROKEN, MISUSE) else STOPPED
            if seat.status == STOPPED:
                log.info("GPU %d: stopped on request", seat.id)
        elif seat.restarts >= self.max_restarts:
            log.error(
                "GPU %d: the worker died %d times too often; see %s", seat.id, self.max_restarts, self.log_path(seat)
            )
            seat.status = BROKEN
        else:
            seat.restarts += 1
            log.warning(
                "GPU %d: the worker died (%d) and is started again, %d of %d times",
                seat.id,
                status,
                seat.restarts,
                self.max_restarts,
            )
        with suppress(ray.exceptions.RayError):
            ray.kill(seat.actor, no_restart=seat.status is not None)
        seat.is_started = False

    def log_path(self, seat: Seat) -> Path:
        return self.log_dir / f"gpu{seat.id}.log"
