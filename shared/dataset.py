"""Where items come from: any input the readers know, and slices of it."""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from shared.decoding.formats import SUFFIXES
from shared.errors import DatasetError
from shared.far.addresses import is_far, objection_to
from shared.far.far_path import AnyPath, FarPath, names_in
from shared.far.reading import fetched_ahead
from shared.files.lookup import find_path, places_of
from shared.files.table import EncodedRows
from shared.readers.columnar import read_columnar
from shared.readers.container_files import CONTAINERS, splits_in
from shared.readers.encoded import encoded_file
from shared.readers.far_folder import FarWalk
from shared.readers.folder import folder_digest, photographs_in, read_folder
from shared.readers.hub import hub_dataset, is_dataset_name
from shared.readers.image_columns import image_columns
from shared.readers.imagefolder import image_folder_metadata, read_image_folder
from shared.readers.img2dataset import images_of_download, is_img2dataset, parsed_shards, read_img2dataset
from shared.readers.json_rows import read_json_lines, read_json_rows
from shared.readers.mixed import MixedReader
from shared.readers.own import read_own
from shared.readers.row import Fault, RowReader
from shared.readers.separated import read_list, read_separated
from shared.readers.split_names import split_of_table
from shared.readers.tars import read_tar

__all__ = ["DatasetError", "IndexedDataset", "Source"]

_READERS: dict[str, Callable[[AnyPath, RowReader], Iterator[dict]]] = {
    ".csv": lambda path, reader: read_separated(path, ",", reader),
    ".tsv": lambda path, reader: read_separated(path, "\t", reader),
    ".json": read_json_rows,
    ".jsonl": read_json_lines,
    ".ndjson": read_json_lines,
    ".txt": read_list,
    ".parquet": read_columnar,
    ".arrow": read_columnar,
    ".tar": read_tar,
}
_COMPRESSED = (".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip")


@dataclass(frozen=True)
class Source:
    """An input as the config names it.

    `meta_path`: a folder or a table; `meta_folder`: what relative paths in the table are relative to (its own
    folder where this is None); `image_key`: the column of the photographs, None where there are none, several where an
    item has several images: the first gives image_path, each other <column>_path;
    `key_column`: the column of the keys, used where the table has it; `config_folder`: where the config lies; `reader`: a
    Python file that reads the input instead of ours, see shared/own_reader.py; `shards`: of a download, the folders that are
    read, as 0-9 or 3,5; `video_key` and `text_key`: where one is given, a row without a photograph may name a video or have a
    text instead.
    The two paths are absolute, or relative to the config's folder or, where nothing is there, to the current one.
    """

    meta_path: str
    meta_folder: str | None = None
    image_key: str | Sequence[str] | None = "image"
    key_column: str | None = "key"
    config_folder: str | os.PathLike = "."
    reader: str | None = None
    shards: str | None = None
    video_key: str | None = None
    text_key: str | None = None

    @property
    def path(self) -> AnyPath:
        """Where the input is, of a download its images; raises DatasetError with the places tried."""
        if self._far_path:
            return self._far_path
        if self._is_on_the_hub:
            return hub_dataset(self.meta_path, " and no ".join(places_of(self.meta_path, self.config_folder)))
        path = self._found(self.meta_path)
        return (None if self.reader or not path.is_dir() else images_of_download(path)) or path

    @cached_property
    def _far_path(self) -> FarPath | None:
        """Of an input far away; listed once."""
        if not is_far(self.meta_path):
            return None
        if self.reader:
            raise DatasetError(f"reader is {self.reader!r}, which reads files on this machine, and no address")
        path = FarPath(self.meta_path)
        suffix = "" if self.meta_path.endswith("/") else path.suffix.lower()
        reason = objection_to(self.meta_path)
        if not reason and suffix in CONTAINERS and self.meta_path != str(path):
            reason = (
                f"{path} has a query, which files would keep, for its photographs are read later; download it first"
            )
        if reason:
            raise DatasetError(reason)
        return FarPath(self.meta_path, is_folder=suffix not in (*_READERS, *_COMPRESSED))

    @property
    def _is_on_the_hub(self) -> bool:
        is_here = find_path(self.meta_path, self.config_folder) is not None
        return not is_here and not self.reader and is_dataset_name(self.meta_path)

    def items(self, say: Callable[[str], None] = lambda _: None) -> Iterator[dict]:
        """The items in the input's order, read as they are taken; `say` gets what was passed over, once all are.

        Those of a table that is named as one of a split, train_images.csv, are of that split unless they say another.
        Raises DatasetError at once for an input that is not there or of no kind we know, and while reading
        for one that is damaged, has no column of that name, or no items. Two items with one key: see
        Table.write.
        """
        path = self.path
        items, split = _at_least_one(self._read(path, say), path), split_of_table(path.name)
        return ({**item, "split": item.get("split") or split} for item in items) if split else items

    def encoded(self, folder: str, run_folder: str) -> Iterator[EncodedRows] | None:
        """The items as lines of a table in `folder`, of Arrow and Parquet files whose rows are plain; None of another input."""
        path = self.path
        if self.reader or self.shards is not None or self._is_mixed:
            return None
        names = names_in(path) if path.is_dir() else []
        if image_folder_metadata(path, names) or is_img2dataset(path, names):
            return None
        splits = splits_in(path) if path.is_dir() else [({}, [path])]
        if (
            len(splits) != 1
            or (splits[0][0] and not self._is_on_the_hub)
            or (split_of_table(path.name) and path.is_file())
        ):
            return None
        files = splits[0][1]
        if not files or any(file.suffix.lower() not in (".arrow", ".parquet") for file in files):
            return None
        made = (
            encoded_file(file, self._reader(file, file.parent, lambda _: None), folder, run_folder) for file in files
        )
        return None if any(blocks is None for blocks in made) else self._encoded(files, folder, run_folder)

    def _encoded(self, files: list[AnyPath], folder: str, run_folder: str) -> Iterator[EncodedRows]:
        for file in files:
            yield from encoded_file(file, self._reader(file, file.parent, lambda _: None), folder, run_folder) or ()

    def digest(self) -> str:
        """Changes when the input changed; reads names, sizes and times, never photographs.

        A folder of photographs is its sorted relative names and nothing else; one far away also what its listing says of each.
        """
        path = self.path
        if isinstance(path, FarPath):
            return path.digest()
        if self.reader:
            return _files_digest([path, self._found(self.reader)], Path("/"))
        if not path.is_dir():
            return _files_digest([path], Path("/"))
        names = os.listdir(path)
        metadata = image_folder_metadata(path, names)
        if metadata:
            return _digest_of_both(path, [file for _, file in metadata])
        if is_img2dataset(path, names):
            return _digest_of_both(path, sorted(path / name for name in names if (path / name).is_file()))
        files = [file for _, files in splits_in(path) for file in files]
        return _files_digest(files, path) if files else folder_digest(path)

    def _read(self, path: AnyPath, say: Callable[[str], None]) -> Iterator[dict]:
        if self.shards is not None and not (path.is_dir() and is_img2dataset(path, names_in(path))):
            raise DatasetError(f"shards is {self.shards!r}, and {path} is no download, which has numbered folders")
        if self.reader:
            folder = path if path.is_dir() else path.parent
            return read_own(path, self._found(self.reader), self._reader(path, folder, say))
        if not path.is_dir():
            return self._read_file(path, say)
        names = names_in(path)
        metadata = image_folder_metadata(path, names)
        if metadata:
            return read_image_folder(path, metadata, self._reader(path, path, say))
        splits = [] if is_img2dataset(path, names) else splits_in(path)
        if len(splits) == 1 and self._is_on_the_hub:
            splits = [({}, files) for _, files in splits]  # all that there is, which the datasets library calls train
        if splits:
            return self._read_splits(splits, say)
        columns = image_columns(self.image_key)
        if len(columns) > 1:
            raise DatasetError(
                f'no column "{columns[1]}" in {path}: it is a folder of photographs, which has one for an item'
            )
        if isinstance(path, FarPath):
            return photographs_in(FarWalk(path), say)
        return read_img2dataset(path, self._shards()) if is_img2dataset(path, names) else read_folder(path, say)

    def _shards(self) -> frozenset[int] | None:
        return None if self.shards is None else parsed_shards(self.shards)

    def _read_splits(self, splits: list[tuple[dict, list[AnyPath]]], say: Callable[[str], None]) -> Iterator[dict]:
        for split, files in splits:
            for file in fetched_ahead(files):
                items = self._read_file(file, say)
                yield from ({**item, **split} for item in items) if split else items

    def _read_file(self, path: AnyPath, say: Callable[[str], None]) -> Iterator[dict]:
        suffix = path.suffix.lower()
        if suffix in _COMPRESSED:
            raise DatasetError(f"{path} is compressed; unpack it first, for photographs are read from inside it")
        if suffix not in _READERS:
            raise DatasetError(f"{path} is of no kind we read: a folder, {', '.join(_READERS)}")
        folder = self._folder_of_paths if self.meta_folder else path.parent
        return _READERS[suffix](path, self._reader(path, folder, say))

    @property
    def _folder_of_paths(self) -> AnyPath:
        name = str(self.meta_folder)
        return FarPath(name, True) if is_far(name) else self._found(name)

    def _reader(self, table: AnyPath, folder: AnyPath, say: Callable[[str], None]) -> RowReader:
        first, *more = image_columns(self.image_key) or (None,)
        others = tuple(name for name in more if name)
        if self._is_mixed:
            return MixedReader(table, str(folder), first, self.key_column, others, say, self.video_key, self.text_key)
        return RowReader(table, str(folder), first, self.key_column, others, say)

    @property
    def _is_mixed(self) -> bool:
        return bool(self.video_key or self.text_key)

    def _found(self, name: str) -> Path:
        place = find_path(name, self.config_folder)
        if place is None:
            raise DatasetError(f"there is no {' and no '.join(places_of(name, self.config_folder))}")
        return Path(place)


def _digest_of_both(folder: Path, metadata: Sequence[AnyPath]) -> str:
    """Of the names of the photographs, and of what is said about them."""
    return hashlib.sha256((folder_digest(folder) + _files_digest(metadata, folder)).encode()).hexdigest()


def _files_digest(files: Sequence[AnyPath], folder: Path) -> str:
    statuses = [(os.path.relpath(str(file), folder), os.stat(str(file))) for file in files]
    lines = [f"{name}\0{status.st_size}\0{status.st_mtime_ns}\n" for name, status in statuses]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()


def _at_least_one(items: Iterator[dict], path: AnyPath) -> Iterator[dict]:
    first_fault = ""
    for item in items:
        yield item
        if not isinstance(item.get("unreadable"), Fault):
            yield from items
            return
        first_fault = first_fault or item["unreadable"]
    if first_fault:
        raise DatasetError(first_fault)
    if path.is_dir():
        suffixes = ", ".join([*SUFFIXES, *CONTAINERS])
        raise DatasetError(f"the folder {path} holds no photographs; looked for {suffixes}")
    raise DatasetError(f"there is nothing in {path}")


class IndexedDataset(Sequence):
    """The items start to stop (not included) of `source`, by their place in this slice; nothing is copied.

    Raises IndexError for a place outside the slice and ValueError for a slice outside the source.
    """

    def __init__(self, source: Sequence, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= len(source):
            raise ValueError(f"no items {start} to {stop} in a dataset of {len(source)}")
        self.source, self.start, self.stop = source, start, stop

    @classmethod
    def shard(cls, source: Sequence, rank: int, world_size: int) -> "IndexedDataset":
        """The slice of worker `rank` of `world_size`: contiguous, in order, sizes differ by at most one item.

        With more workers than items some shards are empty. Raises ValueError unless 0 <= rank < world_size.
        """
        if not 0 <= rank < world_size:
            raise ValueError(f"no rank {rank} among {world_size} workers; ranks count from 0")
        total = len(source)
        return cls(source, rank * total // world_size, (rank + 1) * total // world_size)

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, index: Any) -> Any:
        place = range(self.start, self.stop)[index]
        if isinstance(place, range):
            if place.step != 1:
                raise ValueError("a slice of a dataset is contiguous: its step is 1")
            return IndexedDataset(self.source, place.start, max(place.start, place.stop))
        return self.source[place]
