"""Items from an image folder as the datasets library has it: images, and a metadata file that names them."""

import csv
import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from shared.errors import DatasetError
from shared.far.far_path import AnyPath, names_in
from shared.far.reading import on_disk
from shared.readers.columnar import read_columnar
from shared.readers.json_rows import read_json_lines
from shared.readers.row import RowReader
from shared.readers.separated import read_separated
from shared.readers.split_names import READ_NAMES

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")


def image_folder_metadata(folder: AnyPath, names: Collection[str]) -> list[tuple[str | None, AnyPath]]:
    """The metadata files of an image folder by split, None for one at the top; none where the folder is no such.

    `names` are all that `folder` holds. A metadata file is one that has the column file_name, or one that ends in
    _file_name; split folders are called train, validation (valid, val) and test.
    """
    top = _metadata_in(folder, names)
    if top is not None:
        return [(None, top)]
    tables: list[tuple[str | None, AnyPath]] = []
    for name, split in READ_NAMES.items():
        if name in names and (folder / name).is_dir():
            path = _metadata_in(folder / name, names_in(folder / name))
            if path is not None:
                tables.append((split, path))
    return tables


def read_image_folder(folder: AnyPath, metadata: list[tuple[str | None, AnyPath]], reader: RowReader) -> Iterator[dict]:
    """The rows of the metadata, one file after another. A row without a key has the path of its first image for one.

    The column of a field `input_image_file_name` is called input_image, that of file_name image.
    """
    for split, path in metadata:
        rows = ImageFolderReader(path, str(folder), reader.image_key, reader.key_column, reader.more_images)
        read = {".jsonl": read_json_lines, ".parquet": read_columnar}.get(path.suffix)
        for item in read(path, rows) if read else read_separated(path, ",", rows):
            yield {**item, "split": split} if split else item


@dataclass(frozen=True)
class ImageFolderReader(RowReader):
    """Rows whose file names are relative to the folder of their metadata; `folder` is that of the whole dataset."""

    @cached_property
    def _below(self) -> str:
        return os.path.relpath(str(self.table.parent), self.folder)

    def for_columns(self, columns: Collection[str]) -> "RowReader":
        return super().for_columns([_column(name) for name in columns])

    def item(self, row: Mapping[str, Any], number: int, stored: Collection[str] = (), row_in_file: int = 0) -> dict:
        fields = {
            _column(name): _path(value, self._below) if _column(name) != name else value for name, value in row.items()
        }
        first = fields.get(self.image_columns[0]) if self.image_columns else None
        if self.key_column == "key" and isinstance(first, str) and first and "://" not in first:
            fields.setdefault("key", os.path.normpath(first))
        return super().item(fields, number, stored, row_in_file)


def _path(written: Any, below: str) -> Any:
    """A file name, relative to the whole dataset; what cannot be one stays, and is refused where rows are read."""
    if not isinstance(written, str) or not written or os.path.isabs(written) or "://" in written or below == ".":
        return written
    return f"{below}/{written}"


def _column(name: str) -> str:
    if name == "file_name":
        return "image"
    return name.removesuffix("_file_name")


def _metadata_in(folder: AnyPath, names: Collection[str]) -> AnyPath | None:
    there = [folder / name for name in METADATA_NAMES if name in names and _names_files(folder / name)]
    if len(there) > 1:
        raise DatasetError(f"{folder} has {there[0].name} and {there[1].name}; keep the one that holds")
    return there[0] if there else None


def _names_files(path: AnyPath) -> bool:
    return any(_column(name) != name for name in _columns_of(path))


def _columns_of(path: AnyPath) -> list[str]:
    """The columns of a table; none where there are none to be seen, for other programs write such files too."""
    try:
        if path.suffix == ".parquet":
            from pyarrow import parquet

            return parquet.read_schema(on_disk(path)).names
        with open(on_disk(path), encoding="utf-8-sig", newline="") as file:
            if path.suffix == ".csv":
                return next(csv.reader(file), [])
            row = orjson.loads(next((line for line in file if line.strip()), "{}"))
            return list(row) if isinstance(row, dict) else []
    except (OSError, ValueError, csv.Error):
        return []
