"""Rows from CSV, TSV and plain lists of paths."""

import csv
import itertools
import re
from collections.abc import Iterator

from shared.errors import DatasetError
from shared.far.far_path import AnyPath
from shared.far.reading import on_disk
from shared.readers.row import RowReader, faulty

_NUMBERS = re.compile(r"\{(\d+)\.\.(\d+)\}")
_DELIMITERS = (",", ";", "\t")
_LONGEST_FIELD = 1 << 28  # bytes; a quote that is never closed would else take in the whole file


def read_separated(path: AnyPath, delimiter: str, reader: RowReader) -> Iterator[dict]:
    """Items of a CSV or TSV file (RFC 4180, UTF-8 with or without a byte order mark, a header first).

    Where the header has none of the columns that are wanted and would have them with another delimiter (`;`, as
    spreadsheets write it where the comma is a decimal point), that one is taken. A line with too many or too few fields is
    a faulty() item. Raises DatasetError with the line, for a broken quote, or bytes that are not UTF-8.
    """
    csv.field_size_limit(_LONGEST_FIELD)
    with open(on_disk(path), encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            columns = next((row for row in lines if row), None)
            if columns is None:
                return
            delimiter = _delimiter(columns, delimiter, reader)
            file.seek(0)
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            columns = named(next(row for row in lines if row))
            reader = reader.for_columns(columns)
            number = itertools.count(1)
            for row in lines:
                if not row:  # an empty line
                    continue
                if len(row) == len(columns):
                    yield reader.item(dict(zip(columns, row, strict=True)), next(number))
                else:
                    sentence = f"line {lines.line_num} of {path.name} has {len(row)} fields, not {len(columns)}"
                    yield faulty(next(number), sentence)
        except csv.Error as error:
            raise DatasetError(
                f"line {lines.line_num} of {path.name} is not {path.suffix[1:].upper()}: {error}"
            ) from None
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path.name} is not UTF-8 after line {lines.line_num}: {error}") from None


def _delimiter(columns: list[str], delimiter: str, reader: RowReader) -> str:
    """Of a header as it was split by `delimiter`."""

    def fits(header: list[str]) -> bool:
        names = set(named(header))
        return set(reader.renamed(names).image_columns) <= names

    header = delimiter.join(columns)
    others = (other for other in _DELIMITERS if fits(next(csv.reader([header], delimiter=other))))
    return delimiter if fits(columns) else next(others, delimiter)


def named(header: list[str]) -> list[str]:
    """The names without blanks around them; one that is empty is called as pandas calls it, which writes its index so."""
    return [name.strip() or f"Unnamed: {place}" for place, name in enumerate(header)]


def read_list(path: AnyPath, reader: RowReader) -> Iterator[dict]:
    """Items of a text file with one path in each line, or one text where there are no photographs.

    In a text `{0000..0999}` stands for each of these numbers, as bash and WebDataset have it.
    """
    column = reader.image_key or "text"
    if reader.more_images:
        reader.check_columns([column])
    with open(on_disk(path), encoding="utf-8-sig") as file:
        try:
            rows = (text for line in file if (text := line.rstrip("\n")).strip())
            if reader.image_key is None:
                rows = (counted for text in rows for counted in count_out(text))
            for number, text in enumerate(rows, 1):
                yield reader.item({column: text}, number)
        except UnicodeDecodeError as error:
            raise DatasetError(f"{path.name} is not UTF-8: {error}") from None


def count_out(text: str) -> Iterator[str]:
    """`scene-{08..10}` is scene-08, scene-09, scene-10; any other text is itself."""
    match = _NUMBERS.search(text)
    if match is None:
        yield text
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        yield f"{text[: match.start()]}{number:0{len(first)}d}{text[match.end() :]}"
