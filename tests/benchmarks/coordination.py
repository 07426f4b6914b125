"""What coordination costs: python -m tests.benchmarks.coordination loop | skip [items]"""

import argparse
import hashlib
import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import orjson

from shared.files.lookup import ROOT
from shared.files.table import Table
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.config import load_config
from shared.run.run import Run

CONFIG = """
meta_path: {input}
image_key: image
steps:
  - type: template
    config: {{batch_size: {batch_size}}}
"""
PHOTOGRAPH = b"x" * 1000  # one small file that all items share: its decoding is not what is measured


def prepare(folder: Path, items: int, batch_size: int) -> Run:
    """A run of the template step over `items` items, read and not begun."""
    (folder / "photograph").write_bytes(PHOTOGRAPH)
    with open(folder / "items.csv", "w", buffering=1 << 20) as file:
        file.write("key,image\n")
        file.writelines(f"part{number // 10000:03d}_{number:07d},photograph\n" for number in range(items))
    (folder / "run.yaml").write_text(CONFIG.format(input=folder / "items.csv", batch_size=batch_size))
    return Run(load_config(folder / "run.yaml"), folder / "out")


def write_durably(folder: Path, name: str, data: bytes) -> None:
    """The bare loop's way: write beside, sync, rename, sync the folder."""
    part = folder / f".{name}.part"
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, folder / name)
    descriptor = os.open(folder, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def measure_loop(items: int, batch_size: int, place: str | None, form: str = "json") -> None:
    """The template step's loop with durable records; where they are files against a bare loop that writes the same ones."""
    logging.disable()
    with tempfile.TemporaryDirectory(dir=place) as name:
        run = prepare(Path(name), items, batch_size)
        run.steps[0].worker.records = form
        run.input.folder.mkdir(parents=True)
        Table.write(run.steps[0].table_path, run.source.items(), run.folder)
        run.steps[0].folder.mkdir()
        worker = Place(rank=0, world_size=1, cores=0, gpu=0, parent=None, kill_folder=None)
        started = time.perf_counter()
        Loop(run.steps[0], worker).run()
        looped = time.perf_counter() - started
        assert run.steps[0].records.count() == items, f"{run.steps[0].records.count()} records of {items}"
        print(f"the loop, {form}: {items:,} items in {looped:.1f} s, {items / looped:,.0f} items/s", flush=True)
        if form == "packed":
            return
        recorded = sorted((run.steps[0].folder / "records").iterdir())
        bare = Path(name, "bare")
        bare.mkdir()
        photograph = Path(name, "photograph")
        started = time.perf_counter()
        for path in recorded:
            data = photograph.read_bytes()
            found = {
                "key": path.stem,
                "bytes": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "fingerprint": "0" * 16,
            }
            write_durably(bare, path.name, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        written = time.perf_counter() - started
    print(f"bare loop: {items:,} items in {written:.1f} s, {items / written:,.0f} items/s")
    print(f"the loop is {written / looped:.1f} times as fast")


def measure_skip(items: int, place: str | None) -> None:
    """`./launcher.sh` over a run whose items are all recorded: seconds, and the largest process's memory."""
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        run = prepare(folder, items, 1)
        environment = os.environ | {
            "CONFIG": str(folder / "run.yaml"), "OUTPUT_DIR": str(run.folder), "LOG_DIR": str(folder / "logs"),
            "PYTHON": sys.executable, "GPU_COUNT": "2",
        }  # fmt: skip
        records = run.steps[0].folder / "records"
        records.mkdir(parents=True)
        sha256 = hashlib.sha256(PHOTOGRAPH).hexdigest()
        for number in range(items):
            key = f"part{number // 10000:03d}_{number:07d}"
            found = {"key": key, "bytes": len(PHOTOGRAPH), "sha256": sha256, "fingerprint": run.steps[0].fingerprint}
            descriptor = os.open(records / f"{key}.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            os.write(descriptor, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            os.close(descriptor)
        print(f"{items:,} records are there", flush=True)
        for what in ("collected", "skipped", "skipped again"):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            started = time.perf_counter()
            done = subprocess.run([ROOT / "launcher.sh"], env=environment, capture_output=True, text=True, check=False)
            seconds = time.perf_counter() - started
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            # The peak is that of all launches so far; the first one also writes the tables and the report.
            print(f"{what}: {seconds:.1f} s ({used:.1f} s of CPU), peak {after.ru_maxrss >> 10} MB", flush=True)
            print("   " + (done.stdout + done.stderr).strip().replace("\n", "\n   "), flush=True)
            assert done.returncode == 0
        assert "nothing to do" in done.stdout
        shutil.rmtree(run.folder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["loop", "skip"])
    parser.add_argument("items", type=int, nargs="?")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--place", help="a folder on the disk to measure; else the temporary one")
    arguments = parser.parse_args()
    if arguments.what == "loop":
        measure_loop(arguments.items or 20_000, arguments.batch_size, arguments.place)
    else:
        measure_skip(arguments.items or 1_000_000, arguments.place)
