"""Items by a person's own reader, for an input of a kind that no other reads."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.own_reader import is_image, open_reader, read_rows
from shared.readers.image_columns import image_prefix
from shared.readers.row import RowReader


def read_own(path: AnyPath, file: Path, reader: RowReader) -> Iterator[dict]:
    """Items of the rows that read(path) of `file` gives. Raises DatasetError.

    A row holds the path of its photograph in the column of the photographs, or the photograph itself, as bytes or as a PIL
    image; where the file has load(row), that is called for the bytes when the item's turn comes, and rows hold none.
    """
    loads = hasattr(open_reader(str(file)), "load")
    columns: RowReader | None = None
    for number, row in enumerate(read_rows(str(file), str(path)), 1):
        if columns is None:
            columns = reader.renamed(row)
            columns.check_columns([*row, *columns.image_columns] if loads else list(row))
        held = [column for column in columns.image_columns if is_image(row.get(column))]
        shown = {name: value for name, value in row.items() if not is_image(value)}
        if loads or held:
            yield _item(columns, shown, number, str(file), held)
        else:
            yield columns.item(row, number)


def _item(reader: RowReader, row: dict[str, Any], number: int, file: str, held: list[str]) -> dict:
    """The item of a row whose photographs the reader itself gives: at once, of those `held`, else by load()."""
    named = any(isinstance(row.get(column), str) and row[column] for column in reader.image_columns)
    if reader.key_column not in row and not named:
        raise DatasetError(f"{file}: row {number} has no {reader.key_column!r}, and nothing else names its photograph")
    stored = held or list(reader.image_columns[:1])
    item = reader.item(row, number, stored)
    for place, column in enumerate(reader.image_columns):
        if column in stored and "unreadable" not in item:
            member = {"number": number - 1, "column": column} if held else {"row": row}
            item[f"{image_prefix(place, column)}_member"] = {"reader": file, **member}
    return item
