"""The files through which a worker and people talk: kill, end and progress."""

import os
import re
import time
from datetime import datetime
from pathlib import Path

import orjson

from shared.files.small_files import replace_file, write_file

KILL_FILE = re.compile(r"kill\d+\.txt")
END_FILE = re.compile(r"end\d+\.txt")
PROGRESS_FILE = re.compile(r"progress\d+\.json")
SECONDS_BETWEEN_LOOKS = 0.2


class Control:
    """What concerns one gpu in one step's folder; `places` are the folders in which a kill file is honoured."""

    def __init__(self, folder: Path, gpu: int, places: list[Path], parent: int | None = None):
        self.folder, self.gpu, self.parent = folder, gpu, parent
        self.kill_files = [place / f"kill{gpu}.txt" for place in places]
        self.reason = ""
        self._next_look = 0.0

    def stop_requested(self) -> bool:
        """True from the first kill file on, which is removed to show that it was seen, or when the launcher is gone."""
        now = time.monotonic()
        if not self.reason and now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self.reason = self._look()
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
            return f"{path} asked for it"
        if self.parent is not None and os.getppid() != self.parent:
            return "the launcher is gone"
        return ""

    def mark_end(self, recorded: int, failed: int) -> None:
        """Say that every item of the shard has its record or a failure. The caller has made sure."""
        line = f"{datetime.now():%Y-%m-%d %H:%M:%S} items {recorded + failed}, recorded {recorded}, failed {failed}\n"
        write_file(self.folder / f"end{self.gpu}.txt", line.encode())

    def show_progress(self, progress: dict) -> None:
        replace_file(self.folder / f"progress{self.gpu}.json", orjson.dumps(progress, option=orjson.OPT_APPEND_NEWLINE))


def matching(folder: Path, pattern: re.Pattern) -> list[Path]:
    """The files of a folder whose whole name fits, sorted; none where there is no folder."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
