"""Lighting keywords: a short phrase that says what was seen of a photograph's light, and nothing else."""

import re

import numpy as np

from shared.light.describe import Light

WARM, COOL = 4300.0, 8000.0  # kelvin below and above which a colour is claimed
FLAT, STRONG = 3.5, 9.0  # stops of contrast below and above which it is named

# Each entry is one way to say the same thing.
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
    "neon": ("neon-coloured", "many-coloured", "neon"),
    "grey": ("monochrome", "black-and-white", "colourless"),  # of the picture: its light's colour is not known
}
COLOUR_OF_TINGE = {"blue": "cool", "neon": "neon", "warm": "warm"}
WEATHER_WORDS = {
    "clear": ("daylight, blue sky", "blue sky, daylight", "daylight, clear sky"),
    "overcast": ("daylight, overcast sky", "overcast, cloudy daylight", "daylight, white sky"),
    "hazy": ("light in haze", "misty, veiled light", "light through mist"),
    "golden": ("golden hour light", "low golden sun", "low-sun glow"),
    "sunset": ("glow of sunset", "sunset light", "evening sky glow"),
    "dusk": ("blue hour light", "dusky twilight sky", "light of twilight"),
    "night": ("lights at night", "night and lamps", "lights after dark"),
}
NOUN = ("light", "lighting", "illumination")
SOURCE_WORDS = {
    "flash": ("flash light", "flash lighting", "light of a flash"),
    "daylight": ("daylight", "natural daylight", "light of day"),
    "window": ("window light", "window lighting", "window-side light"),
    "lamp": ("lamplight", "lamp light", "lamp lighting"),
    "lamps": ("several lamps", "many lamps", "multiple lamps"),
}
PATTERN_WORDS = {
    "dappled": ("dappled light", "leaf-dappled light", "leafy shade"),
    "striped": ("striped light", "barred light", "slatted light"),
    "window": ("window-shaped light", "windowed light", "window-framed light"),
}
OUTLINE_WORDS = {
    "silhouette": ("silhouette", "in silhouette", "silhouetted"),
    "rim": ("rim light", "bright rim", "edge light"),
}
SUN = ("sun in frame", "sun in view")
AGAINST_THE_LIGHT = ("backlit", "against the light", "lit from behind")
CONTRAST = {
    "flat": ("low contrast", "gentle contrast", "flat tonal range"),
    "strong": ("high contrast", "strong contrast", "deep shadows, bright highlights"),
}
MOOD = {
    "low": ("dark moody scene", "low-key mood", "dim, moody atmosphere"),
    "high": ("bright airy scene", "high-key look", "light, airy mood"),
}
NOTHING = ("plain ambient light", "unremarkable ambient light", "ordinary ambient light")  # when nothing can be said
SURE_SIDE = 0.94  # confidence from which a direction is named: photographs are stranger than rendered scenes
CLAUSES = 2  # at most so many beside the light's own, so that a phrase has no more than 15 words
# Of a wording.
DRAWN = "quality colour noun side weather sun against contrast mood order nothing pattern outline".split()
SHORTEST = 3  # words
IN_SHORT = "on the scene"  # after a phrase that is shorter


def keywords(light: Light, rng: np.random.Generator) -> str:
    """A comma-joined phrase of 3 to 15 words: quality, colour, source and direction of the light, then two more clauses at most.

    Those are of a sun in the frame, the sky and the hour, a pattern, what stands against the light, the key and the contrast,
    in this order.

    The wording is drawn from `rng`; what is said depends on the light alone, so a mirrored photograph gets the
    same phrase with left and right exchanged. What was not told with confidence is left out.
    """
    # Every choice is drawn every time: a clause that is left out must not change the words of the next.
    draw = {name: rng.random() for name in DRAWN}

    def choose(options: tuple[str, ...], name: str) -> str:
        return options[int(draw[name] * len(options))]

    described = []
    if light.shadows:
        described.append(choose(HARDNESS_WORDS[light.shadows], "quality"))
    if colour := colour_of(light):
        described.append(choose(COLOUR_WORDS[colour], "colour"))
    side = side_of(light)
    noun = choose(SOURCE_WORDS[light.source] if light.source else NOUN, "noun")
    first = [" ".join([*described, noun])] if described or side or light.source else []
    if side:
        first[0] += " " + choose(FROM_A_SIDE[side], "side")

    contrast = _contrast(light)
    seen = {  # what says most of the light comes first
        "sun": SUN if light.has_sun else (),
        "weather": WEATHER_WORDS[light.weather] if light.weather else (),
        "pattern": PATTERN_WORDS[light.pattern] if light.pattern else (),
        "outline": OUTLINE_WORDS[light.outline] if light.outline else (),
        "against": AGAINST_THE_LIGHT if light.is_backlit and not light.outline else (),
        "mood": MOOD.get(light.key, ()),
        "contrast": CONTRAST[contrast] if contrast else (),
    }
    said = [choose(ways, name) for name, ways in seen.items() if ways][:CLAUSES]
    clauses = [*first, *(said if draw["order"] < 0.5 else reversed(said))]
    phrase = ", ".join(clauses) or choose(NOTHING, "nothing")
    return phrase if len(phrase.split()) >= SHORTEST else f"{phrase} {IN_SHORT}"


def side_of(light: Light) -> str | None:
    """The name in FROM_A_SIDE of where the light comes from; None where it is not sure."""
    if light.is_lit_alone:
        return "front"
    return light.direction if light.confidence >= SURE_SIDE else None


def colour_of(light: Light) -> str | None:
    """The name of the light's colour in COLOUR_WORDS; None where it is not told, or neutral."""
    if light.cct_kelvin is None:
        return "grey"
    if light.tinge:
        return COLOUR_OF_TINGE[light.tinge]
    if not light.is_colour_sure:
        return None
    return "warm" if light.cct_kelvin < WARM else "cool" if light.cct_kelvin > COOL else None


def says_nothing(phrase: str) -> bool:
    """Whether a phrase is what keywords() says of a photograph of which nothing can be said."""
    return meaning(phrase) == NOTHING[0]


def meaning(phrase: str) -> str:
    """What a phrase says, whichever of the words for it were drawn and in whatever order its clauses stand."""
    phrase = phrase.removesuffix(f" {IN_SHORT}")
    said = _SYNONYMS.sub(lambda found: _CANONICAL[found[0]], " ".join(phrase.lower().split()))
    return ", ".join(sorted(clause.strip() for clause in said.split(",") if clause.strip()))


_TABLES = (
    FROM_A_SIDE, HARDNESS_WORDS, COLOUR_WORDS, WEATHER_WORDS, CONTRAST, MOOD, SOURCE_WORDS, PATTERN_WORDS, OUTLINE_WORDS,
)  # fmt: skip
_WAYS = [
    NOUN,
    SUN,
    AGAINST_THE_LIGHT,
    NOTHING,
    *(ways for table in _TABLES for ways in table.values()),
]
_CANONICAL = {word: ways[0] for ways in _WAYS for word in ways}
_SYNONYMS = re.compile("|".join(rf"\b{re.escape(word)}\b" for word in sorted(_CANONICAL, key=len, reverse=True)))


def _contrast(light: Light) -> str | None:
    return "flat" if light.contrast < FLAT else "strong" if light.contrast > STRONG else None
