"""An address as the readers ask of a path: its name, what lies below it, and whether that is a folder."""

import hashlib
import json
import os
import posixpath
from collections import defaultdict
from functools import cached_property
from pathlib import Path

from shared.errors import FarError
from shared.far.addresses import below, shown_address
from shared.far.store import FarState, listed_files, state_of_file


class FarPath:
    """A file, or a folder whose files are listed once, when somebody first asks for them.

    As text it is the address without secrets. `root`: the folder that was listed, which this lies in.
    """

    def __init__(self, address: str, is_folder: bool = False, root: "FarPath | None" = None) -> None:
        self.address = address.rstrip("/")
        self.root, self._is_folder = root or self, is_folder

    def __str__(self) -> str:
        return shown_address(self.address)

    def __truediv__(self, name: str) -> "FarPath":
        return FarPath(below(self.address, name), root=self.root)

    @property
    def name(self) -> str:
        return posixpath.basename(str(self))

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> "FarPath":
        return FarPath(posixpath.dirname(str(self)), True, None if self.root is self else self.root)

    @cached_property
    def files(self) -> dict[str, FarState]:
        """All below, by relative path. Raises FarError."""
        listed = listed_files(self.address)
        if "" in listed:
            raise FarError(f"{self} is of no kind we read: a folder, a table, Parquet or a tar")
        return listed

    @cached_property
    def names_of_folders(self) -> dict[str, set[str]]:
        """Relative path of each folder -> the names in it."""
        found: dict[str, set[str]] = defaultdict(set)
        for relative in self.files:
            while relative:
                folder, _, name = relative.rpartition("/")
                if name in found[folder]:
                    break
                found[folder].add(name)
                relative = folder
        return dict(found)

    @cached_property
    def state(self) -> FarState:
        return state_of_file(self.address) if self.root is self else self.root.files[self._inside]

    def names(self) -> list[str]:
        return sorted(self.root.names_of_folders.get(self._inside, ()))

    def is_dir(self) -> bool:
        return self._is_folder if self.root is self else self._inside in self.root.names_of_folders

    def is_file(self) -> bool:
        return not self.is_dir() and (self.root is self or self._inside in self.root.files)

    def digest(self) -> str:
        """Changes with the names, sizes and tags of the files, or of the file."""
        digest = hashlib.sha256()
        for said in sorted(self.files.items()) if self.is_dir() else [("", self.state)]:
            digest.update(json.dumps(said).encode())
        return digest.hexdigest()

    @property
    def _inside(self) -> str:
        return "" if self.root is self else self.address.removeprefix(self.root.address).lstrip("/")


AnyPath = Path | FarPath


def names_in(folder: AnyPath) -> list[str]:
    return folder.names() if isinstance(folder, FarPath) else os.listdir(folder)
