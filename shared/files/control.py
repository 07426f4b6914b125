"""The files through which a worker and people talk: kill, end and progress."""

import os
import time
from datetime import datetime
from pathlib import Path

import orjson

from shared.files.small_files import replace_file, write_file
from shared.files.step_folder import StepFolder, kill_file

SECONDS_BETWEEN_LOOKS = 0.2


class Control:
    """What concerns one gpu in one step's folder; `places` are the folders in which a kill file is honoured."""

    def __init__(self, folder: Path, gpu: int, places: list[Path], parent: int | None = None):
        self.step, self.gpu, self.parent = StepFolder(folder), gpu, parent
        self.kill_files = [kill_file(place, gpu) for place in places]
        self.reason = ""
        self.is_killed = False  # by a kill file, that is, by a person who wants one worker fewer
        self._next_look = 0.0

    def stop_requested(self) -> bool:
        """True from the first kill file on, which is removed to show that it was seen, or when the launcher is gone."""
        now = time.monotonic()
        if not self.reason and now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self.stop(self._look())  # a signal may have asked while it looked, and is not to be forgotten
        return bool(self.reason)

    def stop(self, reason: str) -> None:
        """Ask from within this process, also from a signal handler."""
        self.reason = self.reason or reason

    def _look(self) -> str:
        for path in self.kill_files:
            try:
                path.unlink()
            except FileNotFoundError:
                continue
            self.is_killed = True
            return f"{path} asked for it"
        if self.parent is not None and os.getppid() != self.parent:
            return "the launcher is gone"
        return ""

    def mark_end(self, recorded: int, failed: int) -> None:
        """Say that every item of the shard has its record or a failure. The caller has made sure."""
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S} items {recorded + failed}, recorded {recorded}, failed {failed}\n"
        write_file(self.step.end_file(self.gpu), line.encode())

    def show_progress(self, progress: dict) -> None:
        replace_file(self.step.progress_file(self.gpu), orjson.dumps(progress, option=orjson.OPT_APPEND_NEWLINE))
