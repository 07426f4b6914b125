"""Which rows a table takes: a field that is there, or a comparison with a value."""

import operator
import re
from collections.abc import Callable
from typing import Any

import yaml

Condition = Callable[[dict], bool]
OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


def parse_condition(text: str) -> Condition:
    """`lighting_keywords` is there and not empty; `lighting_score >= 0.5`; `light.direction == left`.

    A row without the field does not fulfil a comparison, save `!=`. Raises ValueError.
    """
    match = re.fullmatch(r"\s*([\w.]+)\s*(?:(==|!=|>=|<=|>|<)\s*(.+?))?\s*", text)
    if not match:
        raise ValueError(
            f"{text!r} is no condition; write a field, or a field, one of {' '.join(OPERATORS)}, and a value"
        )
    name, sign, value = match.groups()
    if sign is None:
        return lambda row: bool(value_of(row, name))
    wanted, compare = yaml.safe_load(value), OPERATORS[sign]

    def holds(row: dict) -> bool:
        value = value_of(row, name)
        if sign in ("==", "!="):
            return compare(value, wanted)
        comparable = isinstance(value, (int, float)) == isinstance(wanted, (int, float))
        return value is not None and comparable and compare(value, wanted)

    return holds


def value_of(row: dict, name: str) -> Any:
    """The value at `light.direction`, or None where there is none."""
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
