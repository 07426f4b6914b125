"""Lighting keywords: a short phrase that says what was measured in a photograph, and nothing else."""

import re

import numpy as np

from shared.light.describe import Light

HARD, SOFT = 0.85, 0.15  # hardness above and below which a quality is claimed: on rendered scenes, always rightly
WARM, COOL = 4300.0, 8000.0  # kelvin below and above which a colour is claimed
FLAT, STRONG = 3.5, 8.0  # stops of contrast below and above which it is named
DARK, BRIGHT = -2.0, 0.8  # stops from middle grey below and above which it is named

# Each entry is one way to say the same thing; "{}" takes the direction.
FROM_A_SIDE = {
    "left": ("from the left", "from the left side"),
    "right": ("from the right", "from the right side"),
    "above": ("from above", "from overhead"),
    "below": ("from below", "from underneath"),
    "upper left": ("from the upper left", "from above on the left"),
    "upper right": ("from the upper right", "from above on the right"),
    "lower left": ("from the lower left", "from below on the left"),
    "lower right": ("from the lower right", "from below on the right"),
    "front": ("from the front", "from the camera side"),
}
HARDNESS_WORDS = {"hard": ("hard", "crisp", "sharp-edged"), "soft": ("soft", "gentle", "diffused")}
COLOUR_WORDS = {
    "warm": ("warm", "warm-toned", "golden"),
    "cool": ("cool", "cool-toned", "bluish"),
    "neutral": ("neutral", "white", "daylight-balanced"),
    "grey": ("monochrome", "black-and-white", "colourless"),  # of the picture: its light's colour is not known
}
NOUN = ("light", "lighting", "illumination")
CONTRAST = {
    "flat": ("low contrast", "gentle contrast", "flat tonal range"),
    "strong": ("high contrast", "strong contrast", "deep shadows, bright highlights"),
    "even": ("moderate contrast", "balanced contrast", "balanced tones"),
}
MOOD = {
    "low": ("dark moody scene", "low-key mood", "dim, moody atmosphere"),
    "high": ("bright airy scene", "high-key look", "light, airy mood"),
    "dark": ("subdued exposure", "dim scene", "darker exposure"),
    "bright": ("bright scene", "bright exposure", "luminous scene"),
    "mid": ("mid-key scene", "even mid-tones", "normal exposure"),
}


def keywords(light: Light, rng: np.random.Generator) -> str:
    """A comma-joined phrase of 5 to 15 words: quality, colour and direction of the light, then contrast and mood.

    The wording is drawn from `rng`; what is said depends on the light alone, so a mirrored photograph gets the
    same phrase with left and right exchanged. A direction is named only when it was told with confidence.
    """
    # Every choice is drawn every time: a clause that is left out must not change the words of the next.
    draw = {name: rng.random() for name in ("quality", "colour", "noun", "side", "contrast", "mood", "order")}

    def choose(options: tuple[str, ...], name: str) -> str:
        return options[int(draw[name] * len(options))]

    described = []
    if light.hardness >= HARD:
        described.append(choose(HARDNESS_WORDS["hard"], "quality"))
    elif light.hardness <= SOFT:
        described.append(choose(HARDNESS_WORDS["soft"], "quality"))
    described.append(choose(COLOUR_WORDS[_colour(light.cct_kelvin)], "colour"))
    lighting = " ".join([*described, choose(NOUN, "noun")])
    if light.direction is not None and light.confidence >= 0.5:
        lighting += " " + choose(FROM_A_SIDE[light.direction], "side")

    contrast = choose(CONTRAST[_contrast(light)], "contrast")
    mood = choose(MOOD[_mood(light)], "mood")
    clauses = [lighting, contrast, mood] if draw["order"] < 0.5 else [lighting, mood, contrast]
    return ", ".join(clauses)


def meaning(phrase: str) -> str:
    """What a phrase says, whichever of the words for it were drawn and in whatever order its clauses stand."""
    said = _SYNONYMS.sub(lambda found: _CANONICAL[found[0]], " ".join(phrase.lower().split()))
    return ", ".join(sorted(clause.strip() for clause in said.split(",") if clause.strip()))


_WAYS = [
    NOUN,
    *(ways for table in (FROM_A_SIDE, HARDNESS_WORDS, COLOUR_WORDS, CONTRAST, MOOD) for ways in table.values()),
]
_CANONICAL = {word: ways[0] for ways in _WAYS for word in ways}
_SYNONYMS = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in sorted(_CANONICAL, key=len, reverse=True)))


def _colour(kelvin: float | None) -> str:
    if kelvin is None:
        return "grey"
    return "warm" if kelvin < WARM else "cool" if kelvin > COOL else "neutral"


def _contrast(light: Light) -> str:
    return "flat" if light.contrast < FLAT else "strong" if light.contrast > STRONG else "even"


def _mood(light: Light) -> str:
    if light.key != "mid":
        return light.key
    return "dark" if light.exposure_ev < DARK else "bright" if light.exposure_ev > BRIGHT else "mid"
