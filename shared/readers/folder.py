"""Items from a folder of photographs."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.decoding.formats import SUFFIXES
from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.files.step_folder import INPUT_FOLDER

MOST_KINDS = 6  # in a sentence
# What file systems, cameras' and photographers' programs keep beside photographs: copies, thumbnails, what was thrown away.
NO_PHOTOGRAPHS = {
    "@eadir", "#recycle", "@recycle", "$recycle.bin", "recycler", "recycled", "lost+found", "system volume information",
    "__macosx", "#snapshot", "@__thumb", "@tmp", "thumbs", "thumbnails_cache", "lightroom previews.lrdata", "lrcat-data",
}  # fmt: skip


def read_folder(folder: Path, say: Callable[[str], None] = lambda _: None) -> Iterator[dict]:
    """The photographs in `folder` and below, sorted by relative path; hidden names are passed over.

    The key is the relative path, suffix included. Afterwards `say` gets what else lies there, and which folders are closed.
    """
    yield from photographs_in(FolderWalk(folder), say)


def photographs_in(walk: "FolderWalk", say: Callable[[str], None]) -> Iterator[dict]:
    folder = walk.folder
    for relative in walk.names():
        try:
            relative.encode()
        except UnicodeEncodeError:
            name = escaped(relative)
            sentence = f"the name {name} is not valid UTF-8; rename the file"
            yield {"key": name, "image_path": f"{folder}/{name}", "unreadable": sentence}
        else:
            yield {"key": relative, "image_path": f"{folder}/{relative}"}
    for sentence in walk.sentences():
        say(sentence)


def folder_digest(folder: Path) -> str:
    """Identifies the names of the photographs, and nothing else about them."""
    digest = hashlib.sha256()
    for relative in FolderWalk(folder).names():
        digest.update(os.fsencode(relative) + b"\0")
    return digest.hexdigest()


def escaped(name: str) -> str:
    """The name with the bytes that are not UTF-8 written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def has_image_suffix(name: str) -> bool:
    """Also of one with blanks behind it, as some systems let through."""
    return os.path.splitext(name)[1].rstrip().lower() in SUFFIXES and not name.startswith(".")


class FolderWalk:
    """One walk through a folder and all below it, which remembers what it did not take.

    Each folder is visited once, however links lead; memory holds one pair of numbers for each, and the names in the folders above
    a photograph. `kinds`: suffix -> files; `folders`: those passed over by their name; `closed`: those that may not be read.
    """

    def __init__(self, folder: AnyPath):
        self.folder = str(folder)
        self.kinds: Counter[str] = Counter()
        self.folders: Counter[str] = Counter()
        self.closed: list[tuple[str, str]] = []
        self._visited: set[tuple[int, int]] = set()

    def names(self) -> Iterator[str]:
        """Relative paths of the photographs, sorted. Raises DatasetError where the folder itself may not be read."""
        return self._names_below(self.folder, "")

    def sentences(self) -> list[str]:
        """What was passed over, in a line, and a line for each folder that is closed."""
        lines = [f"the folder {folder} and all below it are passed over: {reason}" for folder, reason in self.closed]
        count, named = self.kinds.total(), Counter(dict(self.kinds.most_common(MOST_KINDS)))
        parts = [f"{files} {kind}" for kind, files in named.items()]
        if count > named.total():
            parts.append(f"{count - named.total()} others")
        if self.folders:
            names = ", ".join(
                name if count == 1 else f"{name} ({count} times)" for name, count in self.folders.most_common(8)
            )
            parts.append(f"the folder{'s' if self.folders.total() > 1 else ''} {names}")
        if parts:
            noun = f"{count} file{'s' if count != 1 else ''} " if count else ""
            lines.insert(0, f"{noun}passed over in {self.folder}: {', '.join(parts)}")
        return lines

    def _names_below(self, folder: str, prefix: str) -> Iterator[str]:
        try:
            status = os.stat(folder)
            here = (status.st_dev, status.st_ino)
            if here in self._visited:
                return
            self._visited.add(here)
            with os.scandir(folder) as entries:
                listed = list(entries)
        except OSError as error:
            if not prefix:
                raise DatasetError(f"the folder {folder} cannot be read: {error.strerror}") from None
            self.closed.append((folder, error.strerror or str(error)))
            return
        is_run = any(entry.name == INPUT_FOLDER for entry in listed)
        if is_run and prefix:
            self.folders[f"{prefix} (of a run)"] += 1
            return
        names = [name for entry in listed if (name := self._listed_name(entry, is_run))]
        # With its slash, a folder stands among its siblings where the paths in it stand among theirs.
        names.sort(reverse=True)
        while names:
            name = names.pop()
            if name.endswith("/"):
                yield from self._names_below(folder + "/" + name[:-1], prefix + name)
            else:
                yield prefix + name

    def _listed_name(self, entry: os.DirEntry, is_run: bool) -> str | None:
        """The name of a photograph, of a folder with a slash behind it, or None."""
        name = entry.name
        if name.startswith("."):
            return None
        # A link to itself is no folder, and os.path says so where entry.is_dir() raises.
        if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path)):
            if name.lower() in NO_PHOTOGRAPHS or (is_run and re.match(r"step_\d+_", name)):
                self.folders[name] += 1
                return None
            return name + "/"
        # A link to nothing is listed, and fails by itself; a pipe is not, for opening it would wait for ever.
        if has_image_suffix(name) and (entry.is_symlink() or entry.is_file()):
            return name
        self.kinds[os.path.splitext(name)[1] or "without a suffix"] += 1
        return None
