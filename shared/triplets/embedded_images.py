"""Parquet files with images inside, as the datasets library writes and loads them."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

GROUP_BYTES = 16 << 20  # images that are written, and later read, at once
FILE_BYTES = 500 << 20  # as the datasets library cuts them
IMAGE = "image"
TEXT_TYPE = "text"


class EmbeddedImages:
    """Writes the rows of one split to <folder>/<split>-00000-of-0000N.parquet; N is known when it is closed.

    `columns` gives each column's kind, IMAGE or TEXT. The value of an image is {"bytes", "path"}.
    """

    def __init__(self, folder: Path, split: str, columns: Mapping[str, str]) -> None:
        import pyarrow as arrow

        self.folder, self.split = folder, split
        image = arrow.struct({"bytes": arrow.binary(), "path": arrow.string()})
        types = {name: image if kind == IMAGE else arrow.string() for name, kind in columns.items()}
        # What makes the library decode the column.
        features: dict[str, Any] = {
            name: {"_type": "Image"} if kind == IMAGE else {"dtype": "string", "_type": "Value"}
            for name, kind in columns.items()
        }
        metadata = {"huggingface": json.dumps({"info": {"features": features}})}
        self._schema = arrow.schema(list(types.items()), metadata=metadata)
        self._images = [name for name, kind in columns.items() if kind == IMAGE]
        self._rows: list[dict] = []
        self._row_bytes = self._file_bytes = self._files = 0
        self._writer: Any = None

    def add(self, row: dict) -> None:
        self._rows.append(row)
        self._row_bytes += sum(len(row[name]["bytes"]) for name in self._images)
        if self._row_bytes >= GROUP_BYTES:
            self._write_group()
            if self._file_bytes >= FILE_BYTES:
                self._close_file()

    def close(self) -> None:
        self._write_group()
        self._close_file()
        for number in range(self._files):
            os.rename(self._path(number), self.folder / f"{self.split}-{number:05d}-of-{self._files:05d}.parquet")

    def _write_group(self) -> None:
        import pyarrow as arrow
        from pyarrow import parquet

        if not self._rows:
            return
        if self._writer is None:
            # Images are compressed already, and their smallest and largest bytes tell nothing.
            self._writer = parquet.ParquetWriter(
                self._path(self._files), self._schema, compression="none", use_dictionary=False, write_statistics=False
            )
        self._writer.write_table(arrow.Table.from_pylist(self._rows, self._schema))
        self._file_bytes += self._row_bytes
        self._rows, self._row_bytes = [], 0

    def _close_file(self) -> None:
        if self._writer is None:
            return
        self._writer.close()
        with open(self._path(self._files), "rb") as file:
            os.fsync(file.fileno())
        self._writer, self._file_bytes = None, 0
        self._files += 1

    def _path(self, number: int) -> Path:
        return self.folder / f"{self.split}-{number:05d}.parquet"
