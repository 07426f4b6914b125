"""Files that were written beside, put where they belong."""

import os
from collections.abc import Iterable
from concurrent.futures import Executor
from pathlib import Path

from shared.files.part_file import make_folder, sync_folder


class Placer:
    """Renames parts and makes their names outlast a power failure; folders are made below `root`, which is there."""

    def __init__(self, root: Path, pool: Executor):
        self.root, self.pool = root, pool
        self._made: set[Path] = set()

    def place(self, parts: Iterable[tuple[Path, Path]]) -> None:
        """Each a part that is synced and its place; all are durable at the end."""
        folders = set()
        for part, path in parts:
            if path.parent not in self._made:
                make_folder(path.parent, self.root)
                self._made.add(path.parent)
            os.replace(part, path)
            folders.add(path.parent)
        list(self.pool.map(sync_folder, folders))
