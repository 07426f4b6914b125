"""Answers that are JSON of a person's own form: the schema read and checked, and each answer held against it."""

import json
from pathlib import Path
from typing import Any

from shared.files.lookup import ROOT

TAKEN = ("key", "unreadable")  # of items themselves


def read_schema(given: str | dict[str, Any]) -> dict[str, Any]:
    """A JSON schema of an object, itself or the path of its file. Raises ValueError with one sentence."""
    from jsonschema import Draft202012Validator, SchemaError

    schema = json.loads(text_of_schema(given)) if isinstance(given, str) else given
    if not isinstance(schema, dict):
        raise ValueError("it is no JSON schema, which is a mapping")
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ValueError(f"it is no JSON schema: {error.message}") from None
    fields = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(fields, dict) or not fields:
        raise ValueError("it should be of type object, with properties, each of which becomes a column")
    for name in fields:
        if name in TAKEN or name.endswith("_path"):
            raise ValueError(f"the property {name!r} is what items have themselves; take another name")
    return schema


def text_of_schema(written: str) -> str:
    path = ROOT / Path(written).expanduser()
    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text)
    except FileNotFoundError:
        raise ValueError(f"the file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} cannot be read: {error}") from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    return text


class Composer:
    """Reads answers of one schema."""

    def __init__(self, schema: dict[str, Any]):
        from jsonschema import Draft202012Validator

        self.validator = Draft202012Validator(schema)

    def __call__(self, text: str) -> tuple[str, dict | None, str]:
        """The answer, its fields, and what is wrong with it (empty when nothing is)."""
        try:
            fields = json.loads(text)
        except ValueError:
            return text, None, "is not JSON"
        first = next(self.validator.iter_errors(fields), None)
        if first is not None:
            return text, None, f"does not fit the schema ({first.message[:200]})"
        return text, fields, ""
