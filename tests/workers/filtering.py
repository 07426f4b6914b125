"""The filter called without a launcher: photographs measured, and made-up rows collected."""

import csv
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

import numpy as np

from shared.files.table import Table
from shared.run.config import RunConfig, StepConfig, checked
from shared.run.run import Run
from shared.worker import Loaded
from tests.conftest import ROOT
from workers.filter import Filter

SAMPLES = ROOT / "configs" / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.jpg"))
PICTURES = (
    "bottom_20_filtered.png",
    "filtering_verification.png",
    "light_histograms.png",
    "random_20_filtered.png",
    "score_distribution.png",
    "threshold_analysis.png",
    "top_images_grid.png",
    "top_vs_bottom_comparison.png",
)


def measure(photographs: Path) -> list[dict]:
    worker = Filter()
    worker.setup()
    keys = sorted(str(path.relative_to(photographs)) for path in photographs.rglob("*.jpg"))
    items = [{"key": key, "image_path": str(photographs / key)} for key in keys]
    found = worker.process([Loaded(item, worker.load(item)) for item in items])
    return [{**item, **record} for item, record in zip(items, found, strict=True)]


def collect(folder: Path, rows: list[dict], seed: int = 42, draws: bool = False, **options) -> tuple[Path, list[dict]]:
    """Collect rows into a run's folder; returns the step's folder and the rows of its result.

    Pictures take most of the time: without `draws` there are none, nor the tables that go with them.
    """
    worker = checked(Filter, options, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    steps = [StepConfig(1, "filter", "", worker)]
    config = RunConfig(ROOT / "configs" / "relight.yaml", "samples", seed=seed, steps=steps)
    step = Run(config, folder).steps[0]
    step.folder.mkdir(parents=True, exist_ok=True)
    table = Table.write(step.folder / "recorded.jsonl", rows, folder)
    with nullcontext() if draws else mock.patch("shared.selection.pictures.write_pictures"):
        return step.folder, list(worker.collect(table, step))


def made_up(count: int) -> list[dict]:
    """Rows with scores 0, 0.001, ... whose photographs are not there and look alike to nobody."""
    hashes = np.random.default_rng(0).integers(0, 2**64, (count, 2), dtype=np.uint64)
    return [
        {
            "key": f"{number:05d}.jpg",
            "image_path": f"/photographs/{number:05d}.jpg",
            "lighting_score": number / 1000,
            "phash": f"{hashes[number, 0]:016x}",
            "phash_mirrored": f"{hashes[number, 1]:016x}",
            "phash_fine": f"{number:016x}",
            "width": 100 + number,
            "height": 400,
            "sharpness": 0.5,
        }
        for number in range(count)
    ]


def best_first(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (-row["lighting_score"], row["key"]))


def read_csv(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))
