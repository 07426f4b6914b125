import re

import pytest

from shared.captions.answers import Wanted, problem, words
from shared.captions.engines.engine import Answer
from shared.captions.prompts import KEYWORDS, KEYWORDS_STRUCTURED, hint, read_prompt
from shared.captions.structured import SCHEMA


def test_a_prompt_is_a_text_or_a_file(tmp_path):
    (tmp_path / "ask.txt").write_text("What light is this?\n")
    assert read_prompt(" What light is this? ") == "What light is this?"
    assert read_prompt(str(tmp_path / "ask.txt")) == "What light is this?"
    assert read_prompt("Write the phrase to\nphrase.txt") == "Write the phrase to\nphrase.txt"


@pytest.mark.parametrize(
    ("content", "why"), [(None, "does not exist"), ("  \n", "is empty"), (b"\xff\xfe\xfa", "cannot be read")]
)
def test_a_file_without_a_prompt_is_told(tmp_path, content, why):
    path = tmp_path / "ask.txt"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=f"the file {re.escape(str(path))} {why}"):
        read_prompt(str(path))


def test_the_examples_in_our_prompt_pass_our_own_checks():
    examples = read_prompt(KEYWORDS).partition("Phrases of the right kind:\n")[2].splitlines()
    assert len(examples) == 8
    assert [problem(Answer(text, "stop", 0, 0), Wanted(5, 15)) for text in examples] == [""] * 8
    assert "5 to 15 words" in read_prompt(KEYWORDS)


def test_the_structured_prompt_names_every_field_and_value():
    prompt = read_prompt(KEYWORDS_STRUCTURED)
    for name, rule in SCHEMA["properties"].items():
        assert f"\n{name}: " in prompt
        assert all(value in prompt for value in rule.get("enum", ()))


def test_a_hint_says_what_was_measured_and_no_direction_without_confidence():
    light = {
        "direction": "left",
        "confidence": 0.8,
        "shadows": "hard",
        "cct_kelvin": 3200.0,
        "key": "low",
        "contrast": 6.04,
    }
    assert hint(light) == (
        "Measured from the pixels, to be trusted only where you see the same: the main light comes from the left of the "
        "picture; its shadows are hard; its colour is about 3200 K; the picture is low-key; its contrast is 6.0 stops."
    )
    assert "left" not in hint(light | {"confidence": 0.2})
    assert hint({}) == ""
    assert len(words(hint(light))) > 20
