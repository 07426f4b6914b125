"""A step's worker through the whole loop, and its limits: what the benchmarks of steps have in common."""

import itertools
import time
from pathlib import Path

from PIL import Image

from shared.files.lookup import ROOT
from shared.files.table import Table
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.config import RunConfig, StepConfig
from shared.run.run import Run
from shared.worker import Worker


def write_photographs(folder: Path, count: int, side: int, suffix: str = ".jpg") -> list[dict]:
    """The bundled photographs at a longest side of `side`, as `count` items."""
    paths = []
    for path in sorted((ROOT / "configs" / "samples").glob("*.jpg")):
        with Image.open(path) as image:
            scale = side / max(image.size)
            image = image.convert("RGB").resize([round(length * scale) for length in image.size])
            paths.append(folder / f"{path.stem}{suffix}")
            image.save(paths[-1], quality=92)
    names = zip(range(count), itertools.cycle(paths), strict=False)
    return [{"key": f"{number:06d}", "image_path": str(path)} for number, path in names]


def through_loop(worker: Worker, kind: str, items: list[dict], folder: Path, threads: int) -> tuple[float, float]:
    """Start and end (time.perf_counter) of a worker that is set up, claims and durable records included."""
    (folder / "step_0_preprocess_format").mkdir(parents=True)
    config = RunConfig(ROOT / "configs" / "relight.yaml", "samples", steps=[StepConfig(1, kind, "", worker)])
    run = Run(config, folder)
    Table.write(run.input.result_path, items, folder)
    run.steps[0].folder.mkdir()
    worker.setup = lambda: None  # loading the models is not measured
    arguments = Place(cores=threads, gpu=0, rank=0, world_size=1, parent=None, kill_folder=None)
    started = time.perf_counter()
    status = Loop(run.steps[0], arguments).run()
    ended = time.perf_counter()
    assert status == 0
    assert len(list((run.steps[0].folder / "records").iterdir())) == len(items)
    return started, ended


def limit_of(one: float, other: float, is_apart: bool) -> float:
    """What two that work at once can reach: the slower's rate, and where they share the cores the harmonic sum."""
    return min(one, other) if is_apart else 1 / (1 / one + 1 / other)
