"""How near the degrade step comes to its two limits: the models alone and the CPU's part alone, measured in one run.

    python -m tests.benchmarks.degrade                        # tiny models: how much the loop itself costs
    python -m tests.benchmarks.degrade --size large           # full-size models with random weights, on a GPU
    python -m tests.benchmarks.degrade --size large --mask sam2 --albedo none --photographs 200

On a GPU the step should come near the smaller of the two. Where models and relighting share the cores, the limit is the
harmonic sum, 1 / (1 / models + 1 / relighting).
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from shared.run.config import checked
from shared.worker import Loaded
from tests import large_vision, tiny_vision
from tests.benchmarks.through_loop import limit_of, through_loop, write_photographs
from workers.degrade import Degrade

ANY_DIFFERENCE = {"least_psnr": 0, "most_psnr": 100, "most_lost": 1, "least_mask": 0, "most_mask": 1}


def make(folder: Path, arguments: argparse.Namespace) -> Degrade:
    sizes = {"tiny": tiny_vision, "large": large_vision}[arguments.size]
    options: dict = {"mask": arguments.mask, "batch_size": arguments.batch_size, "quality": ANY_DIFFERENCE}
    if arguments.mask == "sam3":
        # Random weights are about 0.25 sure of each query: all of them are taken, which is the most there can be to do.
        options |= {"mask_model": str(sizes.make_sam3(folder / "sam3")), "detection_threshold": 0.2}
    elif arguments.mask == "sam2":
        options |= {"mask_model": str(sizes.make_sam2(folder / "sam2"))}
        if arguments.size == "tiny":
            options["automatic"] = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    if arguments.albedo != "none":
        model = sizes.make_marigold(folder / "marigold", arguments.albedo)
        options |= {"method": "marigold", "albedo_model": str(model)}
    worker = checked(Degrade, options, "step 2 (degrade)")
    worker.check("step 2 (degrade)")
    worker.fill_in("step 2 (degrade)")
    return worker


def models_alone(worker: Degrade, ready: list[Loaded], seconds: float) -> float:
    """Photographs a second, of those that lie ready."""
    batch = ready[: worker.batch_size]
    worker.see(batch)  # warm
    started, count = time.perf_counter(), 0
    while not count or time.perf_counter() - started < seconds:
        worker.see(batch)
        count += len(batch)
    return count / (time.perf_counter() - started)


def relighting_alone(worker: Degrade, ready: list[Loaded], threads: int) -> float:
    """Photographs a second, of those that the models have seen."""
    sights = [(one.item, sight) for one, sight in zip(ready, worker.see(ready), strict=True)]
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        for _ in pool.map(lambda one: worker.degrade(*one), sights):
            pass
        return len(sights) / (time.perf_counter() - started)


def count_busy(worker: Degrade) -> list[float]:
    """From now on add up the seconds in which the models see."""
    see, busy = worker.see, [0.0]

    def timed(batch: list[Loaded]) -> list:
        started = time.perf_counter()
        try:
            return see(batch)
        finally:
            busy[0] += time.perf_counter() - started

    worker.see = timed
    return busy


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cores = len(os.sched_getaffinity(0))
    parser.add_argument(
        "--size", choices=["tiny", "large"], default="tiny", help="of the models; the weights are random"
    )
    parser.add_argument("--mask", choices=["sam3", "sam2", "none"], default="sam3")
    parser.add_argument("--albedo", choices=["appearance", "lighting", "none"], default="appearance")
    parser.add_argument("--photographs", type=int, default=96)
    parser.add_argument("--side", type=int, default=1024, help="their longest side, in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=cores, help="that relight")
    return parser.parse_args(words)


def main() -> None:
    arguments = parse_arguments()
    import torch

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        worker = make(folder, arguments)
        items = write_photographs(folder, arguments.photographs, arguments.side)
        worker.setup()
        ready = [Loaded(item, worker.load(item)) for item in items[: worker.batch_size * 2]]
        models = models_alone(worker, ready, seconds=8)
        relighting = relighting_alone(worker, ready, arguments.threads)
        busy = count_busy(worker)
        started, ended = through_loop(worker, "degrade", items, folder / "run", arguments.threads)
    rate, share = len(items) / (ended - started), busy[0] / (ended - started)
    has_gpu = torch.cuda.is_available()
    limit = limit_of(models, relighting, has_gpu)
    device = torch.cuda.get_device_name() if has_gpu else f"{len(os.sched_getaffinity(0))} cores, no GPU"
    print(
        f"{arguments.size} {arguments.mask} and marigold {arguments.albedo} in batches of {worker.batch_size}, "
        f"{arguments.photographs} photographs of {arguments.side} px, {arguments.threads} threads relight; {device}"
    )
    print(f"{'models alone':<28}{models:>10.2f} images/s")
    print(f"{'relighting alone':<28}{relighting:>10.2f} images/s")
    print(f"{'limit of the two':<28}{limit:>10.2f} images/s ({'the smaller' if has_gpu else 'they share the cores'})")
    print(f"{'the step':<28}{rate:>10.2f} images/s {rate / limit:>7.2f} of the limit")
    print(f"{'the models are busy':<28}{share:>10.0%} of the time")


if __name__ == "__main__":
    main()
