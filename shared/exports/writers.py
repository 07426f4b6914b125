"""The tables that people read, written whole or not at all, with absolute paths, or relative ones on request."""

import csv
import filecmp
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

from shared.files.part_file import PartFile, sync_folder
from shared.files.paths import relative_paths

CELLS_TOGETHER = 1000  # rows
PLAIN_CELLS = frozenset({str, int, float, bool})  # types of which cells are as they are


def write_csv(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping], run_folder: Path | None) -> int:
    """Write `column: field` of each row as RFC 4180 CSV with a header; returns the number of rows.

    With a `run_folder`, a path (a field whose name ends in `_path`) inside it is written relative to the table's folder;
    without one all are absolute, so that the table can be read from anywhere.
    """
    return write_cells(path, columns, (project(columns, row, path.parent, run_folder).values() for row in rows))


def write_cells(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> int:
    """The same of rows that are the values of the columns, in their order."""
    count = 0
    with whole_file(path) as file:
        lines, rest = CsvLines(file), iter(rows)
        lines.writerow(columns)
        while some := list(islice(rest, CELLS_TOGETHER)):
            lines.writerows(some)
            count += len(some)
    return count


class CsvLines:
    """Lines of CSV that end as Unix has it; csv.writer quotes a lone carriage return only where its own lines have one."""

    def __init__(self, file: IO[str]):
        self.file = file
        self._lines: list[str] = []
        self._writer = csv.writer(SimpleNamespace(write=self._lines.append), lineterminator="\r\n")

    def writerow(self, row: Iterable[Any]) -> None:
        self.writerows([row])

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        self._writer.writerows([value if type(value) in PLAIN_CELLS else cell(value) for value in row] for row in rows)
        self.file.write("".join([line[:-2] + "\n" for line in self._lines]))
        self._lines.clear()


def write_jsonl(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping], run_folder: Path | None) -> int:
    """Write one JSON object of `column: field` per line; returns the number of rows."""
    count = 0
    with whole_file(path) as file:
        for row in rows:
            file.write(json.dumps(project(columns, row, path.parent, run_folder), ensure_ascii=False) + "\n")
            count += 1
    return count


def write_json_list(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping], run_folder: Path | None) -> int:
    """Write a JSON list of objects of `column: field`, a row at a time; returns the number of rows."""
    count = 0
    with whole_file(path) as file:
        file.write("[")
        for row in rows:
            text = json.dumps(project(columns, row, path.parent, run_folder), ensure_ascii=False, indent=2)
            file.write((",\n" if count else "\n") + text)
            count += 1
        file.write("\n]\n" if count else "]\n")
    return count


def project(columns: Mapping[str, str], row: Mapping, folder: Path, run_folder: Path | None) -> dict:
    """The `column: field` of a row as they are written to a table in `folder`."""
    if run_folder is None:
        return {column: row.get(field) for column, field in columns.items()}
    written = {field: row.get(field) for field in columns.values()}
    written = relative_paths(written, os.path.abspath(folder), os.path.abspath(run_folder))
    return {column: written[field] for column, field in columns.items()}


def cell(value: Any) -> Any:
    """A CSV cell: nothing for None, JSON for lists and objects."""
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Open for writing as UTF-8 text; the file appears, or is replaced, only when the block ends well.

    When the content is what was there before, the old file stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        PartFile(path) as part,
        io.TextIOWrapper(part.file, encoding="utf-8", errors="surrogateescape", newline="") as file,
    ):
        yield file
        file.flush()
        part.sync()
        if path.exists() and filecmp.cmp(part.part, path, shallow=False):
            return
        part.replace()
    sync_folder(path.parent)
