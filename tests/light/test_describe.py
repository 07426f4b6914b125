import json

import numpy as np
import pytest

from shared.light.azimuth import turn
from shared.light.colour import linear_to_srgb, rgb_of_cct, srgb_to_linear
from shared.light.describe import Light, describe
from shared.light.direction import fit_contour, fit_plane, word_of
from shared.light.scenes.scenes import render


def ball(azimuth, size=200, elevation=40.0):
    """A matt white ball before grey, its mask, lit from `azimuth`."""
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    radius = np.hypot(rows, columns) / 0.35
    z = np.sqrt(np.clip(1 - radius**2, 0, None))
    a, e = np.radians((azimuth, elevation))
    light = np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    shade = columns / 0.35 * light[0] - rows / 0.35 * light[1] + z * light[2]
    picture = np.where(radius < 1, 0.15 + 0.6 * np.clip(shade, 0, 1), 0.3)
    return linear_to_srgb(picture[..., np.newaxis].repeat(3, -1)), np.where(radius < 1, 255, 0).astype(np.uint8)


@pytest.mark.parametrize("azimuth", range(0, 360, 45))
def test_the_light_on_a_ball_comes_from_where_it_was_put(azimuth):
    photograph, mask = ball(azimuth)
    light = describe(photograph, mask)
    assert turn(light.azimuth_degrees, azimuth) < 10
    assert light.direction == word_of(azimuth)


@pytest.mark.parametrize(
    ("azimuth", "word"),
    [
        (0, "right"),
        (44, "upper right"),
        (90, "above"),
        (180, "left"),
        (225, "lower left"),
        (270, "below"),
        (359, "right"),
    ],
)
def test_each_word_stands_for_45_degrees(azimuth, word):
    assert word_of(azimuth) == word


def test_light_from_the_camera_is_called_front():
    photograph, mask = ball(0, elevation=90)
    light = describe(photograph, mask)
    assert (light.azimuth_degrees, light.direction) == (None, "front")


def test_no_direction_is_claimed_of_even_light():
    claims = [describe(render("flat", seed, 256).image).direction for seed in range(12)]
    assert claims.count(None) >= 11


def test_clipped_pixels_do_not_bend_the_direction():
    photograph, mask = ball(180)
    brighter = linear_to_srgb(srgb_to_linear(photograph) * np.float32(1.7))
    assert (brighter == 255).any()
    assert turn(describe(brighter, mask).azimuth_degrees, 180) < 12


@pytest.mark.parametrize("family", ["subject", "mondrian_gradient"])
def test_a_mirrored_photograph_has_the_mirrored_direction(family):
    claims = 0
    for seed in range(6):
        scene = render(family, seed, 256)
        mirrored_mask = None if scene.mask is None else np.ascontiguousarray(scene.mask[:, ::-1])
        straight = describe(scene.image, scene.mask)
        mirrored = describe(np.ascontiguousarray(scene.image[:, ::-1]), mirrored_mask)
        assert (straight.azimuth_degrees is None) == (mirrored.azimuth_degrees is None)
        if straight.azimuth_degrees is not None:
            assert turn(mirrored.azimuth_degrees, 180 - straight.azimuth_degrees) < 3
            claims += 1
    assert claims >= 4


def test_an_empty_mask_is_as_good_as_none():
    photograph, _ = ball(90)
    assert describe(photograph, np.zeros(photograph.shape[:2], np.uint8)) == describe(photograph)


def test_a_straight_edge_alone_tells_no_direction():
    mask = np.zeros((100, 100), bool)
    mask[:, 50:] = True
    shading = np.linspace(0, 1, 100, dtype=np.float32)[np.newaxis].repeat(100, 0)
    assert fit_contour(shading, np.ones_like(mask), np.zeros_like(mask), mask) is None


def test_clipped_values_count_as_at_least_so_high():
    _, columns = np.mgrid[:60, :80]
    true = (columns - 39.5) / 80
    seen = np.minimum(true, 0.1).astype(np.float32)
    fit = fit_plane(seen, np.ones_like(seen, bool), seen >= 0.1)
    assert fit.across == pytest.approx(1.0, abs=0.1)
    assert fit_plane(seen, np.ones_like(seen, bool), np.zeros_like(seen, bool)).across < 0.8


@pytest.mark.parametrize(("kelvin", "low", "high"), [(2800, 2300, 3400), (5500, 4700, 6400), (10000, 8000, 13500)])
def test_the_temperature_of_the_light_is_measured(kelvin, low, high):
    patches = np.random.default_rng(0).uniform(0.1, 0.7, (12, 12, 1)).repeat(20, 0).repeat(20, 1)
    photograph = linear_to_srgb(patches * rgb_of_cct(kelvin) / rgb_of_cct(kelvin).max())
    assert low < describe(photograph).cct_kelvin < high


def test_stops_of_exposure_are_told_apart():
    photograph = linear_to_srgb(np.random.default_rng(0).uniform(0.05, 0.9, (100, 100, 3)))
    levels = [
        describe(linear_to_srgb(srgb_to_linear(photograph) * np.float32(2.0**stops))).exposure_ev
        for stops in (0, -1, -2, -3)
    ]
    np.testing.assert_allclose(np.diff(levels), [-1, -1, -1], atol=0.15)


@pytest.mark.parametrize(("level", "key"), [(0.02, "low"), (0.2, "mid"), (0.7, "high")])
def test_the_key_is_named_by_the_mean_lightness(level, key):
    assert describe(linear_to_srgb(np.full((50, 50, 3), level))).key == key


def test_low_contrast_is_less_than_high_contrast():
    rng = np.random.default_rng(0)
    low = linear_to_srgb(rng.uniform(0.2, 0.3, (80, 80, 1)).repeat(3, -1))
    high = linear_to_srgb(rng.choice([0.01, 0.9], (80, 80, 1)).repeat(3, -1))
    assert describe(low).contrast == pytest.approx(np.log2(0.298 / 0.202), abs=0.1)
    assert describe(high).contrast == pytest.approx(np.log2(0.9 / 0.01), abs=0.2)


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
def test_a_tiny_photograph_is_described_without_a_claim(shape):
    light = describe(np.full((*shape, 3), 90, np.uint8))
    assert (light.azimuth_degrees, light.direction) == (None, None)


def test_the_values_of_a_record_are_json():
    photograph, mask = ball(30)
    light = describe(photograph, mask)
    assert json.loads(json.dumps(light.as_dict())) == light.as_dict()
    assert list(light.as_dict()) == list(Light.__dataclass_fields__)


def test_of_a_black_and_white_picture_no_colour_of_light_is_told():
    from skimage import data

    grey = np.repeat(data.camera()[..., None], 3, axis=2)
    assert describe(grey).cct_kelvin is None
    assert describe(data.astronaut()).cct_kelvin is not None
    warm = np.clip(grey * np.array([1.1, 1.0, 0.8]), 0, 255).astype(np.uint8)  # a print in warm light
    assert describe(warm).cct_kelvin < 5500


def test_a_mirrored_photograph_has_the_same_weather_shadows_and_tinge():
    import cv2

    from tests.test_default_run import SAMPLES

    told = set()
    for path in sorted(SAMPLES.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        straight, mirrored = (
            {name: getattr(light, name) for name in ("weather", "shadows", "tinge", "is_backlit", "has_sun")}
            for light in map(describe, (picture, np.ascontiguousarray(picture[:, ::-1])))
        )
        assert straight == mirrored, path.name
        told |= {value for value in straight.values() if value}
    assert {"clear", "dusk"} <= told


def test_somebody_before_the_dark_is_lit_alone_and_a_bright_backdrop_is_soft_light():
    picture, mask = np.full((300, 300, 3), 4, np.uint8), np.zeros((300, 300), np.uint8)
    mask[60:, 90:210] = 255
    picture[mask > 0] = 170
    light = describe(picture, mask)
    assert (light.is_lit_alone, light.shadows) == (True, None)
    picture[mask == 0] = 225
    picture[60:180, 90:210] = 30  # hair and clothes
    light = describe(picture, mask)
    assert (light.is_lit_alone, light.shadows) == (False, "soft")
