"""Prompts: a text, or the path of a file that holds it; and the light that was measured, put into words for one."""

from pathlib import Path

from shared.files.lookup import ROOT, TEXT_SUFFIXES

KEYWORDS = "configs/prompts/keywords.txt"
KEYWORDS_STRUCTURED = "configs/prompts/keywords_structured.txt"


def read_prompt(prompt: str) -> str:
    """The text itself, or that of the file it names, from the project's folder on. Raises ValueError with one sentence."""
    if "\n" in prompt or not prompt.strip().endswith(TEXT_SUFFIXES):
        return prompt.strip()
    path = ROOT / Path(prompt.strip()).expanduser()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise ValueError(f"the file {path} does not exist") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {path} cannot be read: {error}") from None
    if not text:
        raise ValueError(f"the file {path} is empty")
    return text


def hint(light: dict) -> str:
    """What was measured in the pixels (the `light` of an item), for a model that sees the photograph too."""
    said = []
    if light.get("direction") and (light.get("confidence") or 0) >= 0.5:
        said.append(f"the main light comes from the {light['direction']} of the picture")
    if light.get("shadows"):
        said.append(f"its shadows are {light['shadows']}")
    if light.get("source"):
        said.append(f"its source is {light['source']}, by what the camera noted")
    if light.get("cct_kelvin"):
        said.append(f"its colour is about {light['cct_kelvin']:.0f} K")
    if light.get("key"):
        said.append(f"the picture is {light['key']}-key")
    if light.get("contrast") is not None:
        said.append(f"its contrast is {light['contrast']:.1f} stops")
    return f"Measured from the pixels, to be trusted only where you see the same: {'; '.join(said)}." if said else ""
