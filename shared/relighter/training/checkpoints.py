"""Checkpoints of a training: whole or absent, the oldest given up only when the new one is safe."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from shared.errors import DiskError
from shared.files.small_files import read_json, write_json
from shared.files.whole_folder import WholeFolder

NAME = re.compile(r"checkpoint-(\d+)")
STATE = "training.json"  # written last: a checkpoint that has it is whole


class Checkpoints:
    """The folders `checkpoint-<step>` in a step's folder; at most `limit` stay, None keeps all."""

    def __init__(self, folder: Path, limit: int | None):
        self.folder, self.limit = folder, limit

    def steps(self) -> list[int]:
        """Of the whole ones, in order."""
        names = [NAME.fullmatch(path.name) for path in self.folder.iterdir()] if self.folder.is_dir() else []
        return sorted(
            int(match.group(1)) for match in names if match and (self.folder / match.group() / STATE).exists()
        )

    def latest(self) -> Path | None:
        steps = self.steps()
        return self.path(steps[-1]) if steps else None

    def path(self, step: int) -> Path:
        return self.folder / f"checkpoint-{step}"

    def save(self, step: int, state: dict, write: Callable[[Path], None]) -> None:
        """Have `write` fill a folder beside, put it in place, then remove the oldest beyond the limit.

        Raises DiskError where the disk has no room; what was saved before is then still there.
        """
        self.remove_parts()
        self._check_room()
        try:
            with WholeFolder(self.path(step)) as whole:
                write(whole.new)
                write_json(whole.new / STATE, state)
                sync_files(whole.new)
        except Exception as error:
            if is_full(error):
                raise DiskError(
                    f"no room for checkpoint-{step} under {self.folder}; free some and run again: it goes on from "
                    f"{self.latest() or 'the beginning'}"
                ) from error
            raise
        for old in self.steps()[: -self.limit] if self.limit else []:
            (self.path(old) / STATE).unlink()  # from now on it is none
            shutil.rmtree(self.path(old))

    def remove_parts(self) -> None:
        """What a killed training has left half written, or half removed."""
        for path in self.folder.glob("*checkpoint-*"):
            if path.name.startswith(".") or (NAME.fullmatch(path.name) and not (path / STATE).exists()):
                shutil.rmtree(path, ignore_errors=True)

    def _check_room(self) -> None:
        """A new checkpoint is as large as the last one: say that there is no room before hours of writing fail."""
        latest = self.latest()
        if latest is None:
            return
        needed = sum(file.stat().st_size for file in latest.rglob("*") if file.is_file())
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise DiskError(
                f"a checkpoint takes {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free under {self.folder}; free "
                f"some and run again: it goes on from {latest.name}"
            )


def read_state(folder: Path) -> dict:
    return read_json(folder / STATE)


def sync_files(folder: Path) -> None:
    """Make what other libraries have written into `folder` and below outlast a power failure."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def is_full(error: BaseException | None) -> bool:
    """Also where a library has wrapped the error in words of its own."""
    from shared.errors import is_disk_error

    while error is not None:
        if is_disk_error(error) or "No space left" in str(error) or "os error 28" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
