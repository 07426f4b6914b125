"""What a worker shows while it works: a progress file for the launcher's table, and lines for `tail -f`."""

import logging
import os
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.files.control import Control
    from shared.loop.picker import Picker
    from shared.worker import Worker

log = logging.getLogger("worker")

SMOOTHING = 0.7  # of the rate, per second
QUIET_AFTER = 60  # seconds with a line each; then a line in ten


class Progress:
    """Counts of this process, written to progress<gpu>.json once a second by a thread of its own."""

    def __init__(self, control: "Control", worker: "Worker", picker: "Picker"):
        self.control, self.worker, self.picker = control, worker, picker
        self.state = "starting"
        self.recorded = self.failed = 0
        self.rate = 0.0  # items a second, smoothed
        self.started = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)
        self._thread.start()

    def count(self, is_recorded: bool) -> None:
        if is_recorded:
            self.recorded += 1
        else:
            self.failed += 1

    def close(self, state: str) -> None:
        self.state = state
        self._ended.set()
        self._thread.join()

    def summary(self) -> str:
        seconds = time.monotonic() - self.started
        done = self.recorded + self.failed
        return f"{self.recorded} recorded, {self.failed} failed in {clock(seconds)}, {done / max(seconds, 1e-3):.1f}/s"

    def _show(self) -> None:
        before, seen, last_line = time.monotonic(), 0, -1e9
        is_last = False
        while True:
            self._write()
            if is_last:
                return
            is_last = self._ended.wait(1.0)
            now, done = time.monotonic(), self.recorded + self.failed
            current = (done - seen) / max(now - before, 1e-3)
            if self.state == "running":
                self.rate = current if self.rate == 0 else SMOOTHING * self.rate + (1 - SMOOTHING) * current
            if done > seen and now - last_line > (0 if now - self.started < QUIET_AFTER else 10) and not is_last:
                log.info("%s", self._line())
                last_line = now
            before, seen = now, done

    def _write(self) -> None:
        try:
            self.control.show_progress(self._values())
        except OSError as error:  # a full disk is found, and said, where records are written
            log.debug("no progress file: %s", error)

    def _line(self) -> str:
        opened, recorded, failed = self.picker.shard_counts()
        total = opened + recorded + failed
        left = f"{clock(opened / self.rate)} left" if self.rate else "time left not known yet"
        if not opened:
            left = "own shard done, helping the others"
        return f"{recorded}/{total} done, {failed} failed, {self.rate:.1f}/s, {left}"

    def _values(self) -> dict:
        opened, recorded, failed = self.picker.shard_counts()
        return about_process(self.control, self.worker) | {
            "state": self.state,
            "killed": self.control.is_killed,
            "recorded": self.recorded,  # by this process, the others' items that it helped with included
            "failed": self.failed,
            "shard": {"items": opened + recorded + failed, "recorded": recorded, "failed": failed},
            "rate": round(self.rate, 3),
            "hindrance": self.worker.hindrance(),
        }


def about_process(control: "Control", worker: "Worker") -> dict:
    """What a progress file says of the process that writes it, whatever it works on."""
    return {
        "gpu": control.gpu,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "batch_size": worker.batch_size,
        "stall_seconds": worker.stall_seconds,
        "memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "time": time.time(),
    }


def clock(seconds: float) -> str:
    """`41 s`, `27 min`, `3 h 05 min`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"
