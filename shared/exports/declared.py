"""The tables that the merge step of a config declares."""

from dataclasses import dataclass

from pydantic import PositiveInt

from shared.exports.conditions import Condition, parse_condition


@dataclass
class TableOptions:
    """One table: where it goes, its columns in order as `column: field`, which rows, in which order."""

    output: str
    columns: dict[str, str]
    where: tuple[str, ...] = ()  # `lighting_keywords` (there and not empty), `lighting_score >= 0.5`, `split == train`
    sort: str = ""  # a field; with - before it, largest first; else in input order
    top: PositiveInt | None = None  # the first so many
    splits: bool = False  # a table per split, `{split}` in output standing for its name

    def conditions(self) -> list[Condition]:
        """What `where` says, to be asked of each row. Raises ValueError."""
        return [parse_condition(text) for text in self.where]
