"""Whether light comes from where it was asked for, measured on scenes whose light is known."""

import numpy as np
import pytest
from PIL import Image

from shared.light.direction import WORDS
from shared.light.scenes.sides import SURFACES, azimuth_of_side, draw_surface
from shared.light.words import FROM_A_SIDE
from shared.relighter.evaluation.obedience import asked_azimuth, changed_azimuth, obedience, obeys, share_of_sources


@pytest.mark.parametrize("side", WORDS)
def test_every_wording_of_a_side_is_understood(side):
    for phrase in FROM_A_SIDE[side]:
        assert asked_azimuth(f"Warm light {phrase}, high contrast") == azimuth_of_side(side)


@pytest.mark.parametrize("text", ["warm soft light", "light from the front", "a bright scene, right on the water", ""])
def test_an_instruction_without_a_side_asks_for_none(text):
    assert asked_azimuth(text) is None


@pytest.mark.parametrize(
    ("asked", "found", "is_obeyed"),
    [
        (0.0, 350.0, True),
        (0.0, 44.0, True),
        (0.0, 46.0, False),
        (180.0, 0.0, False),
        (315.0, 5.0, False),
        (90.0, None, False),
    ],
)
def test_within_45_degrees_is_obeyed(asked, found, is_obeyed):
    assert obeys(asked, found) is is_obeyed


@pytest.mark.parametrize("family", SURFACES)
def test_the_side_is_told_from_what_changed(family):
    errors = []
    for seed in range(4):
        surface = draw_surface(family, np.random.default_rng(seed), 64)
        for side in WORDS:
            found = changed_azimuth(surface.lit("front"), surface.lit(side), surface.normals)
            errors.append(180.0 if found is None else abs((found - azimuth_of_side(side) + 180) % 360 - 180))
    assert np.median(errors) < 15
    assert np.mean(np.array(errors) <= 45) > 0.95


def test_the_side_of_a_subject_is_told_by_its_contour():
    rows, columns = np.mgrid[:128, :128] / 64.0 - 1
    mask = np.hypot(rows, columns) < 0.7
    source = np.full((128, 128, 3), 120, np.uint8)
    relit = (
        np.clip(120 - 90 * columns[..., np.newaxis] * mask[..., np.newaxis], 0, 255).astype(np.uint8).repeat(3, axis=-1)
    )
    assert changed_azimuth(source, relit, mask=mask) == pytest.approx(180, abs=5)


@pytest.mark.parametrize("family", SURFACES)
def test_a_copy_of_the_source_comes_from_nowhere(family):
    surface = draw_surface(family, np.random.default_rng(0), 64)
    source = surface.lit("front")
    assert changed_azimuth(source, source) is None
    assert changed_azimuth(source, source, surface.normals) is None


def test_without_normals_and_mask_the_side_is_told_where_the_image_shows_it():
    surface = draw_surface("patches", np.random.default_rng(0), 64)
    assert changed_azimuth(surface.lit("front"), surface.lit("upper left")) == pytest.approx(135, abs=10)


def test_a_row_is_measured_with_its_normals(tmp_path):
    surface = draw_surface("solids", np.random.default_rng(1), 64)
    Image.fromarray(np.rint((surface.normals + 1) * 127.5).astype(np.uint8)).save(tmp_path / "normals.png")
    row = {"key": "a", "normals_path": str(tmp_path / "normals.png")}
    half = [np.asarray(Image.fromarray(surface.lit(side)).resize((32, 32))) for side in ("front", "below")]
    found = obedience(row, "light from below", *half)
    assert (found["azimuth_asked"], found["obedience"], found["obedience_floor"]) == (270.0, 1, 0.25)
    assert found["azimuth_found"] == pytest.approx(270, abs=30)
    assert obedience(row, "warm light", *half) == {}


def test_a_source_counts_when_all_its_instructions_are_obeyed():
    rows = [
        {"input_image_path": "a.png", "obedience": 1},
        {"input_image_path": "b.png", "obedience": 1},
        {"input_image_path": "a.png", "obedience": 1},
        {"input_image_path": "b.png", "obedience": 0},
        {"input_image_path": "c.png"},
    ]
    assert share_of_sources(rows, "input_image_path") == 0.5
    assert share_of_sources(rows[-1:], "input_image_path") is None
