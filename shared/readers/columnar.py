"""Rows from Parquet files, Arrow files, and the folders that the datasets library saves."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.containers import open_arrow, open_parquet
from shared.errors import DatasetError
from shared.readers.row import RowReader

_ROWS = 1024  # rows that become Python objects at once


def read_parquet(path: Path, reader: RowReader) -> Iterator[dict]:
    """Items of a Parquet file; the photographs in it are not read."""

    try:
        file = open_parquet(path)
        columns = [name for field in file.schema_arrow for name in _columns_to_read(field)]
        batches = file.iter_batches(_ROWS, columns=columns, use_threads=False)
        yield from _items(file.schema_arrow, batches, reader)
    except DatasetError:
        raise
    except Exception as error:  # of damaged bytes pyarrow may raise anything
        raise DatasetError(f"{path.name} cannot be read as Parquet: {_first_line(error)}") from None


def read_arrow(path: Path, reader: RowReader) -> Iterator[dict]:
    """Items of a memory-mapped Arrow file, IPC stream or file format; the photographs in it are not read."""

    try:
        schema, batches = open_arrow(path)
        parts = (batch.slice(start, _ROWS) for batch in batches for start in range(0, batch.num_rows, _ROWS))
        yield from _items(schema, parts, reader)
    except DatasetError:
        raise
    except Exception as error:
        raise DatasetError(f"{path.name} cannot be read as Arrow: {_first_line(error)}") from None


def saved_splits(folder: Path) -> list[tuple[str | None, list[Path]]]:
    """The Arrow files of a folder that save_to_disk of a Dataset or a DatasetDict wrote, by split.

    The split is None for a single Dataset.
    """
    try:
        if (folder / "dataset_dict.json").exists():
            splits = json.loads((folder / "dataset_dict.json").read_bytes())["splits"]
            return [(split, saved_splits(folder / split)[0][1]) for split in splits]
        state = json.loads((folder / "state.json").read_bytes())
        return [(None, [folder / file["filename"] for file in state["_data_files"]])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"the datasets folder {folder} is not whole: {_first_line(error)}") from None


def _items(schema: Any, batches: Iterator[Any], reader: RowReader) -> Iterator[dict]:
    reader = reader.for_columns(schema.names)
    stored = {field.name for field in schema if field.name in reader.image_columns and _is_image(field.type)}
    number = 0
    for batch in batches:
        if _are_plain(schema, stored, reader):
            yield from _plain_items(batch, reader, number)
            number += batch.num_rows
            continue
        for row in _rows_without_bytes(batch):
            number += 1
            yield reader.item(row, number, stored, number - 1)


def _are_plain(schema: Any, stored: set[str], reader: RowReader) -> bool:
    """Whether the rows are items as they stand: with a photograph inside, a key, and nothing that JSON says otherwise."""
    import pyarrow as pa

    carried = [field for field in schema if not _is_binary(field.type)]
    are_plain = all(
        pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_integer(field.type)
        or pa.types.is_boolean(field.type) or pa.types.is_null(field.type)
        for field in carried
    )  # fmt: skip
    names = {field.name for field in carried}
    has_own_words = "unreadable" in names or any(name.endswith("_path") for name in names)
    is_one = stored == set(reader.image_columns) and len(stored) == 1
    return are_plain and is_one and not stored & names and reader.key_column in names and not has_own_words


def _plain_items(batch: Any, reader: RowReader, start: int) -> Iterator[dict]:
    """The items of a batch whose rows are plain, many times quicker than one by one: what RowReader.item() gives for each."""
    [column], table, key_column = reader.image_columns, str(reader.table), reader.key_column
    for number, row in enumerate(_rows_without_bytes(batch), start):
        key = row[key_column]
        if key is None or key == "":
            yield reader.item(row, number + 1, (column,), number)
            continue
        member = {"row": number, "column": column}
        item = {"key": "", **row, "image_path": table, "image_member": member}
        item["key"] = str(key)
        yield item


def _is_image(kind: Any) -> bool:
    """Bytes, or the struct {"bytes", "path"} of the datasets library."""
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and _is_binary(field.type) for field in kind)
    return _is_binary(kind)


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _is_binary(kind.value_type)
    is_view = pa.types.is_binary_view(kind)
    return is_view or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _columns_to_read(field: Any) -> list[str]:
    """Names for the Parquet reader that leave out a column of bytes, and the bytes of a struct."""
    import pyarrow as pa

    if not pa.types.is_struct(field.type):
        return [] if _is_binary(field.type) else [field.name]
    if not any(_is_binary(inner.type) for inner in field.type):
        return [field.name]
    return [f"{field.name}.{inner.name}" for inner in field.type if not _is_binary(inner.type)]


def _rows_without_bytes(batch: Any) -> list[dict]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if _is_binary(field.type):
            continue
        if pa.types.is_struct(field.type):
            kept = [place for place, inner in enumerate(field.type) if not _is_binary(inner.type)]
            names = [field.type[place].name for place in kept]
            values = column.flatten()
            column = pa.StructArray.from_arrays([values[place] for place in kept], names, mask=column.is_null())
        elif pa.types.is_timestamp(field.type) and field.type.unit == "ns":
            # Python's datetime has no nanoseconds, and to_pylist() refuses what it cannot say.
            column = column.cast(pa.timestamp("us", field.type.tz), safe=False)
        columns[field.name] = column.to_pylist()
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
