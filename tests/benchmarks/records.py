"""What packed records cost: python -m tests.benchmarks.records loop | many [items]

loop: the template step into packed records and into files,
beside datatrove's JSON lines, which are not durable (DATATROVE is a Python that has it). many: a run of so many packed records
is made up, collected to CSV and Parquet, skipped and verified, with the largest process's memory.
"""

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import orjson

from shared.files.lookup import ROOT
from shared.files.pack_writer import Line, PackWriter
from shared.files.table import Table
from shared.run.config import load_config
from shared.run.run import Run
from shared.seeding import name_hash
from tests.benchmarks.coordination import PHOTOGRAPH, measure_loop, prepare
from tests.benchmarks.machine import heading
from tests.benchmarks.record_forms import timed

GROUP = 256  # records that are made durable together
WORKERS = 8  # that have written the records of `many`
COLLECTING = """
meta_path: {folder}/items.csv
image_key: image
steps:
  - type: template
    config: {{records: packed}}
  - type: merge
    config:
      tables:
        - {{output: all.csv, columns: {{key: key, bytes: bytes, sha256: sha256}}}}
        - {{output: all.parquet, columns: {{key: key, bytes: bytes, sha256: sha256}}}}
"""
DATATROVE = """
import hashlib, sys
from pathlib import Path
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter

def template(data, rank=0, world_size=1):
    for document in data:
        content = Path(document.metadata["image"]).read_bytes()
        document.metadata = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        yield document

folder = sys.argv[1]
LocalPipelineExecutor(
    [JsonlReader(folder + "/in", text_key="key", id_key="key"), template, JsonlWriter(folder + "/out", compression=None)],
    tasks=1, workers=1, logging_dir=folder + "/logs",
).run()
"""


def measure_loops(items: int, place: str | None) -> None:
    """The template step by one worker, packed and not, and the same by datatrove where DATATROVE names a Python."""
    print(heading("The template step, one worker", ["orjson", "numpy"]), flush=True)
    for form, count in (("packed", items), ("json", items // 5)):
        measure_loop(count, 64, place, form)
    python = os.environ.get("DATATROVE")
    if not python:
        return
    with tempfile.TemporaryDirectory(dir=place) as folder_name:
        folder = Path(folder_name)
        (folder / "in").mkdir()
        (folder / "photograph").write_bytes(PHOTOGRAPH)
        with open(folder / "in" / "items.jsonl", "w") as file:
            for number in range(items):
                file.write(
                    json.dumps({"key": f"part{number // 10000:03d}_{number:07d}", "image": f"{folder}/photograph"})
                    + "\n"
                )
        (folder / "trove.py").write_text(DATATROVE)
        seconds = timed(lambda: subprocess.run([python, folder / "trove.py", folder], check=True, capture_output=True))
        written = sum(len(path.read_bytes().splitlines()) for path in (folder / "out").iterdir())
        assert written == items, f"{written} of {items}"
    print(f"datatrove, its start included: {items:,} items in {seconds:.1f} s, {items / seconds:,.0f} items/s")


def measure_many(items: int, place: str | None) -> None:
    """What a launch, a merge and verify take with so many packed records."""
    print(heading(f"{items:,} packed records", ["orjson", "numpy", "pyarrow"]), flush=True)
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        prepare(folder, items, 1)
        (folder / "run.yaml").write_text(COLLECTING.format(folder=folder))
        run = Run(load_config(folder / "run.yaml"), folder / "out")
        step = run.steps[0]
        environment = os.environ | {
            "CONFIG": str(folder / "run.yaml"), "OUTPUT_DIR": str(run.folder), "LOG_DIR": str(folder / "logs"),
            "PYTHON": sys.executable, "GPU_COUNT": "2",
        }  # fmt: skip
        seconds = timed(lambda: index_input(run))
        print(f"the index: {seconds:.1f} s", flush=True)
        seconds = timed(lambda: make_up(run, items))
        print(f"made up by one process, not synced: {seconds:.1f} s", flush=True)
        files = sum(1 for path in step.folder.rglob("*") if path.is_file())
        print(f"files of the step: {files:,}", flush=True)
        for what, words in (
            ("collected and merged", []),
            ("skipped", []),
            ("merge", ["merge"]),
            ("verify", ["verify"]),
        ):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds = timed(lambda words=words: launched(environment, words))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            # The peak is that of all commands so far.
            print(f"{what}: {seconds:.1f} s ({used:.1f} s of CPU), peak {after.ru_maxrss >> 10} MB", flush=True)
        lines = sum(block.count(b"\n") for block in blocks(run.steps[1].folder / "all.csv"))
        assert lines == items + 1, f"{lines} lines"
        shutil.rmtree(run.folder)


def launched(environment: dict[str, str], words: list[str]) -> None:
    done = subprocess.run([ROOT / "launcher.sh", *words], env=environment, capture_output=True, text=True, check=False)
    print("   " + (done.stdout + done.stderr).strip().replace("\n", "\n   "), flush=True)
    assert done.returncode == 0


def index_input(run: Run) -> None:
    """As the launcher does it."""
    from shared.run.advance import read_input

    read_input(run, lambda _: None, None)


def make_up(run: Run, items: int) -> None:
    """What WORKERS workers would have left, each of its shard in order."""
    step = run.steps[0]
    step.folder.mkdir(parents=True)
    step.write_settings()
    sync, os.fdatasync = os.fdatasync, lambda _: None
    sha256 = hashlib.sha256(PHOTOGRAPH).hexdigest()
    keys = (row["key"] for row in Table(step.table_path))
    for worker in range(WORKERS):
        writer = PackWriter(step.records.packed, str(worker))
        start, stop = items * worker // WORKERS, items * (worker + 1) // WORKERS
        for first in range(start, stop, GROUP):
            group = []
            for row in range(first, min(stop, first + GROUP)):
                found = {"key": next(keys), "bytes": len(PHOTOGRAPH), "sha256": sha256, "fingerprint": step.fingerprint}
                group.append(Line(name_hash(found["key"]), row, orjson.dumps(found, option=orjson.OPT_APPEND_NEWLINE)))
            writer.append(group)
        writer.close()
    os.fdatasync = sync


def blocks(path: Path) -> Iterator[bytes]:
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            yield block


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["loop", "many"])
    parser.add_argument("items", type=int, nargs="?")
    parser.add_argument("--place", help="a folder on the disk to measure; else the temporary one")
    arguments = parser.parse_args()
    measure, usual = {
        "loop": (measure_loops, 100_000), "many": (measure_many, 1_000_000),
    }[arguments.what]  # fmt: skip
    measure(arguments.items or usual, arguments.place)
