"""The formats of a declared table, told by the end of its name."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path

from shared.exports.conditions import value_of
from shared.exports.writers import project, write_csv, write_json_list, write_jsonl
from shared.files.part_file import PartFile, sync_folder

ROWS_AT_ONCE = 10_000

Rows = Iterable[Mapping]


def write_rows(path: Path, columns: Mapping[str, str], rows: Rows, run_folder: Path) -> int:
    """Write `column: field` of each row, whole or not at all; a field may be `light.direction`. Returns the rows."""
    flat = ({**row, **{name: value_of(dict(row), name) for name in columns.values() if "." in name}} for row in rows)
    return FORMATS[path.suffix](path, columns, flat, run_folder)


def write_parquet(path: Path, columns: Mapping[str, str], rows: Rows, run_folder: Path) -> int:
    """In row groups, with the types of the first; values that do not fit them are an error that names the column."""
    import pyarrow as arrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    written = iter(project(columns, row, path.parent, run_folder) for row in rows)
    count, writer = 0, None
    with PartFile(path) as part:
        while group := list(islice(written, ROWS_AT_ONCE)):
            values = {column: [row[column] for row in group] for column in columns}
            table = arrow.table(values, schema=writer.schema if writer else None)
            writer = writer or parquet.ParquetWriter(part.file, table.schema)
            writer.write_table(table)
            count += len(group)
        if writer is None:
            writer = parquet.ParquetWriter(part.file, arrow.schema([(column, arrow.string()) for column in columns]))
        writer.close()
        part.file.flush()
        part.sync()
        part.replace()
    sync_folder(path.parent)
    return count


FORMATS: dict[str, Callable[[Path, Mapping[str, str], Rows, Path], int]] = {
    ".csv": write_csv,
    ".json": write_json_list,
    ".jsonl": write_jsonl,
    ".parquet": write_parquet,
}
