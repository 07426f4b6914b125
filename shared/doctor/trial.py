"""A step tried on a few items by the run's own loop, in a process of its own, with which all that a model holds ends."""

import logging
import sys
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from shared.errors import KnownError
from shared.files.table import Table
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.machine import end_with_parent
from shared.run.config import RunConfig
from shared.run.run import Run, Step


class Job(NamedTuple):
    """What a trial is told: the config with the one step, its run's folder, and what to do there."""

    config: RunConfig
    folder: Path
    items: list[dict]
    seconds: float  # after which no further item is begun
    gpu: int
    cores: int


class Ready(NamedTuple):
    """The models are loaded."""

    seconds: float


class Answered(NamedTuple):
    """An item is done, or has failed with `error`."""

    seconds: float  # since the models were loaded
    in_flight: int  # items that the step had in hand just then, this one among them
    error: str = ""


class Ended(NamedTuple):
    """Nothing more comes. `seconds`: until no further item was begun, since the models were loaded."""

    seconds: float
    error: str = ""  # why the step broke, where it did


TrialMessage = Ready | Answered | Ended


class Trial(Loop):
    """The loop, telling of each outcome as it comes."""

    def __init__(self, step: Step, job: Job, connection: Connection):
        super().__init__(step, Place(gpu=job.gpu, cores=job.cores))
        self.connection, self.seconds = connection, job.seconds
        self.ready, self.stopped = 0.0, float("inf")
        self.set_up = self.worker.setup
        self.worker.setup = self.setup

    def setup(self) -> None:
        started = time.monotonic()
        self.set_up()
        self.ready = time.monotonic()
        self.connection.send(Ready(self.ready - started))
        timer = threading.Timer(self.seconds, self.stop)
        timer.daemon = True
        timer.start()

    def stop(self) -> None:
        self.stopped = time.monotonic() - self.ready
        self.control.stop("the time of the probe is up")

    def answer(self, item: dict, found: dict | BaseException) -> None:
        in_flight = len(self.unanswered)
        super().answer(item, found)  # waits where files are written more slowly than results come
        error = "" if isinstance(found, dict) else sentence_of(found)
        self.connection.send(Answered(time.monotonic() - self.ready, in_flight, error))


def carry_out(connection: Connection) -> None:
    """Take a job from whoever started this process, and tell them how it goes."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    job: Job = connection.recv()
    run = Run(job.config, job.folder)
    [step] = run.steps
    run.input.folder.mkdir(parents=True)
    step.folder.mkdir(exist_ok=True)
    Table.write(step.table_path, job.items, run.folder)
    trial = Trial(step, job, connection)
    try:
        trial.run()
    except Exception as error:
        logging.getLogger("worker").debug("the trial broke", exc_info=True)
        connection.send(Ended(trial.stopped, sentence_of(error)))
    else:
        connection.send(Ended(trial.stopped))


def sentence_of(error: BaseException) -> str:
    """What a person is told of an error; those of the project are whole sentences."""
    text = " ".join(str(error).split())
    return text if isinstance(error, KnownError) else f"{type(error).__name__}: {text or 'no reason given'}"


if __name__ in ("__main__", "__mp_main__"):  # the second: a process of the vLLM engine
    end_with_parent()
if __name__ == "__main__":
    from shared.doctor.trial import (
        carry_out as begin,  # what is sent must be known to the other side by its module's name
    )

    begin(Connection(int(sys.argv[1])))
