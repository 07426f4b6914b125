"""How fast, and in how much memory, many rows are indexed: python -m tests.benchmarks.readers 10000000 csv"""

import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

from shared.dataset import Source
from shared.files.table import Table


def write_input(path: Path, rows: int) -> None:
    with open(path, "w", buffering=1 << 20) as file:
        if path.suffix == ".csv":
            file.write("image,caption,score\n")
        for row in range(rows):
            image, caption = (
                f"part{row // 10000:05}/photo_{row:09}.jpg",
                f"a photograph of the thing number {row}",
            )
            if path.suffix == ".csv":
                file.write(f'{image},"{caption}, in the evening",0.5\n')
            else:
                file.write(f'{{"image": "{image}", "caption": "{caption}, in the evening", "score": 0.5}}\n')


def report(name: str, rows: int, started: float) -> None:
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"{name}: {rows:,} rows, {seconds:.1f} s, {rows / seconds:,.0f} rows/s, peak RSS {peak} MB",
        flush=True,
    )


def measure(rows: int, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Source(str(Path(folder, f"rows.{suffix}")))
        write_input(source.path if os.path.exists(source.meta_path) else Path(source.meta_path), rows)
        result = Path(folder, "run", "result.jsonl")
        result.parent.mkdir()

        started = time.perf_counter()
        table = Table.write(result, source.items(), folder, name=source.path.name)
        report(f"{suffix} to a table", len(table), started)
        os.unlink(f"{result}.index")
        started = time.perf_counter()
        report("index made again", len(Table(result)), started)
        started = time.perf_counter()
        report("opened", len(Table(result)), started)
        started = time.perf_counter()
        report("read in order", sum(1 for _ in table), started)
        started = time.perf_counter()
        for row in range(0, rows, max(1, rows // 100_000)):
            table[row]
        report("read at places", len(range(0, rows, max(1, rows // 100_000))), started)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rows", type=int, nargs="?", default=1_000_000)
    parser.add_argument("suffix", choices=["csv", "jsonl"], nargs="?", default="csv")
    measure(**vars(parser.parse_args()))
