"""Rows of several kinds in one table: photographs, videos, and texts that something is to be made of."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from shared.errors import DatasetError
from shared.readers.row import RowReader, faulty


@dataclass(frozen=True)
class MixedReader(RowReader):
    """Makes items of rows that name a photograph, else a video (video_path), else have a text.

    A column that is None is not looked for.
    """

    video_key: str | None = None
    text_key: str | None = None

    @property
    def kinds(self) -> list[str]:
        return [column for column in (self.image_key, self.video_key, self.text_key) if column]

    def check_columns(self, columns: Collection[str]) -> None:
        names = list(columns)
        if not set(self.kinds) & set(names):
            near = next((close[0] for kind in self.kinds if (close := difflib.get_close_matches(kind, names, 1))), None)
            question = f'; did you mean "{near}"? (' if near else "; there are ("
            wanted = " and no ".join(f'"{kind}"' for kind in self.kinds)
            raise DatasetError(f"no column {wanted} in {self.table}{question}{', '.join(names)})")
        # Of those that a row may name, none has to be there.
        RowReader.check_columns(replace(self, image_key=None, more_images=()), names)

    def item(self, row: Mapping[str, Any], number: int, stored: Collection[str] = (), row_in_file: int = 0) -> dict:
        if self.image_key in stored or says(row, self.image_key):
            return super().item(row, number, stored, row_in_file)
        if says(row, self.video_key):
            item = self._as(self.video_key).item(row, number)
            if "image_path" in item:
                item["video_path"] = item.pop("image_path")
            return item
        if says(row, self.text_key):
            return self._as(None).item(row, number)
        wanted = " or ".join(f'"{kind}"' for kind in self.kinds)
        return faulty(number, f"row {number} of {self.table.name} has nothing in {wanted}")

    def _as(self, column: str | None) -> RowReader:
        return RowReader(self.table, self.folder, column, self.key_column, say=self.say)


def says(row: Mapping[str, Any], column: str | None) -> bool:
    return column is not None and row.get(column) not in (None, "")
