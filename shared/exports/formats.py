"""The formats of a declared table, told by the end of its name."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from shared.exports.column_types import ColumnType, Misfits, typed
from shared.exports.conditions import value_of
from shared.exports.writers import project, write_cells, write_json_list, write_jsonl
from shared.files.part_file import PartFile, sync_folder

ROWS_AT_ONCE = 10_000

Rows = Iterable[Mapping]


class TableRows:
    """The rows of a declared table as `column: value`, made anew for each reading of them; `misfits` are of the last."""

    def __init__(
        self,
        fields: Mapping[str, str],
        types: Mapping[str, ColumnType],
        rows: Rows,
        folder: Path,
        run_folder: Path | None,
    ):
        """`fields`: `column: field`, where a field may be `light.direction`; `types`: of the columns that declare one."""
        self.fields, self.types, self.rows = fields, types, rows
        self.folder, self.run_folder = folder, run_folder
        self.misfits = Misfits()

    def __iter__(self) -> Iterator[dict]:
        self.misfits = Misfits()
        nested = [name for name in self.fields.values() if "." in name]
        for row in self.rows:
            flat = {**row, **{name: value_of(dict(row), name) for name in nested}} if nested else row
            found = project(self.fields, flat, self.folder, self.run_folder)
            for column, kind in self.types.items():
                found[column] = self.misfits.typed(column, found[column], kind)
            yield found


def write_rows(
    path: Path, fields: Mapping[str, str], types: Mapping[str, ColumnType], rows: Rows, run_folder: Path | None
) -> tuple[int, list[str]]:
    """Write a table, whole or not at all; see TableRows. `rows` may be read several times.

    Returns the number of rows, and a sentence for each column with values that are not what it declares.
    """
    table = TableRows(fields, types, rows, path.parent, run_folder)
    count = FORMATS[path.suffix](path, fields, types, table)
    return count, table.misfits.sentences(types)


def write_parquet(path: Path, fields: Mapping[str, str], types: Mapping[str, ColumnType], rows: Rows) -> int:
    """In row groups. A column that declares no type has that of all its values; text, where they have none in common.

    In nearly every table the first rows have the types of all; where a later one has another, all are read once more before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = {column: types.get(column) for column in fields}
    open_kinds = [column for column, kind in kinds.items() if kind is None]
    try:
        found = common_types(open_kinds, list(islice(rows, ROWS_AT_ONCE)))
        return write_groups(path, kinds, found, rows, is_sure=False)
    except UnlikeTheFirst:
        return write_groups(path, kinds, common_types(open_kinds, rows), rows, is_sure=True)


class UnlikeTheFirst(Exception):
    """A value is of another type than those of the first rows."""


def write_groups(
    path: Path, kinds: Mapping[str, ColumnType | None], found: dict[str, Any], rows: Rows, is_sure: bool
) -> int:
    """`kinds`: the type that each column declares; `found`: those of the others. Raises UnlikeTheFirst unless `is_sure`."""
    import pyarrow as arrow
    from pyarrow import parquet

    known = {"str": arrow.string(), "int": arrow.int64(), "float": arrow.float64(), "bool": arrow.bool_()}
    schema = arrow.schema([(column, known[kind] if kind else found[column]) for column, kind in kinds.items()])
    count, groups = 0, iter(rows)
    with PartFile(path) as part:
        with parquet.ParquetWriter(part.file, schema) as writer:
            while group := list(islice(groups, ROWS_AT_ONCE)):
                arrays = []
                for field in schema:
                    values = [row[field.name] for row in group]
                    is_free = kinds[field.name] is None
                    if is_free and is_sure and arrow.types.is_string(field.type):
                        values = [typed(value, "str") for value in values]
                    arrays.append(array_of(values, field.type, is_free and not is_sure))
                writer.write_table(arrow.Table.from_arrays(arrays, schema=schema))
                count += len(group)
        part.file.flush()
        part.sync()
        part.replace()
    sync_folder(path.parent)
    return count


def array_of(values: list, kind: Any, is_exact: bool) -> Any:
    """An Arrow array of that type. Raises UnlikeTheFirst where it `is_exact` and the values are of another."""
    import pyarrow as arrow

    if not is_exact:
        return arrow.array(values, kind)
    try:
        array = arrow.array(values)
    except (arrow.ArrowException, OverflowError, TypeError, ValueError):
        raise UnlikeTheFirst from None
    if array.type != kind and not arrow.types.is_null(array.type):
        raise UnlikeTheFirst
    return array.cast(kind)


def common_types(columns: list[str], rows: Rows) -> dict[str, Any]:
    """The Arrow type that holds all values of each column; string where there is none, or nothing but nulls."""
    import pyarrow as arrow

    found, groups = {column: arrow.null() for column in columns}, iter(rows)
    while columns and (group := list(islice(groups, ROWS_AT_ONCE))):
        for column in columns:
            both = [arrow.schema([(column, found[column])])]
            try:
                both.append(arrow.schema([(column, arrow.array([row[column] for row in group]).type)]))
                found[column] = arrow.unify_schemas(both, promote_options="permissive").field(column).type
            except (arrow.ArrowException, OverflowError, TypeError, ValueError):
                found[column] = arrow.string()
    return {column: arrow.string() if arrow.types.is_null(kind) else kind for column, kind in found.items()}


def _by_lines(write: Callable[..., int]) -> Callable[[Path, Mapping[str, str], Mapping[str, ColumnType], Rows], int]:
    return lambda path, fields, types, rows: write(path, {column: column for column in fields}, rows, None)


FORMATS: dict[str, Callable[[Path, Mapping[str, str], Mapping[str, ColumnType], Rows], int]] = {
    ".csv": lambda path, fields, types, rows: write_cells(path, fields, (row.values() for row in rows)),
    ".json": _by_lines(write_json_list),
    ".jsonl": _by_lines(write_jsonl),
    ".parquet": write_parquet,
}
