"""The tables that the merge step of a config declares."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field, PositiveInt

from shared.exports.column_types import ColumnType
from shared.exports.conditions import Condition, parse_condition


@dataclass
class ColumnOptions:
    """Where a column's values come from, and what they are."""

    field: Annotated[str, Field(description="of the rows; `light.direction` is a field inside another")]
    type: Annotated[ColumnType | None, Field(description="what its values become; null: as they are")] = None

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


DeclaredColumns = dict[str, str | ColumnOptions]


def fields_of(columns: DeclaredColumns) -> dict[str, str]:
    """The field of each column."""
    return {name: one if isinstance(one, str) else one.field for name, one in columns.items()}


def types_of(columns: DeclaredColumns) -> dict[str, ColumnType]:
    """The types of the columns that have one declared."""
    return {name: one.type for name, one in columns.items() if not isinstance(one, str) and one.type}


@dataclass
class TableOptions:
    """One table: where it goes, its columns in order as `column: field`, which rows, in which order."""

    output: Annotated[str, Field(description="name of the file in the step's folder; its suffix says the format")]
    columns: Annotated[
        dict[str, str | ColumnOptions],
        Field(description="columns in order, as `column: field`, or `column: {field: width, type: int}`"),
    ]
    where: Annotated[
        tuple[str, ...],
        Field(
            description="conditions: `lighting_keywords` (there and not empty), `lighting_score >= 0.5`, `split == train`"
        ),
    ] = ()
    sort: Annotated[str, Field(description="a field; with - before it, largest first; else in input order")] = ""
    top: Annotated[PositiveInt | None, Field(description="only the first so many rows")] = None
    splits: Annotated[bool, Field(description="a table per split, `{split}` in output standing for its name")] = False

    @property
    def chooses(self) -> bool:
        """Whether it has not simply all rows as they come."""
        return bool(self.where or self.sort or self.top or self.splits)

    def fields(self) -> dict[str, str]:
        """The field of each column."""
        return fields_of(self.columns)

    def types(self) -> dict[str, ColumnType]:
        """The types of the columns that have one declared."""
        return types_of(self.columns)

    def conditions(self) -> list[Condition]:
        """What `where` says, to be asked of each row. Raises ValueError."""
        return [parse_condition(text) for text in self.where]
