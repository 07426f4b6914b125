from dataclasses import replace

import numpy as np
import pytest

from shared.light.azimuth import turn
from shared.light.degradation.drawing import (
    DRAWS,
    LEAST_TURN,
    MOST_ALIKE,
    OTHER_SIDE,
    draw_light,
    elsewhere,
    stronger,
)
from shared.light.degradation.options import Degradation, LightSampling, SoftShading, sample
from shared.light.degradation.photograph import Photograph
from shared.light.scenes.scenes import render


@pytest.fixture(scope="module")
def photograph():
    scene = render("subject", 2, 128)
    return Photograph(scene.image, scene.mask, optics_size=128)


def drawn(photograph, seed=0, strength=1.0, sampling=None, **options):
    degradation = Degradation(soft_shading=SoftShading(**options))
    return draw_light(photograph, degradation, sampling or LightSampling(), strength, np.random.default_rng(seed))


def test_more_than_half_of_the_lights_come_from_another_side():
    light, before = sample(Degradation(), LightSampling(), np.random.default_rng(0)), 30.0
    turns = [
        turn(
            elsewhere(
                replace(light, azimuth_degrees=float(seed % 360)), before, LightSampling(), np.random.default_rng(seed)
            ).azimuth_degrees,
            before,
        )
        for seed in range(400)
    ]
    assert np.mean(np.array(turns) >= LEAST_TURN) == pytest.approx(0.5 + 0.5 * OTHER_SIDE, abs=0.07)
    assert min(turns) < 20  # some stay where the light was: a model must not learn that it always moves


def test_a_side_that_the_config_asks_for_is_kept():
    sampling = LightSampling(azimuth_range=(170.0, 200.0))
    light = sample(Degradation(), sampling, np.random.default_rng(0))
    for seed in range(60):
        assert 170 <= elsewhere(light, 10.0 * seed, sampling, np.random.default_rng(seed)).azimuth_degrees <= 200


def test_a_light_that_changes_too_little_is_drawn_again_and_the_strongest_is_taken(photograph):
    weak = {"ambient_range": (0.99, 1.0), "pattern_probability": 0.0}
    found = drawn(replace(photograph, blend=1.0), sampling=LightSampling(colour_temperature_range=(6400, 6600)), **weak)
    assert found.draws < DRAWS or found.relit.likeness() > MOST_ALIKE  # nothing fails here
    again = drawn(replace(photograph, blend=1.0), sampling=LightSampling(colour_temperature_range=(6400, 6600)), **weak)
    assert found.light == again.light
    strong = drawn(photograph, ambient_range=(0.0, 0.1), softness_range=(0.0, 0.0))
    assert strong.draws == 1 and strong.relit.likeness() < MOST_ALIKE


def test_strength_moves_a_light_away_from_even_white_light():
    light = sample(Degradation(), LightSampling(colour_temperature_range=(3800, 4200)), np.random.default_rng(3))
    weak, same, strong = (stronger(light, strength) for strength in (0.5, 1.0, 1.5))
    assert weak.ambient > light.ambient > strong.ambient and same.ambient == pytest.approx(light.ambient)
    assert weak.colour_temperature > same.colour_temperature > strong.colour_temperature
    assert same.colour_temperature == pytest.approx(light.colour_temperature)
    assert weak.pattern_opacity <= light.pattern_opacity <= strong.pattern_opacity


def test_a_stronger_light_changes_more(photograph):
    likeness = [
        np.mean([drawn(photograph, seed, strength, pattern_probability=0.0).relit.likeness() for seed in range(12)])
        for strength in (0.5, 1.5)
    ]
    assert likeness[0] > likeness[1] + 0.5


def test_the_brightness_of_the_subject_stays():
    from shared.light.colour import luminance, srgb_to_linear

    ratios = []
    for seed in range(12):
        scene = render("subject", seed, 128)
        lit = drawn(Photograph(scene.image, scene.mask, optics_size=128), seed).relit.whole()
        inside = scene.mask > 127
        ratios.append(
            luminance(srgb_to_linear(lit))[inside].mean() / luminance(srgb_to_linear(scene.image))[inside].mean()
        )
    assert 0.9 < np.median(ratios) < 1.05


def test_the_turn_is_said_where_the_photographs_light_is_known(photograph):
    found = drawn(photograph)
    said = found.as_dict()
    assert said["light_draws"] == found.draws
    if photograph.has_direction:
        assert said["turned_degrees"] == pytest.approx(
            turn(photograph.azimuth_degrees, found.light.azimuth_degrees), abs=0.1
        )
    flat = Photograph(np.full((64, 64, 3), 128, np.uint8), None, optics_size=64)
    assert drawn(flat).turned_degrees() is None
