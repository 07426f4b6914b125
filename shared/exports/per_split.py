"""One table per split: the names that the relighting steps hand from one to the next."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from shared.exports.writers import write_csv
from shared.readers.split_names import split_of_table
from shared.splits import SPLITS

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step


IMAGE_TABLES = "{split}images"  # in a table's name; an input that is a table itself has a name instead
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt")


def write_split_tables(step: "Step", rows: "Table", name: str, columns: Mapping[str, str]) -> None:
    """Write `name` once per split, "{split}" in it being `train_`, `val_` or `test_`; empty splits have a header.

    Where no row has a split there is one table, without the prefix, or called after the table that is the run's input;
    so it is where that table is of one split, and so are all rows.
    Columns that no row has are left out.
    """
    fields: set[str] = set()
    splits: set[str] = set()
    for row in rows:
        fields.update(field for field in columns.values() if field in row)
        splits.add(row.get("split") or "")
    present = {column: field for column, field in columns.items() if not len(rows) or field in fields}
    source = Path(step.run.source.meta_path)
    if splits == {""} or splits == {split_of_table(source.name)}:
        name = named_after(source, name, step.run.following(None) is step).format(split="")
        write_csv(step.folder / name, present, rows, step.run.relative_within)
        return
    for split in ["", *SPLITS] if "" in splits else SPLITS:
        path = step.folder / name.format(split=f"{split}_" if split else "")
        chosen = (row for row in rows if (row.get("split") or "") == split)
        write_csv(path, present, chosen, step.run.relative_within)


def named_after(source: Path, name: str, is_first: bool) -> str:
    """albedo/train_images_with_albedo.csv, of source train_images.csv and name albedo/{split}images_with_albedo.csv.

    The first step adds one word to its input's name; one that follows adds also those of the steps before it.
    """
    if source.suffix.lower() not in TABLES or IMAGE_TABLES not in name:
        return name
    folder, ending = name.split(IMAGE_TABLES)
    if is_first:
        ending = ending[ending.rindex("_with_") :]
    return folder + source.stem.replace("{", "{{").replace("}", "}}") + ending
