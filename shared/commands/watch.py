"""Progress of a step's workers for the person at the terminal, and the watchdog over workers that stand still."""

import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from shared.files.small_files import read_json
from shared.files.step_folder import StepFolder
from shared.loop.progress import clock
from shared.machine import gpu_use

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN_LINES = 60
SECONDS_TO_DUMP = 3  # between asking a worker for its stacks and ending it


class Watch:
    """Shows the workers' progress files: a live table in a terminal, a line a minute elsewhere, until the launcher ends it."""

    def __init__(self, folder: Path, label: str, left: int, is_together: bool = False, others: str = ""):
        """Of a step's folder; `is_together`: the workers have one progress, which a resumed training does not begin anew;
        `others`: how far the run's other steps are."""
        self.others = others
        self.step, self.label, self.left, self.is_together = StepFolder(folder), label, left, is_together
        self.console: Console | None = None  # of the live table
        self.finished: dict[
            int, tuple[int, int]
        ] = {}  # recorded and failed of processes, by pid: a restart begins at zero
        self.moved: dict[int, tuple[int, float]] = {}  # the last count of each pid and when it changed
        self.started = time.monotonic()

    def run(self, parent: int, messages: Path) -> int:
        """Until `parent` is gone; in a terminal with what it says in `messages` above the table. Returns the exit status."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        try:
            if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb":
                self._show_table(parent, messages)
            else:
                self._print_lines(parent)
        except BrokenPipeError:
            return 0
        return 0

    def look(self) -> list[dict]:
        """The progress files of this launch, by GPU."""
        workers = [read_json(path) for path in self.step.progress_files()]
        workers = [worker for worker in workers if worker]
        for worker in workers:
            self.finished[worker["pid"]] = (worker["recorded"], worker["failed"])
            self._check_standstill(worker)
        return sorted(workers, key=lambda worker: worker["gpu"])

    def line(self, workers: list[dict]) -> str:
        """`1280/70000 done, 3 failed, 41.2/s, 27 min left`, over all workers of this launch; of a training all its steps."""
        recorded = sum(count for count, _ in self.finished.values())
        failed = sum(count for _, count in self.finished.values())
        total = self.left
        if self.is_together and workers:  # they have one progress, which a resumed training does not begin anew
            recorded, total = workers[0]["shard"]["recorded"], workers[0]["shard"]["items"]
        rate = sum(worker["rate"] for worker in workers if worker["state"] == "running")
        todo = max(total - recorded - failed, 0)
        eta = f"{clock(todo / rate)} left" if rate else "getting ready" if todo else "done"
        hindrance = next((found for worker in workers if (found := worker.get("hindrance"))), "")
        return f"{recorded}/{total} done, {failed} failed, {rate:.1f}/s, {hindrance or eta}"

    def _print_lines(self, parent: int) -> None:
        next_line = self.started + SECONDS_BETWEEN_LINES
        while os.getppid() == parent:
            time.sleep(1)
            workers = self.look()
            if time.monotonic() >= next_line:
                others = f"; {self.others}" if self.others else ""
                print(f"launcher: {self.label}: {self.line(workers)}{others}", flush=True)
                next_line += SECONDS_BETWEEN_LINES

    def _show_table(self, parent: int, messages: Path) -> None:
        from rich.live import Live

        told = messages.stat().st_size if messages.exists() else 0
        with Live(self._table([]), refresh_per_second=2, transient=True) as live:
            self.console = live.console
            try:
                while os.getppid() == parent:
                    live.update(self._table(self.look()))
                    told = self._tell(messages, told)
                    time.sleep(0.5)
            finally:
                self._tell(messages, told)

    def _tell(self, messages: Path, told: int) -> int:
        """What the launcher has said since, above the table; returns how many bytes that are in all."""
        with open(messages, "rb") as file:
            file.seek(told)
            said = file.read()
        for line in said.decode(errors="replace").splitlines():
            self._say(line[len("2026-01-01 00:00:00 launcher: ") :])
        return told + len(said)

    def _table(self, workers: list[dict]):
        from rich.table import Table

        table = Table(
            title=f"{self.label}: {self.line(workers)}",
            title_justify="left",
            caption=self.others or None,
            caption_justify="left",
            box=None,
            pad_edge=False,
        )
        for column in ("GPU", "state", "shard", "done", "failed", "rate", "left", "batch", "memory", "GPU use"):
            table.add_column(column, justify="left" if column in ("GPU", "state") else "right")
        use = gpu_use()
        for worker in workers:
            shard, rate = worker["shard"], worker["rate"]
            opened = shard["items"] - shard["recorded"] - shard["failed"]
            table.add_row(
                str(worker["gpu"]), worker["state"], f"{shard['recorded'] + shard['failed']}/{shard['items']}",
                str(worker["recorded"]), str(worker["failed"]), f"{rate:.1f}/s",
                clock(opened / rate) if rate and opened else "", str(worker["batch_size"]),
                f"{worker['memory_bytes'] / 2**30:.1f} GiB", use.get(worker["gpu"], ""),
            )  # fmt: skip
        return table

    def _check_standstill(self, worker: dict) -> None:
        """Dump the stacks of a worker that has finished nothing for too long into its log, then end it: it is started again."""
        pid, count, now = worker["pid"], worker["recorded"] + worker["failed"], time.monotonic()
        last, since = self.moved.get(pid, (-1, now))
        if count != last or worker["state"] != "running":
            self.moved[pid] = (count, now)
        elif now - since > worker["stall_seconds"] and worker["host"] == os.uname().nodename and is_our_worker(pid):
            self._say(f"GPU {worker['gpu']}: nothing finished for {clock(now - since)}; its stacks go to its log")
            del self.moved[pid]
            with suppress(ProcessLookupError):  # it may end by itself meanwhile
                os.kill(pid, signal.SIGUSR1)
                time.sleep(SECONDS_TO_DUMP)
                os.killpg(pid, signal.SIGKILL)

    def _say(self, text: str) -> None:
        if self.console is None:
            print(f"launcher: {text}", flush=True)
        else:
            self.console.print(f"launcher: {text}", highlight=False, markup=False, soft_wrap=True)


def is_our_worker(pid: int) -> bool:
    """A pid from a file may have been given to another process meanwhile."""
    try:
        return b"workers." in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
