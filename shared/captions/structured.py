"""Light as six named fields: the JSON schema that a model is held to, and the phrase that they make."""

import json
from typing import Any

DIRECTION = {
    "left": "from the left", "right": "from the right", "above": "from above", "below": "from below",
    "front": "from the front", "behind": "from behind", "upper left": "from the upper left",
    "upper right": "from the upper right", "all around": "from all around",
}  # fmt: skip
QUALITY_WORDS = ("soft", "hard", "diffused", "dappled", "even", "dramatic")
SOURCE = (
    "sunlight", "skylight", "overcast daylight", "window light", "lamp light", "studio light", "flash light",
    "candle light", "fire light", "neon light", "street light", "screen light", "moonlight", "stage light", "room light",
)  # fmt: skip
COLOUR = ("warm", "cool", "neutral", "golden", "white", "blue", "green", "red", "pink", "purple", "multicoloured")

# A pattern instead of a length: servers that take a schema know patterns, and not all know lengths.
FREE_TEXT = {"type": "string", "pattern": "^[a-z][a-z]{1,11}( [a-z]{2,12}){0,2}$"}

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "direction": {"type": "string", "enum": list(DIRECTION)},
        "quality": {"type": "string", "enum": list(QUALITY_WORDS)},
        "source": {"type": "string", "enum": list(SOURCE)},
        "colour": {"type": "string", "enum": list(COLOUR)},
        "place": FREE_TEXT,
        "mood": FREE_TEXT,
    },
    "required": ["direction", "quality", "source", "colour", "place", "mood"],
    "additionalProperties": False,
}


def compose(text: str) -> tuple[str, dict | None, str]:
    """The phrase, its fields, and what is wrong with the answer (empty when nothing is)."""
    try:
        fields = json.loads(text)
    except ValueError:
        return text, None, "is not JSON"
    why = mismatch(fields)
    if why:
        return text, None, why
    colour = "" if fields["colour"] == "neutral" else fields["colour"] + " "
    light = f"{fields['quality']} {colour}{fields['source']} {DIRECTION[fields['direction']]}"
    return f"{light}, {fields['place'].strip()}, {fields['mood'].strip()} mood", fields, ""


def mismatch(fields: object) -> str:
    """How an answer differs from the schema: servers may promise it and not keep it."""
    if not isinstance(fields, dict) or set(fields) != set(SCHEMA["required"]):
        return f"does not have the fields {', '.join(SCHEMA['required'])}"
    for name, rule in SCHEMA["properties"].items():
        value = fields[name]
        if not isinstance(value, str) or not value.strip():
            return f"has no {name}"
        if "enum" in rule and value not in rule["enum"]:
            return f"has the {name} {value!r}, which is none of {', '.join(rule['enum'])}"
    return ""
