"""How long an engine of a fixed service time stands still: python -m tests.benchmarks.stand_still [items]

No GPU is needed: an engine that sleeps is as busy as one that computes, and a decoder that sleeps takes as long as one that decodes, so
that eight workers can be looked at on two cores. What is left between two batches is what the loop itself costs the engine: claiming,
waiting for the photographs, recording. It is counted from a worker's first batch to the end of its last.
"""

import argparse
import logging
import multiprocessing
import tempfile
import time
from pathlib import Path

from shared.files.table import Table
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.run import Run
from shared.worker import Loaded
from tests.benchmarks.coordination import prepare
from tests.benchmarks.machine import heading

BATCH = 8
SERVICE = 0.012  # seconds an item, about that of CLIP L/14 on a small GPU
DECODING = (0.001, 0.010, 0.040)  # seconds an item and thread
WORKERS = (1, 2, 4, 8)


class Engine:
    """In the place of the template step's work: it sleeps, and notes when it was at work."""

    def __init__(self, decoding: float):
        self.decoding, self.busy, self.first, self.last = decoding, 0.0, 0.0, 0.0

    def load(self, item: dict) -> bytes:
        time.sleep(self.decoding)
        return b""

    def process(self, batch: list[Loaded]) -> list[dict]:
        begun = time.perf_counter()
        time.sleep(SERVICE * len(batch))
        self.last = time.perf_counter()
        self.first = self.first or begun
        self.busy += self.last - begun
        return [{"bytes": len(data)} for _, data in batch]

    def stood_still(self) -> float:
        """The share of the time, 0..1."""
        return 1 - self.busy / (self.last - self.first)


def work(run: Run, decoding: float, form: str, rank: int, workers: int, threads: int, answers) -> None:
    logging.disable()
    step = Run(run.config, run.folder).steps[0]
    engine = Engine(decoding)
    step.worker.load, step.worker.process = engine.load, engine.process
    step.worker.load_threads, step.worker.records = threads, form
    Loop(step, Place(gpu=rank, rank=rank, world_size=workers)).run()
    answers.put(engine.stood_still())


def measure(items: int, workers: int, decoding: float, form: str) -> list[float]:
    """The share of each worker. As many decoding threads as keep up with the engine, and one more."""
    threads = int(decoding / SERVICE) + 2
    with tempfile.TemporaryDirectory() as name:
        run = prepare(Path(name), items * workers, BATCH)
        run.input.folder.mkdir(parents=True)
        Table.write(run.steps[0].table_path, run.source.items(), run.folder)
        run.steps[0].folder.mkdir()
        context = multiprocessing.get_context("fork")
        answers = context.Queue()
        started = [
            context.Process(target=work, args=(run, decoding, form, rank, workers, threads, answers))
            for rank in range(workers)
        ]
        for one in started:
            one.start()
        found = [answers.get() for _ in started]
        for one in started:
            one.join()
        recorded = run.steps[0].records.count()
        assert recorded == items * workers, f"{recorded} records of {items * workers}"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", nargs="?", type=int, default=1000, help="of each worker")
    parser.add_argument("--records", choices=["json", "packed"], default="json")
    arguments = parser.parse_args()
    items = arguments.items
    print(heading(f"How long the engine stands still, records {arguments.records}", ["numpy"]))
    print(f"an engine of {SERVICE * 1000:.0f} ms an item, {items} items a worker in batches of {BATCH}")
    for decoding in DECODING:
        for workers in WORKERS:
            shares = measure(items, workers, decoding, arguments.records)
            print(
                f"{workers} workers, decoding {decoding * 1000:2.0f} ms: the engine stands still {max(shares):6.2%} of the time "
                f"at worst, {sum(shares) / len(shares):6.2%} on average",
                flush=True,
            )


if __name__ == "__main__":
    main()
