"""A person's own JSON schema is read and checked before anything loads, and each answer is held against it."""

import json
import re

import pytest

from shared.captions.schemas import Composer, read_schema

SCHEMA = {
    "type": "object", "properties": {"animal": {"enum": ["cat", "dog"]}, "count": {"type": "integer", "minimum": 1}},
    "required": ["animal"], "additionalProperties": False,
}  # fmt: skip


def test_a_schema_is_a_mapping_or_the_file_that_holds_it(tmp_path):
    path = tmp_path / "animals.json"
    path.write_text(json.dumps(SCHEMA))
    assert read_schema(SCHEMA) == read_schema(str(path)) == SCHEMA


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "objekt"}, "it is no JSON schema: 'objekt' is not valid under any of the given schemas"),
        ({"type": "array"}, "it should be of type object, with properties, each of which becomes a column"),
        ({"type": "object"}, "it should be of type object, with properties"),
        ({"type": "object", "properties": {"key": {}}}, "the property 'key' is what items have themselves"),
        (
            {"type": "object", "properties": {"image_path": {}}},
            "the property 'image_path' is what items have themselves",
        ),
        ("nowhere.json", "the file "),
    ],
)
def test_what_is_no_schema_is_one_sentence(schema, sentence):
    with pytest.raises(ValueError, match="^" + re.escape(sentence)) as caught:
        read_schema(schema)
    assert "\n" not in str(caught.value)


def test_an_answer_is_its_fields_or_what_is_wrong_with_it():
    compose = Composer(SCHEMA)
    assert compose('{"animal": "cat", "count": 2}') == (
        '{"animal": "cat", "count": 2}',
        {"animal": "cat", "count": 2},
        "",
    )
    assert compose("a cat") == ("a cat", None, "is not JSON")
    _, fields, why = compose('{"animal": "cow"}')
    assert (fields, why) == (None, "does not fit the schema ('cow' is not one of ['cat', 'dog'])")
