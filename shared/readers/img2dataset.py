"""Items from what img2dataset writes in its format "files": 00000/000000000.jpg with a .json beside it."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from shared.errors import DatasetError
from shared.files.equal_keys import DerivedKey
from shared.readers.folder import FolderWalk, escaped
from shared.readers.json_rows import parsed
from shared.readers.plain import carried_fields

_SHARD = re.compile(r"(\d+)(\.parquet|_stats\.json)")


def is_img2dataset(folder: Path, names: Collection[str]) -> bool:
    """Whether a numbered folder stands beside its metadata; `names` are all that `folder` holds."""
    shards = (match[1] for name in names if (match := _SHARD.fullmatch(name)))
    return any(shard in names and (folder / shard).is_dir() for shard in shards)


def read_img2dataset(folder: Path) -> Iterator[dict]:
    """The photographs that were downloaded, by shard and name, with key and fields from the .json of each.

    A row whose download failed has left no photograph and is no item.
    """
    for relative in FolderWalk(folder).names():
        stem = os.path.splitext(f"{folder}/{relative}")[0]
        item: dict = {"key": ""}
        try:
            fields = parsed(_content(stem + ".json") or b"{}", f"{os.path.basename(stem)}.json")
            caption = _content(stem + ".txt")
            if caption is not None:
                item["caption"] = caption.decode().strip()
            item |= carried_fields(fields, os.path.dirname(stem))
        except (DatasetError, UnicodeDecodeError) as error:
            item["unreadable"] = str(error)
        item["image_path"] = f"{folder}/{relative}"
        given = item["key"]
        item["key"] = escaped(str(given)) if given else DerivedKey(escaped(os.path.basename(stem)))
        yield item


def _content(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
