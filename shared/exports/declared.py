"""The tables that the merge step of a config declares."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, PositiveInt

from shared.exports.conditions import Condition, parse_condition


@dataclass
class TableOptions:
    """One table: where it goes, its columns in order as `column: field`, which rows, in which order."""

    output: Annotated[str, Field(description="name of the file in the step's folder; its suffix says the format")]
    columns: Annotated[dict[str, str], Field(description="columns in order, as `column: field`")]
    where: Annotated[
        tuple[str, ...],
        Field(
            description="conditions: `lighting_keywords` (there and not empty), `lighting_score >= 0.5`, `split == train`"
        ),
    ] = ()
    sort: Annotated[str, Field(description="a field; with - before it, largest first; else in input order")] = ""
    top: Annotated[PositiveInt | None, Field(description="only the first so many rows")] = None
    splits: Annotated[bool, Field(description="a table per split, `{split}` in output standing for its name")] = False

    def conditions(self) -> list[Condition]:
        """What `where` says, to be asked of each row. Raises ValueError."""
        return [parse_condition(text) for text in self.where]
