import json

import pytest

from shared.captions.structured import SCHEMA, compose

FIELDS = {
    "direction": "left", "quality": "soft", "source": "window light", "colour": "warm", "place": "small kitchen", "mood": "calm",
}  # fmt: skip


def test_six_fields_make_a_phrase():
    assert compose(json.dumps(FIELDS)) == ("soft warm window light from the left, small kitchen, calm mood", FIELDS, "")


def test_a_neutral_colour_is_not_said():
    phrase, _, _ = compose(json.dumps(FIELDS | {"colour": "neutral", "direction": "behind"}))
    assert phrase == "soft window light from behind, small kitchen, calm mood"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soft light", "is not JSON"),
        ("[1]", "does not have the fields direction, quality, source, colour, place, mood"),
        (json.dumps({"direction": "left"}), "does not have the fields direction, quality, source, colour, place, mood"),
        (json.dumps(FIELDS | {"place": " "}), "has no place"),
        (json.dumps(FIELDS | {"mood": 3}), "has no mood"),
        (
            json.dumps(FIELDS | {"quality": "fuzzy"}),
            "has the quality 'fuzzy', which is none of soft, hard, diffused, dappled, even, dramatic",
        ),
    ],
)
def test_an_answer_that_does_not_keep_to_the_schema_is_told(text, why):
    assert compose(text) == (text, None, why)


def test_the_schema_is_what_strict_servers_take():
    assert SCHEMA["required"] == list(SCHEMA["properties"])
    assert SCHEMA["additionalProperties"] is False
