"""Every option of every step has words, and they come from where the option stands."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest
from pydantic import Field, PositiveInt

from shared.run.option_help import BEGIN, END, REFERENCE, describe_options, options_of, with_reference
from shared.run.step_types import find_worker, step_types
from shared.worker import Worker

OPTIONS = [(name, option) for name in step_types() for option in options_of(find_worker(name, ""))]


@pytest.mark.parametrize(("name", "option"), OPTIONS, ids=[f"{name}-{option.name}" for name, option in OPTIONS])
def test_every_option_says_what_it_does(name, option):
    words = option.words.lower().strip()
    assert words, f"{option.name} of {name} has no Field(description=...)"
    assert words != option.name.rpartition(".")[2].replace("_", " ") and len(words.split()) > 1
    assert option.kind and option.default


@pytest.mark.parametrize("name", step_types())
def test_help_prints_name_type_default_and_words_of_all(name):
    lines = describe_options(find_worker(name, "")).splitlines()
    for _, option in (pair for pair in OPTIONS if pair[0] == name):
        place = lines.index(f"  {option.name} = {option.default}")
        assert [line.strip() for line in lines[place + 1 : place + 3]] == [option.kind, option.words]


@dataclass
class Blinds:
    slats: Annotated[PositiveInt, Field(description="how many there are")] = 9


@dataclass
class Shade(Worker):
    kind: Annotated[Literal["soft", ""], Field(description="of light")] = ""
    blinds: Annotated[Blinds | None, Field(description="a section")] = None
    many: Annotated[tuple[Blinds, ...], Field(min_length=1, description="several")] = field(default_factory=tuple)
    bare: int = 3


def test_sections_are_followed_by_their_own_options_and_a_lost_description_is_seen():
    found = {option.name: option for option in options_of(Shade) if option.name not in Worker.__dataclass_fields__}
    assert list(found) == ["kind", "blinds", "blinds.slats", "many", "many.slats", "bare"]
    assert found["blinds.slats"][1:4] == ("int, above 0", "9", "how many there are")
    assert found["kind"][1:4] == ('one of soft, ""', '""', "of light")
    assert found["bare"].words == ""


def test_the_reference_is_as_the_options_are():
    """Of the steps that it has: a new step may come without it."""
    text = REFERENCE.read_text(encoding="utf-8")
    here, now = sections(text), sections(with_reference(text))
    assert {"Every step", "filter", "degrade", "caption", "merge", "train", "relight", "evaluate", "scenes"} <= set(
        here
    )
    changed = [name for name, section in here.items() if now.get(name) != section]
    assert changed == [], "run python -m shared.run.option_help --write"


def sections(text: str) -> dict[str, str]:
    return {part.partition("\n")[0]: part for part in text.partition(BEGIN)[2].partition(END)[0].split("\n### ")[1:]}
