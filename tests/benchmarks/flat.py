"""Whether an item costs the same among ten thousand and among ten million: python -m tests.benchmarks.flat [items ...]

The template step, or with --step filter the filter over tars of small photographs, by the launcher with two workers; of each run
the items a second of its workers, the processor time of the whole run an item (which another program disturbs less), the memory
of the larger worker, and what a launch over the finished run takes.
"""

import argparse
import io
import json
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from shared.files.lookup import ROOT
from shared.run.config import load_config
from shared.run.run import Run
from tests.benchmarks.coordination import prepare
from tests.benchmarks.machine import heading, table

WORKERS = 2
IN_A_TAR = 1000
SMALL = (32, 24)  # width and height in pixels: the less a photograph takes, the more all else weighs
FILTERING = """
meta_path: {folder}/tars
steps:
  - type: filter
    config: {{method: photometric, num_images: 1000}}
"""


def prepare_tars(folder: Path, items: int) -> Run:
    """The filter step over tars of a thousand small photographs each, no two alike."""
    dice = np.random.default_rng(0)
    (folder / "tars").mkdir()
    for first in range(0, items, IN_A_TAR):
        with tarfile.open(folder / "tars" / f"{first // IN_A_TAR:06d}.tar", "w") as tar:
            for number in range(first, min(items, first + IN_A_TAR)):
                stream = io.BytesIO()
                rough = dice.integers(0, 256, (6, 8, 3), np.uint8)
                Image.fromarray(rough).resize(SMALL, Image.Resampling.BICUBIC).save(stream, "JPEG")
                member = tarfile.TarInfo(f"{number:08d}.jpg")
                member.size = stream.tell()
                stream.seek(0)
                tar.addfile(member, stream)
    (folder / "run.yaml").write_text(FILTERING.format(folder=folder))
    return Run(load_config(folder / "run.yaml"), folder / "out")


def processor_time() -> float:
    """Seconds of processor time of all processes that this one has started and that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(items: int, step: str, form: str, place: str | None) -> list[str]:
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        run = prepare(folder, items, 64) if step == "template" else prepare_tars(folder, items)
        environment = os.environ | {
            "CONFIG": str(folder / "run.yaml"), "OUTPUT_DIR": str(run.folder), "LOG_DIR": str(folder / "logs"),
            "PYTHON": sys.executable, "GPU_COUNT": str(WORKERS),
        }  # fmt: skip
        words = [ROOT / "launcher.sh", "run", "--set", f"records={form}"]
        before = processor_time()
        started = time.perf_counter()
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        whole = time.perf_counter() - started
        processor = (processor_time() - before) / items
        assert done.returncode == 0, done.stdout + done.stderr
        said = [
            re.findall(r"ended: .* ([\d.]+)/s", path.read_text())[-1]
            for path in sorted((folder / "logs").glob("gpu*.log"))
        ]
        shown = [json.loads(path.read_text()) for path in run.steps[0].folder.glob("progress*.json")]
        started = time.perf_counter()
        subprocess.run(words, env=environment, capture_output=True, check=True)
        again = time.perf_counter() - started
        files = sum(1 for path in run.steps[0].folder.rglob("*") if path.is_file())
    memory = max(one["memory_bytes"] for one in shown) / 1e6
    rate = sum(map(float, said))
    return [
        f"{items:,}",
        f"{rate:,.0f}",
        f"{1e6 * processor:.0f}",
        f"{memory:.0f}",
        f"{whole:.0f}",
        f"{again:.1f}",
        f"{files:,}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=int, nargs="*", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--step", choices=["template", "filter"], default="template")
    parser.add_argument("--records", choices=["packed", "json"], default="packed")
    parser.add_argument("--place", help="a folder on the disk to measure; else the temporary one")
    arguments = parser.parse_args()
    print(
        heading(f"The {arguments.step} step, {WORKERS} workers, records {arguments.records}", ["numpy", "orjson"]),
        flush=True,
    )
    rows = []
    for items in arguments.items:
        rows.append(measure(items, arguments.step, arguments.records, arguments.place))
        print(rows[-1], file=sys.stderr, flush=True)
    print(
        table(
            ["items", "items/s", "processor us an item", "worker MB", "whole run s", "launched again s", "files"], rows
        )
    )
