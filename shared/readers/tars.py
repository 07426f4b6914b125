"""Items from WebDataset tars: photographs and what is said of them, side by side under one name."""

import os
import tarfile
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.far.reading import on_disk
from shared.files.equal_keys import DerivedKey
from shared.readers.folder import escaped, has_image_suffix
from shared.readers.image_columns import image_prefix
from shared.readers.json_rows import parsed
from shared.readers.plain import carried_fields
from shared.readers.row import Fault, RowReader

_TEXTS = ("txt", "caption")
_MOST_NAMED = 4  # in a sentence
_MOST_COUNTED = 1000


def read_tar(path: AnyPath, reader: RowReader) -> Iterator[dict]:
    """Items of an uncompressed tar: neighbours with one name up to its first dot, folders included.

    That name is the key. The fields of .json members are merged and a .txt or .caption member becomes "caption". The
    photograph is the member whose rest of the name is the reader's image_key, with or without its image suffix; where none
    is, the only image, or the only one whose rest is a suffix alone (.jpg beside .depth.jpg); what it passes over is said.
    A group of several images that this does not settle is "unreadable", and one of none is no item, unless there is no
    image_key. With `more_images` each of them names a member likewise; a group that lacks one is "unreadable".
    Raises DatasetError for a tar that is not whole.
    """
    groups = _Groups(path, reader)
    with open(on_disk(path), "rb") as file:
        for key, group in groupby(_members(file, path, groups.no_members), key=lambda member: member[0]):
            item = groups.item(file, key, [(extension, member) for _, extension, member in group])
            if item is not None:
                yield item
    groups.say()


def _members(file: Any, path: AnyPath, others: Counter[str]) -> Iterator[tuple[str, str, tarfile.TarInfo]]:
    """Each member's key, the rest of its name, and the member; what can be none of an item is counted in `others`."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps all
                name = member.name.removeprefix("./")
                folder, _, base = name.rpartition("/")
                stem, dot, extension = base.partition(".")
                if stem and dot and member.isreg() and not member.issparse():
                    yield (f"{folder}/{stem}" if folder else stem), extension, member
                elif not member.isdir() and stem:
                    others["of a name without a suffix" if member.isreg() else "that are links or devices"] += 1
            end = tar.offset
    except tarfile.TarError as error:
        raise DatasetError(f"{path} is not a whole, uncompressed tar: {error}") from None
    # tarfile takes a torn member for the end. A whole tar ends in zeros, and in nothing else.
    file.seek(end)
    is_blank = not any(block.strip(b"\0") for block in iter(lambda: file.read(1 << 20), b""))
    if not is_blank or file.tell() < end + tarfile.BLOCKSIZE:
        raise DatasetError(f"{path} is cut off or damaged at byte {end}")


class _Groups:
    """Makes an item of each group of members, and counts what it passes over."""

    def __init__(self, path: AnyPath, reader: RowReader):
        self.path, self.reader = path, reader
        self.without_image: Counter[str] = Counter()  # the rest of a member's name -> groups
        self.example = ""
        self.no_members: Counter[str] = Counter()
        self.left_out: Counter[tuple[str, str]] = Counter()  # (taken, passed over) -> groups

    def item(self, file: Any, key: str, group: list[tuple[str, tarfile.TarInfo]]) -> dict | None:
        members = dict(group)
        images = [extension for extension in members if has_image_suffix("x." + extension)]
        item = self._said(file, members)
        if self.reader.image_key is not None:
            if not images:
                for extension in members:
                    add_to(self.without_image, extension)
                self.example = self.example or escaped(key)
                return None
            item |= self._photograph(key, members, images, len(group) > len(members))
        item["key"] = DerivedKey(escaped(key))
        return item

    def say(self) -> None:
        """What was passed over."""
        if self.without_image:
            kinds = ", ".join(f"{count} .{kind}" for kind, count in self.without_image.most_common(_MOST_NAMED))
            self.reader.say(
                f"{self.path.name}: passed over what has no photograph beside it under its name: {kinds}; "
                f'as "{self.example}" (tar --sort=name puts them side by side)'
            )
        for kind, count in self.no_members.items():
            self.reader.say(f"{self.path.name}: passed over {count} members {kind}")
        for (taken, left), count in self.left_out.most_common(_MOST_NAMED):
            self.reader.say(
                f"{self.path.name}: {count} items have several images; .{taken} was taken and {left} passed over "
                "(image_key names another)"
            )

    def _said(self, file: Any, members: dict[str, tarfile.TarInfo]) -> dict:
        item: dict = {}
        texts: dict = {}
        try:
            for extension, member in members.items():
                kind = extension.rpartition(".")[2].lower()
                if kind == "json":
                    fields = parsed(_content(file, member), f"the member {member.name} of {self.path.name}")
                    item |= carried_fields(fields, str(self.path.parent)) if isinstance(fields, dict) else {}
                elif kind in _TEXTS:
                    texts.setdefault("caption", _content(file, member).decode().strip())
        except (DatasetError, UnicodeDecodeError) as error:
            item["unreadable"] = str(error)
        return {"key": "", **texts, **item}

    def _photograph(self, key: str, members: dict, images: list[str], has_doubles: bool) -> dict:
        """Where the item's images are, or why that cannot be said."""
        columns = self.reader.image_columns
        named = [_named(column, images) for column in columns]
        where = f"{escaped(key)} in {self.path.name}"
        if has_doubles:
            return {"unreadable": Fault(f"{where} has two members of one name; each photograph needs its own")}
        if len(columns) > 1 and None in named:
            missing = columns[named.index(None)]
            return {"unreadable": f'{where} has no image "{missing}", but {", ".join(images)}'}
        if named == [None]:
            name = _only(images) or _only([name for name in images if "." not in name])
            if name is None:
                return {"unreadable": Fault(self._undecided(where, images))}
            if len(images) > 1:
                add_to(self.left_out, (name, ", ".join(f".{other}" for other in images if other != name)))
            named = [name]
        found: dict = {}
        for place, (column, name) in enumerate(zip(columns, named, strict=True)):
            prefix = image_prefix(place, column)
            found[f"{prefix}_path"] = str(self.path)
            found[f"{prefix}_member"] = {"offset": members[name].offset_data, "size": members[name].size}
        return found

    def _undecided(self, where: str, images: list[str]) -> str:
        shown = ", ".join(f".{name}" for name in images[:_MOST_NAMED]) + (", ..." if len(images) > _MOST_NAMED else "")
        return (
            f"{where} has {len(images)} images: {shown}. Name one of them with image_key ({images[0]}); or, where each is a "
            "photograph of its own, rename them: a name ends at its first dot"
        )


def add_to(counter: Counter, name: Any) -> None:
    """Up to a number of names; a tar whose names never repeat would fill the memory."""
    if name in counter or len(counter) < _MOST_COUNTED:
        counter[name] += 1


def _named(column: str, images: list[str]) -> str | None:
    return next((name for name in images if column in (name, name.rpartition(".")[0])), None)


def _only(images: list[str]) -> str | None:
    return images[0] if len(images) == 1 else None


def _content(file: Any, member: tarfile.TarInfo) -> bytes:
    return os.pread(file.fileno(), member.size, member.offset_data)
