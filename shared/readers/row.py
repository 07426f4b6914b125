"""How a row of any table becomes an item: its key, where its photograph is, and its other fields."""

import difflib
import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson

from shared.containers import read_member
from shared.errors import DatasetError
from shared.far.addresses import below, is_far, objection_to, shown_address, without_signature
from shared.far.far_path import AnyPath
from shared.files.equal_keys import DerivedKey
from shared.readers.image_columns import image_prefix
from shared.readers.plain import carried_fields, is_bytes, plain, well_formed


class Fault(str):
    """Why a row is no item that could be worked on; where all rows are such, the table is not what it was taken for."""

    __slots__ = ()


def faulty(number: int, sentence: str) -> dict:
    """The item of row `number` (from 1), which fails with the sentence."""
    return {"key": DerivedKey(f"row-{number}"), "unreadable": Fault(sentence)}


@dataclass(frozen=True)
class RowReader:
    """Makes items of the rows of one table.

    `folder` is what relative paths of photographs are relative to, absolute. `image_key` is the column of the
    photographs, None where the rows have none, and `more_images` the columns of other images of theirs; `key_column`
    that of the keys, used where the table has it; `say` gets what was passed over, once all is read.
    """

    table: AnyPath
    folder: str
    image_key: str | None
    key_column: str | None = "key"
    more_images: tuple[str, ...] = ()
    say: Callable[[str], None] = lambda _: None

    @cached_property
    def _table_folder(self) -> str:
        return str(self.table.parent)

    @cached_property
    def _is_far(self) -> bool:
        return is_far(self.folder)

    def for_columns(self, columns: Collection[str]) -> "RowReader":
        """The reader of a table of these columns, checked; where `image` is not there, image_path is, as runs write it."""
        reader = self.renamed(columns)
        reader.check_columns(columns)
        return reader

    def renamed(self, columns: Collection[str]) -> "RowReader":
        if self.image_key == "image" and "image" not in columns and "image_path" in columns:
            return replace(self, image_key="image_path")
        return self

    def check_columns(self, columns: Collection[str]) -> None:
        """Raises DatasetError where a column that was asked for is missing, or one is there twice."""
        names = list(columns)
        doubled = next((name for name in names if names.count(name) > 1), None)
        if doubled is not None:
            raise DatasetError(f'{self.table.name} has two columns named "{doubled}"')
        # The default is a wish: most tables name their rows by their photographs.
        for wanted in (*self.image_columns, None if self.key_column == "key" else self.key_column):
            if wanted is not None and wanted not in names:
                near = difflib.get_close_matches(wanted, names, 1)
                question = f'; did you mean "{near[0]}"? (' if near else "; there are ("
                raise DatasetError(f'no column "{wanted}" in {self.table}{question}{", ".join(names)})')

    @cached_property
    def image_columns(self) -> tuple[str, ...]:
        return () if self.image_key is None else (self.image_key, *self.more_images)

    def item(self, row: Mapping[str, Any], number: int, stored: Collection[str] = (), row_in_file: int = 0) -> dict:
        """The item of row `number` (from 1), whose images are named by paths, or lie in the table itself.

        The columns of the latter are `stored`, and `row` comes without their bytes. A path that is none, or leaves the
        folder, makes an item with "unreadable": the reason in one sentence; so does a row without a key, see faulty().
        """
        shown, names = dict(row), []
        images: dict[str, Any] = {}
        reason: str | None = None
        for place, column in enumerate(self.image_columns):
            prefix = image_prefix(place, column)
            written: Any = shown.get(column)
            if isinstance(written, Mapping):  # {"bytes": null, "path": ...}, as the datasets library writes it
                written = written.get("path")
            if column in stored:
                shown.pop(column, None)
                if written:
                    shown[column] = written
                images[f"{prefix}_path"] = str(self.table)
                images[f"{prefix}_member"] = {"row": row_in_file, "column": column}
            else:
                reason = reason or self._unreadable(written, number, column)
                if not reason:
                    images[f"{prefix}_path"] = self._path(written)
            names.append(written)
        name = names[0] if names else None
        try:
            if self.image_key in stored and not name and self.key_column not in shown:
                # Nothing names this photograph but itself.
                key: str = DerivedKey(hashlib.sha256(read_member(images)).hexdigest()[:16])
            else:
                key = self._key(shown, name, number)
        except (OSError, DatasetError) as error:
            return self._item(shown, **faulty(number, str(error)))
        return self._item(shown, key, **({"unreadable": reason} if reason else images))

    def _item(self, row: Mapping[str, Any], key: str, **image: Any) -> dict:
        item = {"key": "", **carried_fields(row, self._table_folder), **image}
        if "unreadable" in item:
            for place, column in enumerate(self.image_columns):
                item.pop(f"{image_prefix(place, column)}_path", None)
        item["key"] = key
        return item

    def _path(self, written: str) -> str:
        if os.path.isabs(written) or "://" in written:
            return written
        return below(self.folder, written) if self._is_far else f"{self.folder}/{os.path.normpath(written)}"

    def _unreadable(self, written: object, number: int, column: str) -> str | None:
        if not isinstance(written, str) or not written:
            return f'row {number} of {self.table.name} has no path in "{column}"'
        if well_formed(written) != written:
            return f"the path {well_formed(written)!r} in row {number} of {self.table.name} is no text; rename the file"
        if "\0" in written:
            return f"the path in row {number} of {self.table.name} has a NUL character"
        if "://" in written:
            return objection_to(written)
        if ".." in written and self.leaves(written):
            return f"the path {written} leaves the folder {self.folder}"
        return None

    def leaves(self, written: str) -> bool:
        """Whether a relative path leads out of the folder."""
        return not os.path.isabs(written) and os.path.normpath(written).split("/")[0] == ".."

    def _key(self, row: Mapping[str, Any], written: object, number: int) -> str:
        if self.key_column is not None and self.key_column in row:
            value = plain(row[self.key_column])
            if value is None or value == "":
                raise DatasetError(f'row {number} of {self.table.name} has nothing in "{self.key_column}"')
            return str(value)
        if isinstance(written, str) and written:
            return DerivedKey(key_of_path(written))
        # Nothing names this row but what it says.
        fields = {plain(str(field)): plain(value) for field, value in row.items() if not is_bytes(value)}
        return DerivedKey(hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16])


def key_of_path(written: str) -> str:
    """The stem and eight hex digits of the path as written: a/1.jpg and b/1.jpg differ, and rows may move.

    Of an address that is signed, the digits of what it is without its signature.
    """
    name = written
    if is_far(written):
        name, written = shown_address(written), without_signature(written)
    stem = well_formed(os.path.splitext(os.path.basename(name))[0])
    digest = hashlib.sha256(written.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{stem}-{digest[:8]}"
