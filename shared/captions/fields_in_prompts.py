"""Prompts with the fields of an item in them: `{web_caption}` stands for what the item says there, `{{` for a brace."""

import json
import string

from shared.errors import AnswerError

FORMATTER = string.Formatter()


def fields_of_prompt(prompt: str) -> list[str]:
    """The names in braces, each once, in their order. Raises ValueError with one sentence for what is no name of a field."""
    try:
        parts = list(FORMATTER.parse(prompt))
    except ValueError as error:
        raise ValueError(
            f"{error} in {start_of(prompt)!r}; a brace that is meant as one is written twice: {{{{ or }}}}"
        ) from None
    names = []
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if not name or form or conversion or any(mark in name for mark in ".[]") or name.isdigit():
            written = name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else "")
            raise ValueError(
                f"{{{written}}} is no field; write the name of a field alone, as {{text}}, and a brace that is meant as one "
                "twice: {{ or }}"
            )
        names.append(name)
    return list(dict.fromkeys(names))


def filled_in(prompt: str, item: dict) -> str:
    """The prompt about an item. Raises AnswerError for a field that the item does not have."""
    return "".join(text + ("" if name is None else text_of(item, name)) for text, name, _, _ in FORMATTER.parse(prompt))


def text_of(item: dict, name: str) -> str:
    """A field as a text: lists of texts line by line, other structures as JSON. Raises AnswerError where there is nothing."""
    value = item.get(name)
    if value is None:
        there = ", ".join(field for field in item if item[field] is not None)
        problem = "has nothing in" if name in item else "has no field"
        raise AnswerError(f'{item["key"]} {problem} "{name}", which the prompt names; it has {there}')
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)


def start_of(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
