"""One table per split: the names that the relighting steps hand from one to the next."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from shared.splits import SPLITS
from shared.tables import write_csv

if TYPE_CHECKING:
    from shared.run import Step
    from shared.table import Table


def write_split_tables(step: "Step", rows: "Table", name: str, columns: Mapping[str, str]) -> None:
    """Write `name` once per split, "{split}" in it being `train_`, `val_` or `test_`; empty splits have a header.

    Where no row has a split there is one table, without the prefix. Columns that no row has are left out.
    """
    fields: set[str] = set()
    splits: set[str] = set()
    for row in rows:
        fields.update(field for field in columns.values() if field in row)
        splits.add(row.get("split") or "")
    present = {column: field for column, field in columns.items() if not len(rows) or field in fields}
    prefixes = [""] if splits == {""} else ["", *SPLITS] if "" in splits else SPLITS
    for split in prefixes:
        path = step.folder / name.format(split=f"{split}_" if split else "")
        chosen = (row for row in rows if (row.get("split") or "") == split)
        write_csv(path, present, chosen, step.run.folder)
