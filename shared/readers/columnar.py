"""Rows from Parquet files, Arrow files, and the folders that the datasets library saves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from shared.containers import open_arrow, open_parquet
from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.far.reading import on_disk
from shared.readers.row import RowReader

_ROWS = 1024  # rows that become Python objects at once


def read_columnar(path: AnyPath, reader: RowReader) -> Iterator[dict]:
    """Items of a Parquet file, or of a memory-mapped Arrow file (IPC stream or file format); its photographs are not read."""
    with damage_said(path):
        schema, batches = batches_of(path)
        yield from items_of(schema, batches, reader.for_columns(schema.names), 0)


def batches_of(path: AnyPath) -> tuple[Any, Iterator[Any]]:
    """The schema of a file, and its rows in batches that leave out what is large; to be used inside damage_said()."""
    if path.suffix.lower() == ".parquet":
        file = open_parquet(path)
        columns = [name for field in file.schema_arrow for name in _columns_to_read(field)]
        return file.schema_arrow, file.iter_batches(_ROWS, columns=columns, use_threads=False)
    schema, batches = open_arrow(path)
    return schema, (batch.slice(start, _ROWS) for batch in batches for start in range(0, batch.num_rows, _ROWS))


@contextmanager
def damage_said(path: AnyPath) -> Iterator[None]:
    """Whatever is raised while the file is read becomes a DatasetError: of damaged bytes pyarrow may raise anything."""
    try:
        yield
    except DatasetError:
        raise
    except Exception as error:
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
        raise DatasetError(f"{path.name} cannot be read as {kind}: {_first_line(error)}") from None


def saved_splits(folder: AnyPath) -> list[tuple[str | None, list[AnyPath]]]:
    """The Arrow files of a folder that save_to_disk of a Dataset or a DatasetDict wrote, by split.

    The split is None for a single Dataset.
    """
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = json.loads(on_disk(folder / "dataset_dict.json").read_bytes())["splits"]
            return [(split, saved_splits(folder / split)[0][1]) for split in splits]
        state = json.loads(on_disk(folder / "state.json").read_bytes())
        return [(None, [folder / file["filename"] for file in state["_data_files"]])]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"the datasets folder {folder} is not whole: {_first_line(error)}") from None


def items_of(schema: Any, batches: Iterator[Any], reader: RowReader, number: int) -> Iterator[dict]:
    """The items of some batches of a file, of which `number` rows came before; `reader` is for its columns."""
    stored, is_plain = stored_images(schema, reader), are_plain(schema, reader)
    for batch in batches:
        if is_plain:
            yield from _plain_items(batch, reader, number)
            number += batch.num_rows
            continue
        for row in _rows_without_bytes(batch):
            number += 1
            yield reader.item(row, number, stored, number - 1)


def stored_images(schema: Any, reader: RowReader) -> set[str]:
    """The columns that hold photographs themselves."""
    return {field.name for field in schema if field.name in reader.image_columns and _is_image(field.type)}


def are_plain(schema: Any, reader: RowReader) -> bool:
    """Whether the rows are items as they stand: with a photograph inside, a key, and nothing that JSON says otherwise."""
    import pyarrow as pa

    stored = stored_images(schema, reader)
    carried = [field for field in schema if not is_binary(field.type)]
    can_be = (
        pa.types.is_string, pa.types.is_large_string, pa.types.is_integer, pa.types.is_boolean, pa.types.is_null,
    )  # fmt: skip
    names = {field.name for field in carried}
    has_own_words = "unreadable" in names or any(name.endswith("_path") for name in names)
    is_one = stored == set(reader.image_columns) and len(stored) == 1
    are_simple = all(any(is_kind(field.type) for is_kind in can_be) for field in carried)
    return are_simple and is_one and not stored & names and reader.key_column in names and not has_own_words


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
        return any(field.name == "bytes" and is_binary(field.type) for field in kind)
    return is_binary(kind)


def is_binary(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return is_binary(kind.value_type)
    is_view = pa.types.is_binary_view(kind)
    return is_view or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind)


def _columns_to_read(field: Any) -> list[str]:
    """Names for the Parquet reader that leave out a column of bytes, and the bytes of a struct."""
    import pyarrow as pa

    if not pa.types.is_struct(field.type):
        return [] if is_binary(field.type) else [field.name]
    if not any(is_binary(inner.type) for inner in field.type):
        return [field.name]
    return [f"{field.name}.{inner.name}" for inner in field.type if not is_binary(inner.type)]


def _rows_without_bytes(batch: Any) -> list[dict]:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if is_binary(field.type):
            continue
        if pa.types.is_struct(field.type):
            kept = [place for place, inner in enumerate(field.type) if not is_binary(inner.type)]
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
