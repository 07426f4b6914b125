"""Items from what img2dataset writes in its format "files": 00000/000000000.jpg with a .json beside it."""

import os
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from shared.containers import open_parquet
from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.files.equal_keys import DerivedKey
from shared.readers.folder import FolderWalk, escaped
from shared.readers.json_rows import parsed
from shared.readers.plain import carried_fields

_SHARD = re.compile(r"(\d+)(\.parquet|_stats\.json)")


def is_img2dataset(folder: AnyPath, names: Collection[str]) -> bool:
    """Whether a numbered folder stands beside its metadata; `names` are all that `folder` holds."""
    shards = (match[1] for name in names if (match := _SHARD.fullmatch(name)))
    return any(shard in names and (folder / shard).is_dir() for shard in shards)


def images_of_download(folder: Path) -> Path | None:
    """Where the shards lie in the folder of a download, which has them in images/ beside urls.parquet; None of another."""
    images = folder / "images"
    if not images.is_dir() or not any((folder / name).is_file() for name in ("urls.parquet", "full_metadata.parquet")):
        return None
    return images if is_img2dataset(images, os.listdir(images)) else None


class ShardTable:
    """What images/<shard>.parquet says of photographs without a .json; one shard is held at a time."""

    def __init__(self) -> None:
        self.shard = Path()
        self.rows: dict[str, dict] = {}

    def row(self, stem: str) -> dict:
        """Of the photograph at `stem`; nothing where the shard has no row of it, or is damaged."""
        shard = Path(stem).parent
        if shard != self.shard:
            self.shard, self.rows = shard, rows_of_shard(shard.with_suffix(".parquet"))
        return self.rows.get(os.path.basename(stem), {})


def rows_of_shard(path: Path) -> dict[str, dict]:
    try:
        return {str(row.get("key")): row for batch in open_parquet(path).iter_batches() for row in batch.to_pylist()}
    except Exception:  # of a damaged file pyarrow may raise anything; its photographs are there all the same
        return {}


def parsed_shards(text: str) -> frozenset[int]:
    """The numbers in `0-9` or `3,5,10-12`. Raises DatasetError."""
    if not re.fullmatch(r"\s*\d+(\s*-\s*\d+)?(\s*,\s*\d+(\s*-\s*\d+)?)*\s*", text):
        raise DatasetError(f"shards is {text!r}; it should be numbers of folders, as 0-9 or 3,5")
    ends = [(int(first), int(last or first)) for first, last in re.findall(r"(\d+)(?:\s*-\s*(\d+))?", text)]
    return frozenset(number for first, last in ends for number in range(first, last + 1))


def photographs_of(folder: Path, shards: frozenset[int] | None) -> Iterator[str]:
    """Their relative paths, sorted; of these shards only. Raises DatasetError where there are none of them."""
    if shards is None:
        yield from FolderWalk(folder).names()
        return
    wanted = sorted(name for name in os.listdir(folder) if name.isdigit() and int(name) in shards)
    if not wanted:
        raise DatasetError(f"none of the folders that shards names is in {folder}")
    for name in wanted:
        yield from (f"{name}/{relative}" for relative in FolderWalk(folder / name).names())


def read_img2dataset(folder: Path, shards: frozenset[int] | None = None) -> Iterator[dict]:
    """The photographs that were downloaded, by shard and name, with key and fields from the .json of each, else the shard's row.

    A row whose download failed has left no photograph and is no item.
    """
    tables = ShardTable()
    for relative in photographs_of(folder, shards):
        stem = os.path.splitext(f"{folder}/{relative}")[0]
        item: dict = {"key": ""}
        try:
            sidecar = _content(stem + ".json")
            fields = parsed(sidecar, f"{os.path.basename(stem)}.json") if sidecar else tables.row(stem)
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
