"""What the run will cost in time: a step's own work on a few items, in memory."""

import copy
import logging
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shared.doctor.finding import Finding, fail, ok, warn
from shared.progress import clock
from shared.records import ImageFile, encode
from shared.run import Step
from shared.worker import Loaded, Worker

SECONDS = 20.0  # after which no further item is tried
RECORD_BYTES = 4096  # a small file's block on the disk


class Probe:
    """Takes sample items through the steps, as far as that needs no models."""

    def __init__(self, items: list[dict], cores: int, workers: int):
        self.items = [dict(item, split=item.get("split") or "train") for item in items]
        self.cores, self.workers = cores, workers
        self.bytes: dict[int, float] = {}  # that an item leaves, by step number
        self.seconds = 0.0  # of all steps that were probed
        self.skipped: list[str] = []

    def check(self, step: Step, count: int, noun: str = "items") -> Iterator[Finding]:
        """Try the step on the sample, and say how long `count` items would take."""
        errors: list[Exception] = []
        loads, works, left, found = [], [], [], []
        logger = logging.getLogger("worker")
        was_silent, logger.disabled = logger.disabled, True
        try:
            with tempfile.TemporaryDirectory(prefix="doctor-") as folder:
                worker = copy.copy(step.worker)
                worker.folder, worker.cores = Path(folder), max(1, self.cores // self.workers)
                started = time.monotonic()
                worker.setup()
                if "cv2" in sys.modules:
                    sys.modules["cv2"].setNumThreads(1)  # as the loop does
                setup = time.monotonic() - started
                for item in self.items:
                    begun = time.monotonic()
                    try:
                        data = worker.load(item)
                        loaded = time.monotonic()
                        [one] = worker.process([Loaded(item, data)])
                        left.append(written(one))  # encoding images is a part of the work
                    except Exception as error:
                        errors.append(error)
                        continue
                    loads.append(loaded - begun)
                    works.append(time.monotonic() - loaded)
                    found.append((item, one))
                    if time.monotonic() - started > SECONDS:
                        break
        finally:
            logger.disabled = was_silent
        if not found:
            told = f"{step.label}: {type(errors[0]).__name__}: {errors[0]}" if errors else step.label
            if self.skipped:
                yield warn(f"{step.label} cannot be probed before {' and '.join(self.skipped)} has run")
            else:
                yield fail(f"{told}; all of {len(self.items)} items that were tried fail")
            return
        self.bytes[step.number] = sum(left) / len(left)
        self.items = [item | plain(one) for item, one in found]
        if errors:
            yield warn(
                f"{step.label}: {len(errors)} of {len(errors) + len(found)} items that were tried fail: {errors[0]}"
            )
        seconds = setup + count * self.seconds_each(worker, typical(loads), typical(works)) / self.workers
        self.seconds += seconds
        pace = f"{1000 * (typical(loads) + typical(works)):.0f} ms an item in a probe"
        yield ok(
            f"{step.label}: {pace}; about {clock(seconds)} for {count} {noun} with {self.count_workers()}, an estimate"
        )

    def count_workers(self) -> str:
        return "1 worker" if self.workers == 1 else f"{self.workers} workers"

    def seconds_each(self, worker: Worker, load: float, work: float) -> float:
        """Loading goes on threads, the rest in turn; on one core both take turns."""
        if worker.cores == 1:
            return load + work
        return max(load / (worker.load_threads or worker.cores), work)


def typical(seconds: list[float]) -> float:
    """The first item pays for what is imported on the way, so it counts only where it is alone."""
    later = seconds[1:] or seconds
    return sum(later) / len(later)


def written(found: dict) -> float:
    images = sum(
        len(encode(value.image)) + RECORD_BYTES / 2 for value in found.values() if isinstance(value, ImageFile)
    )
    return RECORD_BYTES + images


def plain(found: dict) -> dict:
    """What the next step reads of a record, without the images, which are not there."""
    return {name: value for name, value in found.items() if not isinstance(value, ImageFile)}
