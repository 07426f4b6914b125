"""What measure.py measures, each in a process of its own: real steps over models of random weights, beside what limits them."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

from shared.run.config import checked
from shared.worker import Loaded, Worker
from tests import large_vlm, tiny_vlm
from tests.benchmarks import clip, degrade, train
from tests.benchmarks.machine import GpuUse, forget_peak, peak
from tests.benchmarks.through_loop import through_loop, write_photographs
from tests.training_run import write_triplets
from workers.caption import Caption

CORES = len(os.sched_getaffinity(0))
MOST_ROUNDS = 3
CLIP_RATE = 1500  # images/s through the filter step, or NEAR
NEAR = 0.95  # of the slower of what limits a step


class Row(NamedTuple):
    """`ratio` is held against the goal, where there is one; `peak`: GiB of the GPU, or of the process where there is none."""

    what: str
    rate: float
    ratio: float | None = None
    goal: str = ""
    is_met: bool | None = None
    peak: float | None = None
    busy: str = ""


class Stint(NamedTuple):
    """What a part has: a folder that goes away, whether its models are tiny, and until when (time.monotonic)."""

    folder: Path
    is_tiny: bool
    until: float

    def seconds(self, share: float) -> float:
        """A share of what is left."""
        return max(1.0, share * (self.until - time.monotonic()))

    def rounds(self) -> Iterator[int]:
        """One, and others as long as there is time for one more."""
        for number in range(1 if self.is_tiny else MOST_ROUNDS):
            begun = time.monotonic()
            yield number
            if time.monotonic() + 1.2 * (time.monotonic() - begun) > self.until:
                return


def clip_rows(stint: Stint) -> list[Row]:
    arguments = clip.parse_arguments(["--model", "tiny"] if stint.is_tiny else ["--batch-size", "256"])
    worker = clip.make(stint.folder, arguments)
    worker.setup()
    items = write_photographs(stint.folder, 128 if stint.is_tiny else 40_000, arguments.side)
    alone = {
        "the model alone": lambda: clip.model_alone(worker, items, stint.seconds(0.06)),
        "the decoder alone": lambda: clip.decoder_alone(worker, items[: 256 * CORES], CORES),
    }
    title = f"CLIP {arguments.model}, JPEGs of {arguments.side} px, batches of {worker.batch_size}"
    *rows, step = step_rows(stint, title, worker, "filter", items, alone)
    is_met = step.is_met or step.rate >= CLIP_RATE
    return [*rows, step._replace(goal=f"{CLIP_RATE} images/s, or {step.goal}", is_met=is_met)]


def marigold_rows(stint: Stint) -> list[Row]:
    words = ["--side", "256"] if stint.is_tiny else ["--size", "large"]
    arguments = degrade.parse_arguments([*words, "--mask", "none"])
    worker = degrade.make(stint.folder, arguments)
    worker.setup()
    items = write_photographs(stint.folder, 16 if stint.is_tiny else 2000, arguments.side)
    ready = [Loaded(item, worker.load(item)) for item in items[: 2 * worker.batch_size]]
    alone = {
        "the model alone": lambda: degrade.models_alone(worker, ready, stint.seconds(0.1)),
        "relighting alone": lambda: degrade.relighting_alone(worker, ready, CORES),
    }
    title = f"Marigold, photographs of {arguments.side} px, batches of {worker.batch_size}"
    return step_rows(stint, title, worker, "degrade", items, alone)


def caption_rows(stint: Stint) -> list[Row]:
    """The model says one sentence of nine words and stops, whatever it sees."""
    if stint.is_tiny:
        model, batch_size, count, side = tiny_vlm.qwen3vl(stint.folder / "model", tiny_vlm.SENTENCE), 4, 16, 256
    else:
        model = large_vlm.qwen3vl(stint.folder / "model", sentence=tiny_vlm.SENTENCE)
        batch_size, count, side = 32, 5000, 1024
    options = {"engine": "transformers", "model_path": str(model), "batch_size": batch_size}
    worker = checked(Caption, options, "step 1 (captions)")
    worker.check("step 1 (captions)")
    worker.fill_in("step 1 (captions)")
    worker.setup()
    items = write_photographs(stint.folder, count, side)
    ready = [Loaded(item, worker.load(item)) for item in items[: 2 * batch_size]]

    def engine_alone() -> float:
        list(worker.stream(iter(ready[:batch_size])))  # warm
        started, ended, count = time.perf_counter(), time.perf_counter() + stint.seconds(0.1), 0
        while not count or time.perf_counter() < ended:
            count += sum(1 for _ in worker.stream(iter(ready)))
        return count / (time.perf_counter() - started)

    title = f"captions by transformers, photographs of {side} px, batches of {batch_size}"
    return step_rows(stint, title, worker, "caption", items, {"the engine alone": engine_alone})


def step_rows(
    stint: Stint, title: str, worker: Worker, kind: str, items: list[dict], alone: dict[str, Callable[[], float]]
) -> list[Row]:
    """Rates of what limits a step, and of the step through its loop, in turn and in one run."""
    rounds, spans = [], []
    forget_peak()
    with GpuUse() as gpu:
        for number in stint.rounds():
            limits = [measure() for measure in alone.values()]
            some = items[: max(4 * worker.batch_size, int(min(limits) * stint.seconds(0.2)))]
            spans.append(through_loop(worker, kind, some, stint.folder / f"run{number}", CORES))
            rate = len(some) / (spans[-1][1] - spans[-1][0])
            rounds.append((*limits, rate, rate / min(limits)))
        busy = gpu.during(*spans)
    *limits, rate, ratio = (median(values) for values in zip(*rounds, strict=True))
    rows = [Row(f"{title}: {name}", limit) for name, limit in zip(alone, limits, strict=True)]
    goal = f"{NEAR} of the slower" if len(alone) > 1 else f"{NEAR} of {next(iter(alone))}"
    return [*rows, Row(f"{title}: the {kind} step", rate, ratio, goal, ratio >= NEAR, peak(), busy)]


def train_rows(stint: Stint) -> list[Row]:
    words = ["--steps", "4", "--warm", "1", "--triplets", "16", "--photograph", "128"]
    arguments = train.parse_arguments(words if stint.is_tiny else ["--size", "full"])
    train.share_cores(arguments)
    model = train.MAKERS[arguments.size, arguments.family](stint.folder / "model")
    triplets = write_triplets(stint.folder / "triplets", arguments.triplets, 0, 0, side=arguments.photograph // 2)
    found: dict[str, list[train.Trained]] = {}
    with GpuUse() as gpu:
        for number in stint.rounds():
            for name, loop in train.loops(arguments, model, triplets, stint.folder / f"round{number}").items():
                found.setdefault(name, []).append(loop())
        busy = {name: gpu.during(*(one.span for one in rounds)) for name, rounds in found.items()}
    precision = "float32" if stint.is_tiny else arguments.precision
    title = f"SD 1.5, {arguments.resolution} px, batches of {arguments.batch_size}, {precision}"
    rows = []
    for name, rounds in found.items():
        ratio = median(one.rate / plain.rate for one, plain in zip(rounds, found[train.PLAIN], strict=True))
        row = Row(f"{title}: {name}", median(one.rate for one in rounds), busy=busy[name])
        row = row._replace(peak=max(one.memory for one in rounds))
        held = {} if name == train.PLAIN else {"ratio": ratio, "goal": "1.0 of the plain loop", "is_met": ratio >= 1}
        rows.append(row._replace(**held))
    return rows


class Part(NamedTuple):
    """`share` of the time."""

    title: str
    share: float
    rows: Callable[[Stint], list[Row]]


PARTS = {  # most important first
    "clip": Part("CLIP", 0.15, clip_rows),
    "train": Part("SD 1.5", 0.4, train_rows),
    "marigold": Part("Marigold", 0.2, marigold_rows),
    "captions": Part("captions by transformers", 0.25, caption_rows),
}
