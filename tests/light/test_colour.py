import numpy as np
import pytest

from shared.light.colour import (
    MAX_KELVIN,
    cct_of_rgb,
    illuminant,
    lightness,
    linear_to_srgb,
    luminance,
    rgb_of_cct,
    srgb_to_linear,
)


def test_every_stored_value_survives_the_way_to_linear_light_and_back():
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert linear_to_srgb(srgb_to_linear(stored)).tolist() == stored.tolist()


def test_linear_light_is_that_of_the_standard():
    # 0.04045 and 0.5 by the formula of IEC 61966-2-1.
    found = srgb_to_linear(np.array([0, 10, 128, 255], np.uint8))
    assert found.tolist() == pytest.approx([0.0, 10 / 255 / 12.92, 0.21586, 1.0], abs=1e-5)


def test_what_lies_outside_the_range_is_clipped():
    assert linear_to_srgb(np.array([-1.0, 0.0, 1.0, 9.0], np.float32)).tolist() == [0, 0, 255, 255]


def test_white_has_luminance_one_and_lightness_a_hundred():
    white = np.ones((1, 1, 3), np.float32)
    assert float(luminance(white)[0, 0]) == pytest.approx(1, abs=1e-4)
    assert lightness(np.array([0.0, 0.18418652, 1.0])).tolist() == pytest.approx([0, 50, 100], abs=1e-3)


@pytest.mark.parametrize("kelvin", [2000, 2856, 3999, 4000, 5000, 6504, 9000])
def test_a_colour_made_of_a_temperature_has_that_temperature(kelvin):
    assert cct_of_rgb(rgb_of_cct(kelvin)) == pytest.approx(kelvin, rel=0.02)


@pytest.mark.parametrize("rgb", [(1, 1, 1), (1, 0.7, 0.4), (0.8, 0.9, 1), (1, 0.5, 0.2)])
@pytest.mark.filterwarnings("ignore")
def test_the_temperature_is_that_of_colour_science(rgb):
    colour = pytest.importorskip("colour")
    from shared.light.colour import RGB_TO_XYZ

    xyz = RGB_TO_XYZ @ np.array(rgb)
    expected = colour.temperature.xy_to_CCT(xyz[:2] / xyz.sum(), "McCamy 1992")
    assert cct_of_rgb(np.array(rgb)) == pytest.approx(float(expected), rel=1e-6)


def test_a_light_bluer_than_any_sky_is_at_the_end_of_the_range():
    assert cct_of_rgb(np.array([0.1, 0.1, 1.0])) == MAX_KELVIN


@pytest.mark.parametrize("kelvin", [3000, 5000, 6504, 9000])
def test_the_light_on_grey_patches_is_found(kelvin):
    patches = np.random.default_rng(0).uniform(0.1, 0.7, (12, 12, 1)).repeat(20, 0).repeat(20, 1)
    picture = linear_to_srgb(patches * rgb_of_cct(kelvin) / rgb_of_cct(kelvin).max())
    assert cct_of_rgb(illuminant(picture)) == pytest.approx(kelvin, rel=0.06)


def test_a_picture_without_edges_is_called_neutral():
    assert illuminant(np.full((20, 20, 3), 255, np.uint8)).tolist() == [1, 1, 1]
    assert illuminant(np.full((20, 20, 3), 90, np.uint8)).tolist() == [1, 1, 1]
