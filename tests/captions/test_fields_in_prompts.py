"""A prompt names fields of an item in braces, and a field that is not there costs that item alone."""

import re

import pytest

from shared.captions.fields_in_prompts import fields_of_prompt, filled_in
from shared.errors import AnswerError

ITEM = {
    "key": "a",
    "web_caption": "IMG_1",
    "vlm_caption": "A cat.",
    "tags": ["grey", "warm"],
    "size": {"w": 3},
    "gone": None,
}


@pytest.mark.parametrize(
    ("prompt", "fields", "text"),
    [
        ("Summarize.", [], "Summarize."),
        ("{web_caption} and {vlm_caption}", ["web_caption", "vlm_caption"], "IMG_1 and A cat."),
        ("{vlm_caption}{vlm_caption}", ["vlm_caption"], "A cat.A cat."),
        ('JSON as {{"a": 1}} of {vlm_caption}', ["vlm_caption"], 'JSON as {"a": 1} of A cat.'),
        ("{tags}", ["tags"], "grey\nwarm"),
        ("{size}", ["size"], '{"w": 3}'),
    ],
)
def test_a_field_in_braces_is_what_the_item_says_there(prompt, fields, text):
    assert fields_of_prompt(prompt) == fields
    assert filled_in(prompt, ITEM) == text


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        (
            '{"a": 1}',
            '{"a": 1} is no field; write the name of a field alone, as {text}, and a brace that is meant as one twice',
        ),
        ("{}", "{} is no field"),
        ("{0}", "{0} is no field"),
        ("{a.b}", "{a.b} is no field"),
        ("{a[0]}", "{a[0]} is no field"),
        ("{a!r}", "{a!r} is no field"),
        (
            "{text",
            "expected '}' before end of string in '{text'; a brace that is meant as one is written twice: {{ or }}",
        ),
        (
            "a } b",
            "Single '}' encountered in format string in 'a } b'; a brace that is meant as one is written twice: {{ or }}",
        ),
    ],
)
def test_what_is_no_field_is_told_in_words(prompt, sentence):
    with pytest.raises(ValueError, match="^" + re.escape(sentence)):
        fields_of_prompt(prompt)


def test_a_field_that_is_missing_fails_the_item_and_says_which_there_are():
    with pytest.raises(AnswerError) as caught:
        filled_in("{nothing}", ITEM)
    assert str(caught.value) == (
        'a has no field "nothing", which the prompt names; it has key, web_caption, vlm_caption, tags, size'
    )
    with pytest.raises(AnswerError, match='a has nothing in "gone", which the prompt names'):
        filled_in("{gone}", ITEM)
