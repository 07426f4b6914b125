"""A trial from outside: started in a process group of its own, listened to for so long, and ended with all it started."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import IO

from shared.doctor.trial import Answered, Ended, Job, Ready
from shared.files.lookup import ROOT

SECONDS_TO_LOAD = 600.0
SECONDS_TO_FINISH = 40.0  # what was begun in time, after the time is up
SECONDS_TO_END = 20.0  # for the engine to close, and for the system to take back what its processes held
REASON = re.compile(r"\b\w+(?:Error|Exception): \S")


@dataclass
class Attempt:
    """What came of a trial."""

    ready: float | None = None  # seconds that loading took; None where it never ended
    answers: list[Answered] = field(default_factory=list)
    stopped: float = float("inf")  # seconds after loading when no further item was begun
    error: str = ""  # why the step broke
    is_cut: bool = False  # it took too long, and was ended

    @property
    def done(self) -> list[Answered]:
        return [answer for answer in self.answers if not answer.error]


def attempt(job: Job, environment: Mapping[str, str]) -> Attempt:
    """Try a step; on every way out, also an interrupt, nothing that was started for it is left."""
    tried, said = Attempt(), deque[str](maxlen=200)
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "shared.doctor.trial", str(theirs.fileno())], cwd=ROOT, env={**os.environ, **environment},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            pass_fds=[theirs.fileno()], start_new_session=True,
        )  # fmt: skip
    reader = threading.Thread(target=keep, args=(process.stdout, said), daemon=True)
    reader.start()
    has_ended = False
    try:
        with ours, contextlib.suppress(EOFError, OSError):  # it may die at any moment
            ours.send(job)
            has_ended = listen(ours, job.seconds, tried)
        if not tried.is_cut:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS_TO_END)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        reader.join(SECONDS_TO_END)  # all that the trial started writes to it, so its end is the end of all
    if not has_ended and not tried.is_cut:
        tried.error = f"its process died ({cause(status)})"
    if tried.error and (reason := next((line for line in reversed(said) if REASON.search(line)), "").strip()):
        tried.error += "" if reason in tried.error or tried.error in reason else f" ({reason[-300:]})"
    return tried


def listen(connection: Connection, seconds: float, tried: Attempt) -> bool:
    """Note what a trial tells, until its end (True) or until it has taken too long. Raises EOFError where it dies."""
    deadline = time.monotonic() + SECONDS_TO_LOAD
    while connection.poll(max(0.0, deadline - time.monotonic())):
        message = connection.recv()
        if isinstance(message, Ready):
            tried.ready = message.seconds
            deadline = time.monotonic() + seconds + SECONDS_TO_FINISH
        elif isinstance(message, Answered):
            tried.answers.append(message)
        elif isinstance(message, Ended):
            tried.stopped, tried.error = message.seconds, message.error
            return True
    tried.is_cut = True
    return False


def keep(lines: IO[str], said: deque[str]) -> None:
    """Read to the end, and keep the last."""
    with lines:
        said.extend(lines)


def cause(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"
