"""Items from WebDataset tars: photographs and what is said of them, side by side under one name."""

import os
import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from shared.errors import DatasetError
from shared.readers.folder import escaped, has_image_suffix
from shared.readers.image_columns import image_prefix
from shared.readers.json_rows import parsed
from shared.readers.plain import carried_fields

_TEXTS = ("txt", "caption")


def read_tar(path: Path, image_key: str | None, more_images: tuple[str, ...] = ()) -> Iterator[dict]:
    """Items of an uncompressed tar: neighbours with one name up to its first dot, folders included.

    That name is the key. The photograph is the member whose rest of the name is `image_key`, else the first
    with an image suffix; the fields of .json members are merged and a .txt or .caption member becomes
    "caption". A group without a photograph is no item, unless `image_key` is None. With `more_images`, each of them and
    `image_key` is the rest of a member's name, with or without its image suffix; a group that lacks one is "unreadable".
    Raises DatasetError for a tar that is not whole.
    """
    with open(path, "rb") as file:
        for key, group in groupby(_members(file, path), key=lambda member: member[0]):
            members = {extension: member for _, extension, member in group}
            item = _item(path, file, key, members, image_key, more_images)
            if item is not None:
                yield item


def _members(file: Any, path: Path) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all
                name = member.name.removeprefix("./")
                folder, _, base = name.rpartition("/")
                stem, dot, extension = base.partition(".")
                if stem and dot and member.isreg() and not member.issparse():
                    yield (f"{folder}/{stem}" if folder else stem), extension, member
            end = tar.offset
    except tarfile.TarError as error:
        raise DatasetError(f"{path} is not a whole, uncompressed tar: {error}") from None
    # tarfile takes a torn member for the end. A whole tar ends in zeros, and in nothing else.
    file.seek(end)
    is_blank = not any(block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b""))
    if not is_blank or file.tell() < end + tarfile.BLOCKSIZE:
        raise DatasetError(f"{path} is cut off or damaged at byte {end}")


def _item(
    path: Path,
    file: Any,
    key: str,
    members: dict[str, tarfile.TarInfo],
    image_key: str | None,
    more_images: tuple[str, ...],
) -> dict | None:
    images = [extension for extension in members if has_image_suffix("x." + extension)]
    item: dict = {}
    texts: dict = {}
    try:
        for extension, member in members.items():
            kind = extension.rpartition(".")[2].lower()
            if kind == "json":
                fields = parsed(_content(file, member), f"the member {member.name} of {path.name}")
                item |= carried_fields(fields, str(path.parent)) if isinstance(fields, dict) else {}
            elif kind in _TEXTS:
                texts.setdefault("caption", _content(file, member).decode().strip())
    except (DatasetError, UnicodeDecodeError) as error:
        item["unreadable"] = str(error)
    item = {"key": "", **texts, **item}
    if image_key is not None:
        if not images:
            return None
        if not more_images and image_key not in images:
            image_key = images[0]
        item |= _images(path, key, members, images, (image_key, *more_images))
    item["key"] = escaped(key)
    return item


def _images(path: Path, key: str, members: dict, images: list[str], columns: tuple[str, ...]) -> dict:
    found: dict = {}
    for place, column in enumerate(columns):
        name = next((name for name in images if column in (name, name.rpartition(".")[0])), None)
        if name is None:
            return {"unreadable": f'{escaped(key)} in {path.name} has no image "{column}", but {", ".join(images)}'}
        prefix = image_prefix(place, column)
        found[f"{prefix}_path"] = str(path)
        found[f"{prefix}_member"] = {"offset": members[name].offset_data, "size": members[name].size}
    return found


def _content(file: Any, member: tarfile.TarInfo) -> bytes:
    return os.pread(file.fileno(), member.size, member.offset_data)
