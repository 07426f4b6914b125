"""The tables and copies of the photographs that a selection keeps, best first."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.files.names import file_name
from shared.splits import SPLITS

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step
    from shared.selection.choice import Choice

log = logging.getLogger("worker")

SCORE_COLUMNS = {"image_path": "image_path", "lighting_score": "lighting_score"}


def rows_at(rows: "Table", indices: np.ndarray) -> Iterator[dict]:
    return (rows[int(index)] for index in indices)


def write_tables(
    rows: "Table", kept: np.ndarray, splits: np.ndarray, step: "Step", everything: np.ndarray | None
) -> None:
    """What is kept, each split of it (`splits`: their numbers, for each row of `kept`), and, of `everything`, the scores."""
    from shared.exports.writers import project, whole_file, write_csv, write_json_list

    folder, run_folder = step.folder, step.run.relative_within
    if everything is not None:
        write_csv(folder / "all_scores.csv", SCORE_COLUMNS, rows_at(rows, everything), run_folder)
    write_json_list(folder / "filtered_images.json", SCORE_COLUMNS, rows_at(rows, kept), run_folder)
    with whole_file(folder / "filtered_images.txt") as file:
        for row in rows_at(rows, kept):
            file.write(project(SCORE_COLUMNS, row, folder, run_folder)["image_path"] + "\n")
    for number, split in enumerate(SPLITS):
        members = rows_at(rows, kept[splits == number])
        write_csv(folder / f"{split}_images.csv", SCORE_COLUMNS, members, run_folder)


def write_passed_over(rows: "Table", choice: "Choice", step: "Step") -> None:
    """What is not kept whatever its score, best first, and why."""
    from shared.exports.writers import write_csv
    from shared.selection.passed_over import PASSED_OVER_COLUMNS

    passed = choice.passed_over.rows(rows, choice.everything)
    write_csv(step.folder / "passed_over.csv", PASSED_OVER_COLUMNS, passed, step.run.relative_within)


def copy_photographs(rows: "Table", kept: np.ndarray, folder: Path) -> None:
    """Copy the kept photographs, byte for byte, named by rank; copies of an earlier selection are removed."""
    from shared.errors import ImageError
    from shared.files.small_files import write_bytes
    from shared.images import file_name_of, read_bytes

    names = set()
    for position, row in enumerate(rows_at(rows, kept)):
        # A photograph in a tar or a Parquet file has no file name of its own; its key is one.
        original = Path(row["key"] if row.get("image_member") else file_name_of(row["image_path"]))
        name = file_name(f"{position:06d}_{original.stem}", original.suffix)
        try:
            write_bytes(folder / name, read_bytes(row))
        except ImageError as error:
            log.warning("not copied: %s", error)
        names.add(name)
    for other in folder.iterdir() if folder.exists() else ():
        if other.name not in names:
            other.unlink()
