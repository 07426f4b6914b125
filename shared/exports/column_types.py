"""Values as the columns of a declared table want them: a table of text, as CSV is, becomes one of numbers."""

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

ColumnType = Literal["str", "int", "float", "bool"]

BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
INT64_LIMIT = 1 << 63  # integers of Parquet are smaller


class Misfits:
    """Counts the values that are not what their columns declare."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.examples: dict[str, Any] = {}

    def typed(self, column: str, value: Any, kind: ColumnType) -> Any:
        """The value as `kind`; None, and counted, where it is none."""
        try:
            return typed(value, kind)
        except (ValueError, TypeError, OverflowError):
            self.counts[column] += 1
            self.examples.setdefault(column, value)
            return None

    def sentences(self, types: Mapping[str, ColumnType]) -> list[str]:
        return [
            f"{count:,} values of {column} are no {types[column]} and stay empty, as {str(self.examples[column])[:80]!r}"
            for column, count in self.counts.items()
        ]


def typed(value: Any, kind: ColumnType) -> Any:
    """The value as `kind`, None for nothing; text of lists and objects is JSON. Raises ValueError where it is no such."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if kind == "str":
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
    if kind == "bool":
        return BOOLEANS[str(value).lower()] if str(value).lower() in BOOLEANS else _refuse(value)
    if kind == "int":
        is_whole = isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdigit())
        number = int(value) if is_whole else int(float(value)) if float(value).is_integer() else _refuse(value)
        return number if -INT64_LIMIT <= number < INT64_LIMIT else _refuse(value)
    return float(value) if math.isfinite(float(value)) else _refuse(value)


def _refuse(value: Any) -> Any:
    raise ValueError(value)
