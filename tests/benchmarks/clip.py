"""How near the CLIP filter comes to its two limits: the model alone and the decoder alone, measured in one run.

    python -m tests.benchmarks.clip                                   # ViT-B/32 with random weights
    python -m tests.benchmarks.clip --model tiny --photographs 2000   # so quick that all else shows
    python -m tests.benchmarks.clip --model ViT-L/14 --batch-size 64 --compile

It runs on the GPU where there is one, and prints a table for tests/benchmarks/results/. On a GPU the step should come near the smaller of the two. So it should on the CPU where there is a core for each thread
of both (--threads and --model-threads). Where they share the cores, the limit is 1 / (1 / model + 1 / decoder).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from shared.loop.overlap import overlapped
from shared.run.config import checked
from shared.worker import Loaded
from tests.benchmarks.machine import GpuUse, heading, table
from tests.benchmarks.through_loop import limit_of, through_loop, write_photographs
from tests.tiny_clip import TINY, known_architecture, write_clip
from workers.filter import Filter


class Round(NamedTuple):
    """Photographs a second, and the model's share of the step's time."""

    model: float
    decoder: float
    step: float
    busy: float


def make(folder: Path, arguments: argparse.Namespace) -> Filter:
    architecture = TINY if arguments.model == "tiny" else known_architecture(arguments.model.replace("/", "-"))
    checkpoint = write_clip(folder / arguments.model.replace("/", "-"), architecture)
    options = {"method": "clip", "checkpoint": str(checkpoint), "compile_model": arguments.compile}
    worker = checked(Filter, {**options, "batch_size": arguments.batch_size}, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    return worker


def decoder_alone(worker: Filter, items: list[dict], threads: int) -> float:
    """Photographs a second."""
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        for _ in pool.map(worker.load, items):
            pass
        return len(items) / (time.perf_counter() - started)


def model_alone(worker: Filter, items: list[dict], seconds: float = 10) -> float:
    """Photographs a second, of views that lie ready: the batches of one size, one in flight."""
    views = [Loaded(item, worker.load(item)) for item in items[: 4 * worker.batch_size]]
    batches = len(views) // worker.batch_size * worker.batch_size
    begin = lambda batch: worker.rater.begin(batch, worker.batch_size)  # noqa: E731

    def rounds(until: float, least: int) -> int:
        count = 0
        while count < least or time.perf_counter() < until:
            count += sum(1 for _ in overlapped(worker, iter(views[:batches]), begin))
        return count

    rounds(0, 2 * worker.batch_size)  # warm
    started = time.perf_counter()
    count = rounds(started + seconds, worker.batch_size)
    return count / (time.perf_counter() - started)


def busy_seconds(worker: Filter) -> Callable[[], float]:
    """From now on count the seconds in which the model works; what is returned says how many."""
    import torch

    clip = worker.rater.clip
    embed, spans = clip.embed, []

    def now():
        if clip.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def counted(*given):
        start = now()
        vectors = embed(*given)
        spans.append((start, now()))
        return vectors

    def total() -> float:
        if clip.device.type != "cuda":
            return sum(end - start for start, end in spans)
        torch.cuda.synchronize()
        return sum(start.elapsed_time(end) for start, end in spans) / 1e3

    clip.embed = counted
    return total


def one_round(
    worker: Filter, items: list[dict], folder: Path, threads: int, busy: Callable[[], float], seconds: float = 10
) -> tuple[Round, tuple[float, float]]:
    """All three in turn, and start and end of the step: claims and durable records included."""
    model, decoder, before = model_alone(worker, items, seconds), decoder_alone(worker, items, threads), busy()
    started, ended = through_loop(worker, "filter", items, folder, threads)
    spent = ended - started
    return Round(model, decoder, len(items) / spent, (busy() - before) / spent), (started, ended)


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument("--model", default="ViT-B/32", help="tiny, or a name of open_clip's; the weights are random")
    parser.add_argument("--photographs", type=int, default=600)
    parser.add_argument("--side", type=int, default=1024, help="their longest side, in pixels")
    parser.add_argument("--suffix", default=".jpg", help=".jpg or .png")
    parser.add_argument("--batch-size", type=int, default=0)
    parser.add_argument("--threads", type=int, default=cores, help="that decode")
    parser.add_argument("--model-threads", type=int, default=cores, help="that compute")
    parser.add_argument("--rounds", type=int, default=3, help="in each, all three are measured in turn")
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args(words)


def main() -> None:
    arguments = parse_arguments()
    import torch

    torch.set_num_threads(arguments.model_threads)
    with tempfile.TemporaryDirectory() as name, GpuUse() as gpu:
        folder = Path(name)
        worker = make(folder, arguments)
        items = write_photographs(folder, arguments.photographs, arguments.side, arguments.suffix)
        worker.setup()
        busy = busy_seconds(worker)
        found = [
            one_round(worker, items, folder / f"run{number}", arguments.threads, busy)
            for number in range(arguments.rounds)
        ]
        sampled = gpu.during(*(span for _, span in found))
    report(arguments, worker, [one for one, _ in found], sampled)


def report(arguments: argparse.Namespace, worker: Filter, rounds: list[Round], sampled: str) -> None:
    is_apart = worker.rater.is_queued or arguments.threads + arguments.model_threads <= len(os.sched_getaffinity(0))
    share = statistics.median(one.busy for one in rounds)
    print(heading(f"CLIP: {arguments.model} of random weights", ("torch", "torchvision", "open_clip_torch")))
    print(
        f"{arguments.photographs} photographs of {arguments.side} px ({arguments.suffix}) in batches of "
        f"{worker.batch_size}, {arguments.threads} threads decode, {arguments.model_threads} compute, {arguments.rounds} rounds"
        f"{', compiled' if arguments.compile else ''}; the model is busy {share:.0%} of the step's time, the GPU {sampled}\n"
    )
    limits = [limit_of(one.model, one.decoder, is_apart) for one in rounds]
    ways = {
        "model alone": [one.model for one in rounds],
        "decoder alone": [one.decoder for one in rounds],
        f"limit of the two ({'the smaller' if is_apart else 'they share the cores'})": limits,
        "the step": [one.step for one in rounds],
    }
    rows = []
    for name, rates in ways.items():
        ratios = [rate / limit for rate, limit in zip(rates, limits, strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rows.append((name, f"{statistics.median(rates):.1f}", f"{statistics.median(ratios):.2f}", spread))
    print(table(("", "images/s", "of the limit", "lowest to highest"), rows))


if __name__ == "__main__":
    main()
