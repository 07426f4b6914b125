"""The options of a step in words: for --help, and for the tables of configs/README.md.

python -m shared.run.option_help          the tables
python -m shared.run.option_help --write  put them into configs/README.md
"""

import inspect
import json
import sys
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from shared.files.lookup import ROOT
from shared.run.step_types import find_worker, step_types

REFERENCE = ROOT / "configs" / "README.md"
BEGIN, END = "<!-- options: made by python -m shared.run.option_help --write -->", "<!-- end of the options -->"


class Option(NamedTuple):
    """One option of a step; of a section, `sections` has the dataclass, and `name` is `section.option` inside one."""

    name: str
    kind: str  # what is allowed, in words
    default: str  # as JSON, or `needed`
    words: str
    section: type | None


def options_of(kind: type, prefix: str = "") -> Iterator[Option]:
    """Every option of a step or a section, each followed by those of its own section."""
    hints = get_type_hints(kind, include_extras=True)
    for option in fields(kind):
        if option.init:
            hint = hints[option.name]
            section = section_in(hint)
            yield Option(f"{prefix}{option.name}", allowed(hint), default_of(option), words_of(hint), section)
            if section is not None:
                yield from options_of(section, f"{prefix}{option.name}.")


def describe_options(worker_class: type) -> str:
    """The options of a step for --help: name, default, what is allowed, and what it does."""
    return "\n".join(
        f"  {option.name} = {option.default}\n      {option.kind}\n      {option.words}"
        for option in options_of(worker_class)
    )


def default_of(option: Field) -> str:
    if option.default is not MISSING:
        return json.dumps(option.default, default=str)
    if option.default_factory is not MISSING:
        made = option.default_factory()
        if is_dataclass(made):
            return "as below"
        return json.dumps(TypeAdapter(Any).dump_python(made, mode="json"))
    return "needed"


def words_of(hint: Any) -> str:
    """The description that stands in the annotation; empty where there is none."""
    parts = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((part.description for part in reversed(parts) if getattr(part, "description", None)), "")


def section_in(hint: Any) -> type | None:
    """The dataclass of a section: one itself, or what a list or `or nothing` is of."""
    if inspect.isclass(hint) and is_dataclass(hint):
        return hint
    parts = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
    return next((section for part in parts if (section := section_in(part)) is not None), None)


def allowed(hint: Any) -> str:
    """A type in words: `int, at least 1`, `one of keep, grey, whole`, `list of text`."""
    arguments = get_args(hint)
    origin = get_origin(hint)
    if origin is Annotated:
        return ", ".join([allowed(arguments[0]), *filter(None, map(bounds, arguments[1:]))])
    if origin is Literal:
        return "one of " + ", ".join(str(value) or '""' for value in arguments)
    if origin in (Union, UnionType):
        return " or ".join("null" if part is type(None) else allowed(part) for part in arguments)
    if origin in (tuple, list):
        parts = [allowed(part) for part in arguments if part is not ...]
        return f"list of {parts[0]}" if ... in arguments or origin is list else "list: " + "; ".join(parts)
    if origin is dict:
        return "mapping"
    if is_dataclass(hint):
        return "section"
    return {str: "text", bool: "true or false", Path: "path"}.get(hint, getattr(hint, "__name__", str(hint)))


def bounds(constraint: Any) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    parts = getattr(constraint, "metadata", None) or [constraint]
    words_of_bounds = [
        f"{word} {getattr(part, name):.4g}" for part in parts for name, word in words.items() if hasattr(part, name)
    ]
    return ", ".join(words_of_bounds)


def reference() -> str:
    """The tables of all steps in Markdown, those options once that every step has."""
    every = list(options_of(base_of(find_worker(step_types()[0], ""))))
    parts = ["### Every step\n\n" + table(every)]
    for name in step_types():
        worker = find_worker(name, "")
        own = [option for option in options_of(worker) if option not in every]
        parts.append(f"### {name}\n\n{inspect.getdoc(worker)}\n\n{table(own)}")
    return "\n".join([BEGIN, "", *parts, END])


def base_of(worker_class: type) -> type:
    """The Worker that all steps are made of; its file stands above this room."""
    return next(kind for kind in worker_class.__mro__ if kind.__module__ == "shared.worker")


def table(options: list[Option]) -> str:
    lines = ["| Option | Default | Takes | What it does |", "|---|---|---|---|"]
    for option in options:
        cells = (f"`{option.name}`", f"`{option.default}`", option.kind, option.words)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def with_reference(text: str) -> str:
    """The text of configs/README.md with the tables as they are now."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return (
        before + reference() + after
        if begin and end
        else f"{text.rstrip()}\n\n## Options of each step\n\n{reference()}\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        REFERENCE.write_text(with_reference(REFERENCE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(reference())
