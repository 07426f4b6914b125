"""What the run will cost in time, and where a server has its price in money: a step's own work on a few items."""

import copy
import dataclasses
import math
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from shared.doctor.attempt import SECONDS_TO_FINISH, SECONDS_TO_LOAD, Attempt, attempt
from shared.doctor.disk import existing
from shared.doctor.finding import Finding, fail, ok, warn
from shared.doctor.trial import Job
from shared.files.paths import absolute_paths
from shared.files.records import Records
from shared.forecast import Model
from shared.loop.progress import clock
from shared.run.collect import HIDDEN
from shared.run.run import Run, Step

SECONDS_OF_PROBE = 5.0  # after which no further item is tried
SECONDS_OF_MODELS = 20.0  # so that batches, and queues on a GPU, come to their pace
MOST = 10_000  # items that are tried
QUESTIONS = 4  # that are put to a server, which may ask money for them
RECORD_BYTES = 4096  # a small file's block on the disk


class Probe:
    """Takes sample items through the steps of a run, each in a process of its own as a worker would.

    `workers` is how many there will be, `gpus` are those of the first as CUDA_VISIBLE_DEVICES names them.
    """

    def __init__(self, run: Run, items: list[dict], cores: int, workers: int, gpus: str = ""):
        self.run, self.workers, self.gpus = run, workers, gpus
        self.items = [dict(item, split=item.get("split") or "train") for item in items]
        self.cores = max(1, cores // workers)
        self.bytes: dict[int, float] = {}  # that an item leaves, by step number
        self.seconds = 0.0  # of all steps that were probed
        self.skipped: list[str] = []

    def check(
        self, step: Step, count: int, noun: str = "items", models: list[Model] | None = None
    ) -> Iterator[Finding]:
        """Try the step on the sample, and say how long `count` items would take."""
        models = models or []
        server = next((model for model in models if model.kind == "server"), None)
        seconds = SECONDS_OF_MODELS if models else SECONDS_OF_PROBE
        most = max(1, QUESTIONS // server.turns) if server else MOST
        items = repeated(self.items, min(max(1, math.ceil(count / self.workers)), most))
        with folder_in(place(self.run.folder), ".doctor-") as folder, folder_in(None, "doctor-") as other:
            trial = step_in(folder, self.run, step, server, count)
            job = Job(trial.run.config, trial.run.folder, items, seconds, self.gpu, self.cores)
            tried = attempt(job, self.environment() | {"TMPDIR": str(other)})
            records = list(read_records(trial, items))
        if not tried.done:
            yield self.explain(step, tried, seconds, "; take smaller models, a GPU, or a server" if models else "")
            return
        self.take(step, items, records)
        failed = [answer.error for answer in tried.answers if answer.error]
        if failed:
            yield warn(f"{step.label}: {len(failed)} of {len(tried.answers)} items that were tried fail: {failed[0]}")
        if tried.error:
            yield fail(f"{step.label}: {tried.error}")
        asked = sum(record.fields.get("asked", 0) for record in records) + len(failed) if server else 0
        yield self.say(step, tried, server, asked, count, noun)
        if server and any(server.prices):
            yield price(step, records, server, count)

    def explain(self, step: Step, tried: Attempt, seconds: float, way_out: str) -> Finding:
        """Why no item was done."""
        before, self.skipped = self.skipped, [*self.skipped, step.label]
        making = [one.label for one in self.run.steps if one.label in before and not one.worker.has_records]
        if tried.error and making:  # the model may be what such a step makes
            return warn(f"{step.label} cannot be probed before {' and '.join(making)} has run: {tried.error}")
        if tried.error:
            return fail(f"{step.label}: {tried.error}")
        if tried.answers:
            if before:
                return warn(f"{step.label} cannot be probed before {' and '.join(before)} has run")
            errors = [answer.error for answer in tried.answers]
            return fail(f"{step.label}: {errors[0]}; all of {len(errors)} items that were tried fail")
        if tried.ready is None:
            return warn(
                f"{step.label} was not ready within {clock(SECONDS_TO_LOAD)}, so its time is not known{way_out}"
            )
        within = clock(seconds + SECONDS_TO_FINISH)
        return warn(f"{step.label}: not one item was done within {within}, so its time is not known{way_out}")

    def take(self, step: Step, items: list[dict], records: list["Recorded"]) -> None:
        """What was found goes on to the next step."""
        if not records:
            return
        known = {item["key"] for item in self.items}
        by_key = {item["key"]: item for item in items}
        self.bytes[step.number] = sum(record.bytes for record in records) / len(records)
        self.items = [by_key[record.key] | record.fields for record in records if record.key in known] or self.items

    def say(self, step: Step, found: Attempt, server: Model | None, asked: int, count: int, noun: str) -> Finding:
        tried, rate, loading = len(found.answers), items_a_second(found), found.ready or 0.0
        how = f"{pace(rate)} in a probe of {tried} items" if tried > 1 else f"{pace(rate)} in a probe of one item"
        if server:
            at_once = min(server.at_once, tried)
            rate *= server.at_once / at_once / server.captions
            how += f", {asked} questions to the server; if it answers {server.at_once * self.workers} at once as it did {at_once}"
        if loading >= 1:
            how += f", after {loading:.0f} s of loading"
        seconds = loading + count / (rate * self.workers)
        self.seconds += seconds
        number = "1 worker" if self.workers == 1 else f"{self.workers} workers"
        return ok(f"{step.label}: {how}; about {clock(seconds)} for {count} {noun} with {number}, an estimate")

    @property
    def gpu(self) -> int:
        first = self.gpus.partition(",")[0]
        return int(first) if first.isdigit() else 0

    def environment(self) -> dict[str, str]:
        """As the launcher starts a worker."""
        more = {"CUDA_VISIBLE_DEVICES": self.gpus} if self.gpus else {}
        return {"OMP_NUM_THREADS": str(self.cores), "OPENCV_FOR_THREADS_NUM": "1", **more}


class Recorded:
    """What a trial left of an item: what the next step reads, without images, which go with the trial; and its bytes."""

    def __init__(self, records: Records, key: str):
        record = records.read(key)
        self.key, images = key, record.get("files", {})
        fields = {name: value for name, value in record.items() if name not in HIDDEN}
        fields = {name: value for name, value in fields.items() if not (isinstance(value, str) and value in images)}
        self.fields = absolute_paths(fields, str(records.folder))
        self.bytes = records.bytes_of(key) + sum(room(records.folder / path) for path in images)


def read_records(step: Step, items: list[dict]) -> Iterator[Recorded]:
    records = step.records
    for item in items:
        if records.is_recorded(item["key"]):
            yield Recorded(records, item["key"])


def room(path: Path) -> int:
    """Bytes that a file takes of the disk."""
    status = path.stat()
    return max(status.st_size, status.st_blocks * 512)


def repeated(items: list[dict], count: int) -> list[dict]:
    """So many, the sample over and over: under other keys, so that no engine knows an image again."""
    turns = range(2, 2 + count // max(1, len(items)))
    more = ({**item, "key": f"{item['key']} probe {turn}"} for turn in turns for item in items)
    return items[:count] + list(islice(more, max(0, count - len(items))))


def step_in(folder: Path, run: Run, step: Step, server: Model | None, count: int) -> Step:
    """A step of `count` items in a run of its own. A server is asked once about an item, whatever it answers."""
    worker = copy.copy(step.worker)
    worker.records = "packed" if step.packs(count) else "json"
    if worker.in_tars:
        worker.images = "files"
    if server:
        worker.retries, worker.repeat_time = 0, 1
    alone = dataclasses.replace(step.config, worker=worker)
    [trial] = Run(dataclasses.replace(run.config, steps=[alone]), folder / "run").steps
    return trial


@contextmanager
def folder_in(parent: Path | None, prefix: str) -> Iterator[Path]:
    """A folder that goes with what is in it; of no parent, where temporary files are."""
    with tempfile.TemporaryDirectory(prefix=prefix, dir=parent, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def place(folder: Path) -> Path | None:
    """On the run's own disk, which may be slow; anywhere where that cannot be written."""
    nearest = existing(folder)
    return nearest if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK) else None


def pace(rate: float) -> str:
    return f"{rate:.1f} items a second" if rate >= 10 else f"{1000 / rate:.0f} ms an item"


def price(step: Step, records: list[Recorded], server: Model, count: int) -> Finding:
    """In dollars, by the tokens that the answers were counted with."""
    asked, answered = (
        sum(record.fields.get(name, 0) for record in records) * server.captions / len(records)
        for name in ("prompt_tokens", "completion_tokens")
    )
    dollars = count * (asked * server.prices[0] + answered * server.prices[1]) / 1e6
    return ok(
        f"{step.label}: about {dollars:.2f} dollars for {count} items, {asked:.0f} + {answered:.0f} tokens each as the probe "
        "counted them, an estimate"
    )


def items_a_second(tried: Attempt) -> float:
    """How quick one worker is, once its pipeline is full; 0 where no item was done.

    What is in hand at the first result is a wave: batches come out together, and so do the first answers of an engine
    that works on many at once. The first wave also pays for what is imported, compiled and tuned on the way, so where
    there are two waves or more the rate counts from the end of the first, and up to when no further item was begun.
    """
    done = tried.done
    if not done:
        return 0.0
    wave = max(1, done[0].in_flight)
    steady = [answer.seconds for answer in done if answer.seconds <= tried.stopped]
    times = steady if len(steady) >= 2 * wave else [answer.seconds for answer in done]
    if len(times) >= 2 * wave and times[-1] > times[wave - 1]:
        return (len(times) - wave) / (times[-1] - times[wave - 1])
    return len(times) / max(times[-1], 1e-6)
