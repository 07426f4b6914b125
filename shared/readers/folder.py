"""Items from a folder of photographs."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from shared.errors import DatasetError

IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff")


def read_folder(folder: Path) -> Iterator[dict]:
    """The photographs in `folder` and below, sorted by relative path; hidden names are passed over.

    The key is the relative path, suffix included. Memory holds the names in the folders above a photograph.
    """
    for relative in image_names(folder):
        try:
            relative.encode()
        except UnicodeEncodeError:
            name = escaped(relative)
            sentence = f"the name {name} is not valid UTF-8; rename the file"
            yield {"key": name, "image_path": f"{folder}/{name}", "unreadable": sentence}
        else:
            yield {"key": relative, "image_path": f"{folder}/{relative}"}


def folder_digest(folder: Path) -> str:
    """Identifies the names of the photographs, and nothing else about them."""
    digest = hashlib.sha256()
    for relative in image_names(folder):
        digest.update(os.fsencode(relative) + b"\0")
    return digest.hexdigest()


def image_names(folder: Path) -> Iterator[str]:
    """Relative paths, sorted; raises DatasetError for a folder that may not be read."""
    return _names_below(str(folder), "", frozenset())


def escaped(name: str) -> str:
    """The name with the bytes that are not UTF-8 written as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def has_image_suffix(name: str) -> bool:
    _, dot, suffix = name.rpartition(".")
    return dot == "." and suffix.lower() in IMAGE_SUFFIXES and not name.startswith(".")


def _names_below(folder: str, prefix: str, ancestors: frozenset[tuple[int, int]]) -> Iterator[str]:
    """`ancestors` are the folders above, by device and inode: a link back to one of them would never end."""
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in ancestors:
            return
        with os.scandir(folder) as entries:
            names = [name for entry in entries if (name := _listed_name(entry))]
    except OSError as error:
        raise DatasetError(f"the folder {folder} cannot be read: {error.strerror}") from None
    # With its slash, a folder stands among its siblings where the paths in it stand among theirs.
    names.sort(reverse=True)
    while names:
        name = names.pop()
        if name.endswith("/"):
            yield from _names_below(folder + "/" + name[:-1], prefix + name, ancestors | {here})
        else:
            yield prefix + name


def _listed_name(entry: os.DirEntry) -> str | None:
    """The name of a photograph, of a folder with a slash behind it, or None."""
    if entry.name.startswith("."):
        return None
    # A link to itself is no folder, and os.path says so where entry.is_dir() raises.
    if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path)):
        return entry.name + "/"
    # A link to nothing is listed, and fails by itself; a pipe is not, for opening it would wait for ever.
    return entry.name if has_image_suffix(entry.name) and (entry.is_symlink() or entry.is_file()) else None
