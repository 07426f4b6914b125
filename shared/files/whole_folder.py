"""A folder that takes its place whole or not at all, as a file does."""

import filecmp
import os
import shutil
from pathlib import Path

from shared.files.part_file import sync_folder


class WholeFolder:
    """Write into `new`; when the block ends well that stands at `path`, and what was there is gone.

    Where the new files are what was there, the old ones stay as they are, with their times. An empty folder is none. One
    writer at a time: what a killed one left is removed by the next. Memory does not depend on the number of files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.new = path.with_name(f".{path.name}.new")
        self._old = path.with_name(f".{path.name}.old")

    def __enter__(self) -> "WholeFolder":
        for left in (self.new, self._old):
            shutil.rmtree(left, ignore_errors=True)
        self.new.mkdir(parents=True)
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None and not (self.path.is_dir() and are_equal(self.new, self.path)):
            sync_folders(self.new)
            if self.path.exists():
                os.rename(self.path, self._old)
            if any(self.new.iterdir()):
                os.rename(self.new, self.path)
            sync_folder(self.path.parent)
            shutil.rmtree(self._old, ignore_errors=True)
        shutil.rmtree(self.new, ignore_errors=True)


def are_equal(one: Path, other: Path) -> bool:
    """Whether two folders hold the same files, by name and content."""
    count = 0
    with os.scandir(one) as entries:
        for entry in entries:
            count += 1
            twin = other / entry.name
            if entry.is_dir(follow_symlinks=False):
                if not twin.is_dir() or not are_equal(one / entry.name, twin):
                    return False
            elif not twin.is_file() or not is_same_file(one / entry.name, twin):
                return False
    with os.scandir(other) as entries:
        return count == sum(1 for _ in entries)


def is_same_file(one: Path, other: Path) -> bool:
    """One file under two names, or two of the same content."""
    return os.path.samefile(one, other) or filecmp.cmp(one, other, shallow=False)


def sync_folders(folder: Path) -> None:
    """Make the names in `folder` and below outlast a power failure."""
    for parent, _, _ in os.walk(folder):
        sync_folder(Path(parent))
