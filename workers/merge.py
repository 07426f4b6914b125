"""Turn records into what others read: tables as the config declares them, and training triplets per split."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from pydantic import Field

from shared.errors import ConfigError
from shared.exports.conditions import value_of
from shared.exports.declared import TableOptions
from shared.exports.formats import FORMATS, write_rows
from shared.exports.per_split import named_after
from shared.exports.writers import write_csv, write_json_list, write_jsonl
from shared.files.small_files import write_bytes, write_json
from shared.light.words import says_nothing
from shared.readers.split_names import split_of_table
from shared.selection.passed_over import PASSED_OVER_COLUMNS as PASSED_OVER
from shared.splits import SPLITS
from shared.start import run
from shared.triplets.roles import DatasetOptions, TripletOptions
from shared.worker import Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step

SOURCE_TABLE = "{split}images_with_albedo_with_keywords.csv"


@dataclass
class Merge(Worker):
    """Write the tables that the config declares, and the triplets that a trainer reads."""

    tables: Annotated[
        tuple[TableOptions, ...], Field(description="tables to write, each with its columns, rows and order")
    ] = ()
    triplets: Annotated[
        TripletOptions | None,
        Field(description="which fields are the degraded photograph, the words and the photograph; null: no triplets"),
    ] = None
    dataset: Annotated[
        DatasetOptions | None,
        Field(description="write the triplets as a folder dataset/ that trainers load as it is; null: none"),
    ] = None
    copy_images: Annotated[
        bool, Field(description="copy the triplets' images to inputs/ and outputs/ beside their metadata")
    ] = False
    no_validate: Annotated[bool, Field(description="take triplets without looking whether their images are there")] = (
        False
    )

    pass_over_unsaid: Annotated[
        bool, Field(description="make no triplet of a photograph of whose light the photometric keywords say nothing")
    ] = False

    only_collects: ClassVar[bool] = True

    def check(self, label: str) -> None:
        if not self.tables and self.triplets is None:
            raise ConfigError(f"{label}: nothing to write; declare tables or triplets")
        if self.dataset is not None and self.triplets is None:
            raise ConfigError(f"{label}: a dataset is made of triplets; declare which fields those are")
        for table in self.tables:
            path = PurePosixPath(table.output)
            if path.is_absolute() or ".." in path.parts:
                raise ConfigError(f"{label}: the output {table.output!r} leaves the step's folder")
            if path.suffix not in FORMATS:
                raise ConfigError(f"{label}: the output {table.output!r} should end in one of {', '.join(FORMATS)}")
            if table.splits and "{split}" not in table.output:
                raise ConfigError(
                    f"{label}: the output {table.output!r} needs {{split}} in its name, since splits is true"
                )
            try:
                table.conditions()
            except ValueError as error:
                raise ConfigError(f"{label}: where of {table.output}: {error}") from None

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        for table in self.tables:
            self.write_table(table, rows, step)
        if self.triplets is None:
            return None
        source = Path(step.run.source.meta_path)
        kept = {split: self.write_triplets(split, rows, step) for split in splits_of(rows, source)}
        if self.dataset is not None:
            from shared.triplets.datasets_folder import write_datasets

            write_datasets(step, rows, kept, asdict(self.triplets), self.dataset)
        chosen = np.sort(np.concatenate(list(kept.values())))
        dropped = self.dropped(rows, np.setdiff1d(np.arange(len(rows)), chosen))
        write_csv(step.folder / "passed_over.csv", PASSED_OVER, dropped, step.run.relative_within)
        return (rows[int(index)] for index in chosen)

    def write_table(self, table: TableOptions, rows: "Table", step: "Step") -> None:
        for split in SPLITS if table.splits else ("",):
            path = step.folder / table.output.replace("{split}", split)
            members = RowsAt(rows, self.chosen(table, split, rows)) if table.chooses else rows
            count, remarks = write_rows(path, table.fields(), table.types(), members, step.run.relative_within)
            step.tell(f"{count} of {len(rows)} rows in {path.name}")
            for remark in remarks:
                step.tell(f"{path.name}: {remark}")

    def chosen(self, table: TableOptions, split: str, rows: "Table") -> list[int]:
        """The places of the rows that the table wants, in its order."""
        conditions = table.conditions()
        places = [
            place
            for place, row in enumerate(rows)
            if (not split or row.get("split") == split) and all(condition(row) for condition in conditions)
        ]
        return (sorted_by(table.sort, rows, places) if table.sort else places)[: table.top]

    def write_triplets(self, split: str, rows: "Table", step: "Step") -> np.ndarray:
        """Write one split's metadata.jsonl, metadata.json and stats.json; returns the rows that became triplets."""
        roles = self.triplets
        assert roles is not None
        columns = {
            "input_image": roles.input_image,
            "instruction": roles.instruction,
            "output_image": roles.output_image,
        }
        folder = step.folder / split
        dropped: Counter[str] = Counter()
        kept, total = [], 0
        for index, row in enumerate(rows):
            if (row.get("split") or "") == split:
                total += 1
                reason = self.reason_to_drop(row)
                if reason:
                    dropped[reason] += 1
                else:
                    kept.append(index)
        indices = np.array(kept, np.int64)

        def triplets() -> Iterator[dict]:
            for number, index in enumerate(indices):
                row = rows[int(index)]
                yield copied(row, columns, number, folder) if self.copy_images else row

        write_jsonl(folder / "metadata.jsonl", columns, triplets(), step.run.relative_within)
        write_json_list(folder / "metadata.json", columns, triplets(), step.run.relative_within)
        if self.copy_images:
            remove_copies_after(len(indices), folder)
        stats = {
            "total_samples": len(indices),
            "source_csv": source_table(step, split),
            "copy_images": self.copy_images,
            "columns_used": columns,
            "rows": total,
            "dropped": dict(sorted(dropped.items())),
        }
        write_json(folder / "stats.json", stats)
        reasons = "".join(f", {count} {reason}" for reason, count in sorted(dropped.items()))
        step.tell(f"{split or 'all'}: {total} rows = {len(indices)} triplets + {dropped.total()} dropped{reasons}")
        return indices

    def dropped(self, rows: "Table", indices: np.ndarray) -> Iterator[dict]:
        """The rows that became no triplets, as the filter's table has those that it passes over."""
        for row in (rows[int(index)] for index in indices):
            reason = self.reason_to_drop(row) or f"whose split {row.get('split')!r} is none of {', '.join(SPLITS)}"
            yield {**row, "reason": reason, "passed_over": f"a row {reason}"}

    def reason_to_drop(self, row: dict) -> str:
        """Why a row is no triplet; empty when it is one."""
        from shared.images import may_be_there

        roles = self.triplets
        assert roles is not None
        instruction = row.get(roles.instruction)
        if not row.get(roles.input_image):
            return f"without {roles.input_image}"
        if not isinstance(instruction, str) or not instruction.strip():
            return f"without {roles.instruction}"
        if instruction.startswith("ERROR:"):
            return "with an error for an instruction"
        if self.pass_over_unsaid and says_nothing(instruction):
            return "of whose light nothing can be said"
        if not self.no_validate or self.copy_images:  # what is not there cannot be copied either
            for name in (roles.input_image, roles.output_image):
                if not may_be_there(row.get(name)):
                    return f"whose {name} is not there"
        return ""


class RowsAt:
    """Some rows of a table, read each time that they are iterated over."""

    def __init__(self, rows: "Table", places: list[int]):
        self.rows, self.places = rows, places

    def __iter__(self) -> Iterator[dict]:
        return (self.rows[place] for place in self.places)


def splits_of(rows: "Table", source: Path) -> tuple[str, ...]:
    """train, val, test where the rows have splits, or the one of which the run's input is; else one that has no name."""
    only = split_of_table(source.name)
    if only and len(rows) and all(row.get("split") == only for row in rows):
        return (only,)
    return SPLITS if any(row.get("split") for row in rows) or not len(rows) else ("",)


def source_table(step: "Step", split: str) -> str:
    """The table that the step before wrote of the same rows, or the run's input where this step reads it itself."""
    source = Path(step.run.source.meta_path)
    if step.run.following(None) is step:
        return source.name
    if not split or split == split_of_table(source.name):
        return named_after(source, SOURCE_TABLE, is_first=False).format(split="")
    return SOURCE_TABLE.format(split=f"{split}_")


def copied(row: dict, columns: dict[str, str], number: int, folder: Path) -> dict:
    """The row with its images copied beside the metadata; an equal copy that is there already is kept."""
    from shared.images import file_name_of, read_file

    places = {}
    for name, subfolder in ((columns["input_image"], "inputs"), (columns["output_image"], "outputs")):
        target = folder / subfolder / f"{number:06d}{Path(file_name_of(row[name])).suffix}"
        write_bytes(target, read_file(row[name]))
        places[name] = str(target)
    return row | places


def remove_copies_after(count: int, folder: Path) -> None:
    """Copies that an earlier merge of more triplets left would be taken for members of the set."""
    for path in (*(folder / "inputs").glob("*"), *(folder / "outputs").glob("*")):
        if path.stem.isdigit() and int(path.stem) >= count:
            path.unlink()


def sorted_by(sort: str, rows: "Table", indices: list[int]) -> list[int]:
    """By a numeric or text field, stable; rows without it come last."""
    name, is_descending = sort.removeprefix("-"), sort.startswith("-")
    values = {index: value_of(rows[index], name) for index in indices}
    there = [index for index in indices if has_order(values[index])]
    missing = [index for index in indices if not has_order(values[index])]
    return sorted(there, key=lambda index: values[index], reverse=is_descending) + missing


def has_order(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and math.isnan(value))


if __name__ == "__main__":
    run(Merge)
