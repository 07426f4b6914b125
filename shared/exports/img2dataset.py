"""The folder that img2dataset writes in its format "files": images/00000/000000000.jpg, .json, .txt, and a Parquet file a shard.

The names and columns are those of its version 1.47, so that what reads such a folder reads ours.
"""

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import orjson

from shared.exports.parquet_file import ParquetFile
from shared.exports.writers import CsvLines, whole_file

SHARD_SIZE = 10_000  # rows of the input in one folder
# What a transfer adds to the columns of the input.
COLUMNS = {
    "key": "string", "status": "string", "error_message": "string", "width": "int32", "height": "int32",
    "original_width": "int32", "original_height": "int32", "exif": "string", "sha256": "string",
}  # fmt: skip


def shard_of(number: int) -> str:
    """The folder of row `number` of the input, from 0."""
    return f"{number // SHARD_SIZE:05d}"


def key_of_row(number: int) -> str:
    """Nine digits: five of the shard and four of the place in it."""
    return f"{number:09d}"


def place_of_row(number: int, suffix: str) -> str:
    """The path of one of the files of a row, relative to the step's folder."""
    return f"images/{shard_of(number)}/{key_of_row(number)}{suffix}"


def sidecar(row: Mapping[str, Any]) -> bytes:
    return orjson.dumps(row, option=orjson.OPT_INDENT_2)


def write_download_tables(folder: Path, carried: list[str], rows: Iterable[dict]) -> None:
    """From the rows of all items, in the input's order: images/<shard>.parquet, full_metadata.parquet, urls.parquet,
    metadata.csv (what a trainer reads: video, prompt) and unavailable.csv. Memory does not grow with their number.

    A row has `number`, the `carried` columns, those of COLUMNS, `image_path` and `http_status`.
    """
    schema = schema_of([*carried, *COLUMNS])
    with ExitStack() as stack:
        full = stack.enter_context(ParquetFile(folder / "full_metadata.parquet", schema))
        urls = stack.enter_context(ParquetFile(folder / "urls.parquet", schema_of(url_columns(carried))))
        training = csv_of(stack.enter_context(whole_file(folder / "metadata.csv")), ["video", "prompt"])
        missing = csv_of(
            stack.enter_context(whole_file(folder / "unavailable.csv")), ["key", "url", "http_status", "reason"]
        )
        for shard, some in groupby(rows, lambda row: shard_of(row["number"])):
            with ParquetFile(folder / "images" / f"{shard}.parquet", schema) as table:
                for row in some:
                    for one in (table, full, urls):
                        one.add(row)
                    if row["status"] == "success":
                        training.writerow([os.path.relpath(row["image_path"], folder), row.get("caption")])
                    else:
                        missing.writerow([row["key"], row["url"], row["http_status"] or "", row["error_message"]])


def url_columns(carried: list[str]) -> list[str]:
    """Those of the input, the address and the caption first, as the list of addresses was given to img2dataset."""
    first = [name for name in ("url", "caption") if name in carried]
    return first + [name for name in carried if name not in first]


def csv_of(file: IO[str], header: list[str]) -> CsvLines:
    lines = CsvLines(file)
    lines.writerow(header)
    return lines


def schema_of(columns: list[str]) -> Any:
    import pyarrow as pa

    kinds = {"int32": pa.int32(), "string": pa.string()}
    return pa.schema([(name, kinds[COLUMNS.get(name, "string")]) for name in columns])
