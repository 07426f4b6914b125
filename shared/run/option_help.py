"""The options of a step in words, for --help."""

import inspect
import json
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter


def describe_options(worker_class: type) -> str:
    """The options of a step for --help: name, default, what is allowed, and the comment that stands behind it."""
    hints = get_type_hints(worker_class, include_extras=True)
    comments = comments_of(worker_class)
    lines = []
    for option in fields(worker_class):
        if option.init:
            default = "needed"
            if option.default is not MISSING:
                default = json.dumps(option.default, default=str)
            elif option.default_factory is not MISSING:
                default = json.dumps(TypeAdapter(Any).dump_python(option.default_factory(), mode="json"))
            lines.append(f"  {option.name} = {default}\n      {allowed(hints[option.name])}")
            if option.name in comments:
                lines.append(f"      {comments[option.name]}")
    return "\n".join(lines)


def comments_of(worker_class: type) -> dict[str, str]:
    """Option -> the comment at the end of its line, where it is one line; a subclass stands over what it is made of."""
    found: dict[str, str] = {}
    for kind in filter(is_dataclass, reversed(worker_class.__mro__)):
        found |= dict(re.findall(r"^    (\w+): .*  # (?!fmt|type|noqa)(.+)$", inspect.getsource(kind), re.MULTILINE))
    return found


def allowed(hint: Any) -> str:
    """A type in words: `int, at least 1`, `one of keep, grey, whole`, `list of text`."""
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Annotated:
        return ", ".join([allowed(arguments[0]), *filter(None, map(bounds, arguments[1:]))])
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin in (Union, UnionType):
        return " or ".join("nothing" if part is type(None) else allowed(part) for part in arguments)
    if origin in (tuple, list):
        parts = [allowed(part) for part in arguments if part is not ...]
        return f"list of {parts[0]}" if ... in arguments or origin is list else "list: " + "; ".join(parts)
    if origin is dict:
        return "mapping"
    if is_dataclass(hint):
        return "section: " + ", ".join(option.name for option in fields(hint) if option.init)
    return {str: "text", bool: "true or false", Path: "path"}.get(hint, getattr(hint, "__name__", str(hint)))


def bounds(constraint: Any) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    parts = getattr(constraint, "metadata", None) or [constraint]
    found = [f"{word} {getattr(part, name)}" for part in parts for name, word in words.items() if hasattr(part, name)]
    return ", ".join(found)
