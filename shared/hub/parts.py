"""A step's rows as Parquet files for the Hub: each row in one of them, and none is ever written twice."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shared.containers import open_parquet
from shared.exports.column_types import ColumnType
from shared.exports.formats import TableRows
from shared.exports.parquet_file import ParquetFile
from shared.files.states import OPEN, RECORDED, item_states
from shared.files.table import Table
from shared.files.table_index import is_among
from shared.images import file_name_of, read_bytes
from shared.run.collect import RecordReader
from shared.run.run import Step
from shared.seeding import name_hash

IMAGE_COLUMN = "image"  # the column of the photographs, as the datasets library has them


class Parts:
    """The parts in `folder`; `fields` are `column: field`, `types` those of the columns that are no text."""

    def __init__(
        self,
        folder: Path,
        fields: Mapping[str, str],
        types: Mapping[str, ColumnType],
        size: int,
        with_images: bool = False,
    ):
        self.folder, self.fields, self.types, self.size = folder, dict(fields), dict(types), size
        self.with_images = with_images
        self._keys: dict[Path, np.ndarray] = {}  # of each part, which never changes

    def paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.parquet"))

    def hashes(self) -> np.ndarray:
        """(rows) uint64, sorted: name_hash of the keys in all parts."""
        paths = self.paths()
        self._keys |= {path: key_hashes(path) for path in paths if path not in self._keys}
        return np.sort(np.concatenate([np.zeros(0, np.uint64), *(self._keys[path] for path in paths)]))

    def count(self) -> int:
        return len(self.hashes())

    def add(self, rows: Iterable[dict], is_last: bool) -> list[Path]:
        """Write the rows that are in no part yet, `size` of them together; what is over waits, unless these are the last."""
        known, added, waiting = self.hashes(), [], []
        for row in rows:
            if is_among(name_hash(row["key"]), known):
                continue
            waiting.append(row)
            if len(waiting) == self.size:
                added.append(self._write(waiting))
                waiting = []
        if waiting and is_last:
            added.append(self._write(waiting))
        return added

    def write_all(self, path: Path, rows: Iterable[dict]) -> int:
        """All rows in one file, whole or not at all, without the photographs; returns their number."""
        count = 0
        with ParquetFile(path, self.schema(False)) as table:
            for row in TableRows(self.fields, self.types, rows, path.parent, None):
                table.add(row)
                count += 1
        return count

    def schema(self, with_images: bool) -> Any:
        import pyarrow as pa

        known = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
        columns = [(column, known[self.types.get(column, "str")]) for column in self.fields]
        if with_images:
            columns.append((IMAGE_COLUMN, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
        return pa.schema(columns)

    def _write(self, rows: list[dict]) -> Path:
        path = self.folder / part_name(rows[0]["key"], rows[-1]["key"])
        with ParquetFile(path, self.schema(self.with_images)) as table:
            for row, source in zip(TableRows(self.fields, self.types, rows, path.parent, None), rows, strict=True):
                if self.with_images:
                    row[IMAGE_COLUMN] = {"bytes": read_bytes(source), "path": file_name_of(source["image_path"])}
                table.add(row)
        return path


def part_name(first: str, last: str) -> str:
    """Of the range of its keys. A key is in one part only, so two parts never have one name."""
    digest = hashlib.sha256(f"{first}\n{last}".encode()).hexdigest()[:8]
    ends = (re.sub(r"[^\w.-]", "_", key, flags=re.ASCII)[:60] for key in (first, last))
    return f"{'--'.join(ends)}-{digest}.parquet"


def key_hashes(path: Path) -> np.ndarray:
    """(rows) uint64: name_hash of the keys of a part."""
    keys = (key for batch in open_parquet(path).iter_batches(columns=["key"]) for key in batch.column(0).to_pylist())
    return np.fromiter(map(name_hash, keys), np.uint64)


def rows_so_far(step: Step, known: np.ndarray) -> Iterator[dict]:
    """The rows of a step whose workers are still at it, in the input's order, without those of the `known` hashes.

    Of the latter no record is read.
    """
    table = Table(step.table_path)
    states = item_states(table, step.records)
    states[np.isin(table.hashes, known)] = OPEN
    if (states == RECORDED).any():
        yield from RecordReader(step, table, step.records, states).rows()
