"""Many machines on one: python -m tests.benchmarks.many_workers [--nodes 64 --workers 8 --items 40000 --form packed --claims locks]

As many processes as that many machines would have workers, forked from one that has imported everything, each in the loop of a
worker with an engine that sleeps. A third of them is killed on the way and started again. In the end every item has exactly one
record, and none was worked on twice but by those that were killed. tests/loop/test_many_workers.py is the same with fewer.
"""

import argparse
import contextlib
import gc
import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import orjson
from pydantic import NonNegativeFloat

from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.advance import advance
from shared.run.config import RunConfig, StepConfig
from shared.run.run import Run, Step
from shared.worker import Worker
from tests.benchmarks.machine import heading


@dataclass
class Sleeping(Worker):
    """Sleeps as an engine works, and notes what it was given."""

    seconds: NonNegativeFloat = 0.1

    def setup(self) -> None:
        self.log = os.open(self.folder / "computed", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def process(self, batch):
        os.write(self.log, "".join(f"{os.getpid()} {item['key']}\n" for item, _ in batch).encode())
        time.sleep(self.seconds * len(batch))
        return [{"pid": os.getpid()} for _ in batch]


class Crowd:
    """The processes, by their rank."""

    def __init__(self, step: Step, count: int):
        self.step, self.count = step, count
        self.pids: dict[int, int] = {}
        self.statuses: Counter[int] = Counter()

    def start(self, rank: int) -> None:
        pid = os.fork()
        if pid:
            self.pids[pid] = rank
            return
        status = 1
        try:
            status = Loop(self.step, Place(gpu=rank, rank=rank, world_size=self.count, cores=1)).run()
        except BaseException as error:
            print(f"worker {rank}: {error!r}", file=sys.stderr)
        os._exit(status)

    def reap(self) -> bool:
        """Take note of one that has ended; False when none has."""
        pid, status = os.waitpid(-1, os.WNOHANG) if self.pids else (0, 0)
        if pid:
            rank = self.pids.pop(pid)
            self.statuses[os.waitstatus_to_exitcode(status)] += 1
            if os.WIFSIGNALED(status):
                self.start(rank)
        return bool(pid)


def run_of(folder: Path, items: int, form: str, claims: str, seconds: float) -> Run:
    with open(folder / "items.jsonl", "w") as file:
        file.writelines(f'{{"key": "part{number // 1000:04d}/{number:08d}"}}\n' for number in range(items))
    worker = Sleeping(seconds=seconds, records=form, batch_size=2)
    steps = [StepConfig(1, "sleeping", "s1", worker)]
    return Run(
        RunConfig(folder / "run.yaml", str(folder / "items.jsonl"), image_key=None, steps=steps, claims=claims),
        folder / "out",
    )


def simulate(
    folder: Path, workers: int, items: int, form: str, claims: str, seconds: float = 0.1, kills: int | None = None
) -> str:
    """Raises AssertionError when an item was lost or done twice; returns what happened."""
    run = run_of(folder, items, form, claims, seconds)
    advance(run, lambda _: None)
    step, dice = run.steps[0], random.Random(7)
    left = wanted = workers // 3 if kills is None else kills
    crowd, killed, started = Crowd(step, workers), set(), time.monotonic()
    gc.freeze()
    for rank in range(workers):
        crowd.start(rank)
    pause = 0.6 * items * seconds / workers / max(wanted, 1)  # so that they are spread over the run
    next_kill = time.monotonic() + pause
    while crowd.pids:
        if not crowd.reap():
            time.sleep(0.002)
        if left and time.monotonic() >= next_kill and (step.folder / "computed").exists():
            pid = dice.choice(sorted(crowd.pids))
            killed.add(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            left, next_kill = left - 1, time.monotonic() + pause
    elapsed = time.monotonic() - started
    assert set(crowd.statuses) <= {0, -signal.SIGKILL}, crowd.statuses
    assert not left, f"all was done before {left} could be killed"
    check(step, items, killed)
    reached = advance(run, lambda _: None, begun=frozenset({1}))
    assert reached.is_complete and not reached.failed
    again = sum(Counter(computed(step)).values()) - items
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    return (
        f"{workers} workers, {items:,} items of {seconds} s, {form}, claims by {claims}: {elapsed:.0f} s, {items / elapsed:,.0f} items/s; "
        f"{wanted} killed and started again, {again} items begun again after them; each has one record; peak of a process {peak} MB"
    )


def computed(step: Step) -> list[str]:
    return [line.split(" ", 1)[1] for line in (step.folder / "computed").read_text().splitlines()]


def check(step: Step, items: int, killed: set[int]) -> None:
    """One record each, and no item begun again after one that lives had begun it."""
    lines = [orjson.loads(line)["key"] for line in step.records.packed.each()]
    files = list(step.records.records.rglob("*.json")) if step.records.records.exists() else []
    assert len(lines) + len(files) == items and len(set(lines)) == len(lines), (len(lines), len(set(lines)), len(files))
    by_key: dict[str, list[int]] = {}
    for line in (step.folder / "computed").read_text().splitlines():
        pid, key = line.split(" ", 1)
        by_key.setdefault(key, []).append(int(pid))
    assert len(by_key) == items
    twice = {key: pids for key, pids in by_key.items() if any(pid not in killed for pid in pids[:-1])}
    assert not twice, twice


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=64)
    parser.add_argument("--workers", type=int, default=8, help="of each node")
    parser.add_argument("--items", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=0.5, help="that an item takes")
    parser.add_argument("--form", choices=["json", "packed"], default="packed")
    parser.add_argument("--claims", choices=["locks", "files"], default="locks")
    arguments = parser.parse_args()
    logging.disable()
    print(
        heading(f"{arguments.nodes} machines of {arguments.workers} workers, simulated", ["numpy", "orjson"]),
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name:
        count = arguments.nodes * arguments.workers
        print(simulate(Path(name), count, arguments.items, arguments.form, arguments.claims, arguments.seconds))
