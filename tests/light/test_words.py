import re
from dataclasses import replace

import numpy as np
import pytest

from shared.light.describe import Light
from shared.light.words import keywords, meaning, says_nothing

LIGHT = Light(
    azimuth_degrees=180.0, direction="left", hardness=0.9, cct_kelvin=3200.0, key="low", contrast=10.0,
    exposure_ev=-1.5, confidence=0.95, is_colour_sure=True, shadows="hard",
)  # fmt: skip


def phrases(light, count=200):
    return {keywords(light, np.random.default_rng(seed)) for seed in range(count)}


@pytest.mark.parametrize(
    "direction",
    [None, "left", "upper left", "above", "upper right", "right", "lower right", "below", "lower left", "front"],
)
@pytest.mark.parametrize("shadows", ["soft", None, "hard"])
@pytest.mark.parametrize("key", ["low", "mid", "high"])
@pytest.mark.parametrize(
    "sky",
    [
        {},
        {"weather": "overcast"},
        {"weather": "clear", "has_sun": True, "is_backlit": True},
        {"weather": "sunset"},
        {"weather": "clear"},
        {"weather": "night", "tinge": "neon"},
        {"weather": "hazy", "cct_kelvin": None},
        {"weather": "dusk", "is_lit_alone": True},
        {"weather": "golden", "pattern": "dappled", "outline": "rim"},
        {"source": "lamps", "pattern": "striped", "tinge": "warm"},
        {"weather": "sunset", "has_sun": True, "is_backlit": True, "outline": "silhouette"},
    ],
)
def test_a_phrase_has_3_to_15_words(direction, shadows, key, sky):
    light = replace(LIGHT, direction=direction, shadows=shadows, key=key, **sky)
    for phrase in phrases(light, 40):
        words = phrase.replace(",", "").split()
        assert 3 <= len(words) <= 15, phrase
        assert phrase == phrase.strip()
        assert re.fullmatch(r"[a-z, -]+", phrase)


def test_where_nothing_can_be_said_three_words_say_so():
    nothing = replace(LIGHT, direction=None, shadows=None, key="mid", contrast=5.0, is_colour_sure=False)
    said = phrases(nothing)
    assert len(said) == 3 == len({len(phrase.split()) for phrase in said} | {3, 1, 2})
    assert {meaning(phrase) for phrase in said} == {"plain ambient light"} and all(map(says_nothing, said))
    assert not says_nothing("warm light from the left")


@pytest.mark.parametrize(
    ("sky", "said"),
    [
        ({"weather": "clear"}, "daylight"),
        ({"weather": "overcast"}, "daylight"),
        ({"weather": "golden"}, "golden hour|low.(golden )?sun"),
        ({"weather": "sunset"}, "sunset|evening"),
        ({"weather": "dusk"}, "blue hour|twilight"),
        ({"weather": "hazy"}, "haze|mist"),
        ({"weather": "night"}, "night|after dark"),
        ({"weather": "clear", "has_sun": True, "is_backlit": True}, "sun in"),
        ({"weather": "sunset", "is_backlit": True}, "backlit|against|behind"),
        ({"is_backlit": True, "outline": "silhouette"}, "silhouette"),
        ({"outline": "rim"}, "rim|edge light"),
        ({"pattern": "dappled"}, "dappled|leafy"),
        ({"pattern": "striped"}, "striped|barred|slatted"),
        ({"pattern": "window"}, "window"),
    ],
)
def test_what_the_sky_tells_is_said(sky, said):
    assert all(re.search(said, phrase) for phrase in phrases(replace(LIGHT, **sky)))
    assert not any(
        re.search(r"sky|sun\b|hour|twilight|backlit|behind|haze|mist|night|dark\b(?! moody)", phrase)
        for phrase in phrases(LIGHT)
    )


def test_a_colour_that_is_not_sure_is_not_said():
    for phrase in phrases(replace(LIGHT, is_colour_sure=False)):
        assert not re.search("warm|golden|cool|bluish|neutral|white", phrase)


def test_the_wording_varies_and_the_same_numbers_give_the_same_phrase():
    assert len(phrases(LIGHT)) > 30
    assert keywords(LIGHT, np.random.default_rng(4)) == keywords(LIGHT, np.random.default_rng(4))


def test_no_direction_is_named_that_was_not_claimed():
    for light in (replace(LIGHT, direction=None, azimuth_degrees=None), replace(LIGHT, confidence=0.7)):
        for phrase in phrases(light):
            assert not re.search(r"\b(left|right|above|below|overhead|underneath|front|camera|side)\b", phrase)


@pytest.mark.parametrize(
    ("direction", "mirrored"),
    [("left", "right"), ("upper left", "upper right"), ("lower left", "lower right"), ("above", "above")],
)
def test_a_mirrored_photograph_gets_the_mirrored_phrase(direction, mirrored):
    for seed in range(50):
        straight = keywords(replace(LIGHT, direction=direction), np.random.default_rng(seed))
        other = keywords(replace(LIGHT, direction=mirrored), np.random.default_rng(seed))
        assert other == straight.replace("left", "right")


@pytest.mark.parametrize(
    ("change", "said", "unsaid"),
    [
        ({"cct_kelvin": 3000.0}, "warm|golden", "cool|bluish"),
        ({"cct_kelvin": 11000.0}, "cool|bluish", "warm|golden"),
        ({"cct_kelvin": 5600.0}, "light|illumination", "warm|golden|cool|bluish|neutral"),
        ({"shadows": "hard"}, "hard|crisp|sharp", "soft|diffused"),
        ({"shadows": "soft", "contrast": 10.0}, "soft|gentle|diffused", "hard|crisp|sharp"),
        ({"shadows": None, "hardness": 0.99, "contrast": 10.0}, "light|illumination", "hard|crisp|sharp|soft|diffused"),
        ({"tinge": "blue"}, "cool|bluish", "warm|golden"),
        ({"tinge": "neon"}, "neon|many-coloured", "warm|golden|cool|bluish"),
        ({"is_lit_alone": True}, "from the (front|camera)", "left|behind"),
        ({"source": "flash"}, "flash", "illumination|daylight|sun"),
        ({"source": "daylight"}, "daylight|light of day", "illumination|flash|sun"),
        ({"source": "window"}, "window", "daylight|flash|lamp"),
        ({"source": "lamp"}, "lamplight|lamp light", "daylight|flash|lamps"),
        ({"source": "lamps"}, "lamps", "daylight|flash|lamplight"),
        ({"tinge": "warm", "cct_kelvin": 6000.0}, "warm|golden", "cool|bluish"),
        ({"is_backlit": True, "outline": "silhouette"}, "silhouette", "backlit|against|behind"),
        ({"key": "high", "exposure_ev": 1.0}, "bright|high-key|light, airy", "dark moody|low-key|dim"),
    ],
)
def test_what_was_measured_is_said_and_its_opposite_is_not(change, said, unsaid):
    for phrase in phrases(replace(LIGHT, **change)):
        assert re.search(said, phrase), phrase
        assert not re.search(rf"\b({unsaid})\b", phrase), phrase


def test_of_a_black_and_white_picture_no_colour_of_the_light_is_said():
    for phrase in phrases(replace(LIGHT, cct_kelvin=None)):
        assert re.search("monochrome|black-and-white|colourless", phrase)
        assert not re.search("warm|golden|cool|bluish|neutral|white-balanced|daylight", phrase)


def test_phrases_of_one_meaning_are_those_that_differ_in_words_alone():
    dark = "soft warm light from the left, deep shadows, bright highlights, dim, moody atmosphere"
    assert meaning(dark) == meaning("Gentle golden illumination from the left side, dark moody scene, high contrast")
    assert meaning(dark) != meaning(dark.replace("left", "right"))
    assert meaning(dark) != meaning(dark.replace("soft", "hard"))
    assert meaning("a kitchen, softly lit") == "a kitchen, softly lit"


@pytest.mark.parametrize("key", ["low", "mid", "high"])
def test_every_wording_of_a_light_has_one_meaning_and_no_two_lights_have_the_same(key):
    lights = [
        replace(LIGHT, direction=direction, shadows=shadows, cct_kelvin=kelvin, contrast=contrast, key=key)
        for direction in (None, "left", "upper left", "above", "front")
        for shadows in ("soft", None, "hard")
        for kelvin in (None, 3000.0, 6000.0, 9000.0)
        for contrast in (2.0, 6.0, 10.0)
    ]
    said = [{meaning(keywords(one, np.random.default_rng(seed))) for seed in range(12)} for one in lights]
    assert {len(meanings) for meanings in said} == {1}
    assert len(set.union(*said)) == len(lights)


@pytest.mark.parametrize("weather", [None, "clear", "overcast", "hazy", "golden", "sunset", "dusk", "night"])
def test_every_wording_of_what_is_seen_has_one_meaning(weather):
    nothing_else = replace(LIGHT, direction=None, key="mid", contrast=5.0, weather=weather, is_colour_sure=False)
    lights = [
        replace(nothing_else, shadows=shadows, tinge=tinge, is_lit_alone=is_lit_alone, source=source, **seen)
        for source in ("flash", "window", "lamp", "lamps", "daylight", None)
        for shadows in ("soft", None)
        for tinge in ("blue", "neon", "warm", None)
        for is_lit_alone in (True, False)
        for seen in (
            {},
            {"pattern": "striped"},
            {"pattern": "dappled"},
            {"pattern": "window"},
            {"outline": "rim"},
            {"outline": "silhouette"},
        )
    ]
    said = [{meaning(keywords(one, np.random.default_rng(seed))) for seed in range(12)} for one in lights]
    assert {len(meanings) for meanings in said} == {1}
    assert len(set.union(*said)) == len(lights)
