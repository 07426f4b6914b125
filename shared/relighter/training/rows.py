"""Which rows of a table are triplets to learn from, and which field of a row plays which part."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import RunError
from shared.files.table import Table
from shared.triplets.roles import Columns

if TYPE_CHECKING:
    from shared.run.run import Step


class Chosen(Sequence):
    """Rows of a table by their places; nothing is read before it is asked for."""

    def __init__(self, table: Table, places: np.ndarray):
        self.table, self.places = table, places

    def __len__(self) -> int:
        return len(self.places)

    @property
    def digest(self) -> str:
        """Another one when the table was written anew: equal keys do not tell that the images behind them are the same."""
        return f"{self.table.digest} {self.table.path.stat().st_mtime_ns} {len(self.places)}"

    def __getitem__(self, place: int) -> dict:  # type: ignore[override]
        return self.table[int(self.places[place])]


def training_rows(step: "Step", columns: Columns) -> tuple[Chosen, Chosen]:
    """The triplets of the split train (all, where the rows have no splits), and those of val. Raises RunError."""
    table = Table(step.table_path)
    splits = []
    for row in table:
        for field in (columns.input_image, columns.instruction, columns.output_image):
            if field not in row and "unreadable" not in row:
                known = ", ".join(row)
                raise RunError(
                    f"{step.label}: the row {row['key']} has no field {field}; it has {known}; name the fields in `columns:`"
                )
        splits.append("none" if "unreadable" in row or not row[columns.instruction] else row.get("split") or "train")
    kinds = np.array(splits)
    chosen = Chosen(table, np.flatnonzero(kinds == "train")), Chosen(table, np.flatnonzero(kinds == "val"))
    if not len(chosen[0]):
        raise RunError(
            f"{step.label}: none of {len(table)} rows is a triplet of the split train; is the input the right one?"
        )
    return chosen
