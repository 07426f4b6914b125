import cv2
import numpy as np
import pytest
from PIL import Image

from shared.light.colour import linear_to_srgb, rgb_of_cct, srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, enlarge, shrink
from shared.light.network import AXES
from shared.light.scenes.reflectances import mondrian
from shared.light.scenes.scenes import render
from shared.light.shading import agreed_tint, believed, flatten
from tests.conftest import ROOT


def normalised_error(found, true):
    scale = (found * true).sum(axis=(0, 1)) / (found * found).sum(axis=(0, 1))
    return ((found * scale - true) ** 2).mean() / (true**2).mean()


def errors(family, seeds=range(6)):
    """Mean errors of the photographs themselves and of the flattened ones."""
    scenes = [render(family, seed, 256) for seed in seeds]
    before = [normalised_error(srgb_to_linear(scene.image), scene.reflectance) for scene in scenes]
    after = [normalised_error(flatten(scene.image).image, scene.reflectance) for scene in scenes]
    return np.mean(before), np.mean(after)


@pytest.mark.parametrize(
    ("family", "share"),
    [
        ("mondrian_gradient", 0.3),
        ("textured_relief", 0.45),
        ("two_colours", 0.6),
        ("print_relief", 0.95),
        ("subject", 0.45),
        ("cast_relief", 0.5),
        ("gobo", 0.5),
        pytest.param("solids", 0.7, marks=pytest.mark.slow),  # each takes seconds to render
    ],
)
def test_flattening_brings_a_photograph_nearer_to_its_reflectance(family, share):
    before, after = errors(family)
    assert after < share * before


def test_even_light_is_left_nearly_as_it_is():
    _, after = errors("flat")
    assert after < 0.012


def test_shading_as_faint_as_what_even_light_seems_to_have_is_not_believed():
    pattern = np.where(np.arange(100) < 50, -1, 1).astype(np.float32).reshape(10, 10)
    assert np.ptp(believed(0.025 * pattern)) == 0
    assert np.ptp(believed(0.3 * pattern)) > 0.58


@pytest.mark.parametrize("paints", [[(235, 232, 228), (12, 12, 12)], [(235, 232, 228), (12, 12, 12), (30, 60, 150)]])
def test_white_stripes_beside_black_ones_stay_white(paints):
    stripes = np.arange(200) // 20 % len(paints)
    photograph = np.array(paints, np.uint8)[stripes][:, np.newaxis].repeat(200, 1)
    log_shading = flatten(photograph).log_shading
    levels = [log_shading[stripes == paint].mean() for paint in range(len(paints))]
    assert np.ptp(levels) < 0.8  # of the 4.8 between white and black


def test_the_white_cap_and_the_black_jacket_of_a_person_stay_white_and_black():
    photograph = np.asarray(Image.open(ROOT / "configs" / "samples" / "admiral.jpg").convert("RGB"))
    flattened, log_shading = flatten(photograph)
    cap, jacket = (slice(36, 48), slice(250, 262)), (slice(444, 456), slice(173, 185))
    assert log_shading[cap].mean() - log_shading[jacket].mean() < 1.2  # of the 4.1 in the photograph
    assert flattened[cap].mean() > 15 * flattened[jacket].mean()


def test_the_shadow_of_a_bar_is_found_and_patches_in_even_light_are_left():
    light = np.ones((200, 200), np.float32)
    light[60:130] = 0.45
    light = cv2.GaussianBlur(light, (0, 0), 1.5)[..., np.newaxis]
    depths = []
    for seed in range(6):
        paint = mondrian(np.random.default_rng(seed), 200, 30)
        log_shading = flatten(linear_to_srgb(0.9 * paint * light)).log_shading
        depths.append(np.r_[log_shading[:50], log_shading[140:]].mean() - log_shading[70:120].mean())
        assert flatten(linear_to_srgb(0.9 * paint)).log_shading.std() < 0.1
    assert 0.35 < np.median(depths) < 1.0  # 0.8 is true


def test_the_flattened_image_times_the_shading_is_the_photograph():
    photograph = render("subject", 5, 200).image
    flattened, log_shading = flatten(photograph)
    again = flattened * np.exp(log_shading)
    np.testing.assert_allclose(again, np.maximum(srgb_to_linear(photograph), DARKEST), rtol=1e-4)


def test_the_colours_of_a_black_and_white_picture_stay_grey():
    photograph = render("textured_relief", 5, 200).image.mean(axis=-1, keepdims=True).astype(np.uint8).repeat(3, -1)
    flattened = flatten(photograph).image
    np.testing.assert_allclose(flattened / flattened[..., :1], 1, rtol=1e-4)


def test_the_colour_of_the_light_is_taken_out():
    """A quarter of what a warm or a cool light adds to white walls and patches may stay."""
    left, before = [], []
    for seed, kelvin in enumerate((2700, 3300, 9000, 12000) * 2):
        paint = mondrian(np.random.default_rng(seed), 192, 40)
        light = rgb_of_cct(kelvin)
        photograph = linear_to_srgb(0.8 * paint * light / light.max())
        tint = np.log(flatten(photograph).image / (paint * light / light.max() * 0.8)).mean(axis=(0, 1))
        wanted = -np.log(light)
        left.append(np.ptp(tint - wanted))
        before.append(np.ptp(wanted))
    assert np.median(np.array(left) / np.array(before)) < 0.6


def test_black_before_an_amber_sky_stays_black_and_becomes_no_blue():
    rng = np.random.default_rng(5)
    glow = np.exp(-np.hypot(*np.mgrid[-60:60, -120:120]) / 90)[..., None] * (250, 140, 40)
    ground = rng.integers(2, 8, (120, 240, 1)) + np.array([4, 2, 0])
    photograph = np.uint8(np.clip(np.concatenate([glow, ground]), 0, 255))
    flattened = flatten(photograph).image[140:]
    before = np.maximum(srgb_to_linear(photograph), DARKEST)[140:]
    assert 0.8 < flattened.mean() / before.mean() < 1.5
    assert flattened[..., 0].mean() > flattened[..., 2].mean()


def test_a_tint_is_what_two_estimates_have_in_common():
    warm, cool = (np.log(rgb_of_cct(kelvin)) for kelvin in (3000, 9000))
    milder = np.log(rgb_of_cct(4500))
    axes = AXES[:, 1:]
    assert np.allclose(agreed_tint(warm, milder) @ axes[:, 0], milder @ axes[:, 0], atol=0.02)
    assert np.allclose(agreed_tint(warm, milder), agreed_tint(milder, warm))
    assert abs(agreed_tint(warm, cool) @ axes[:, 0]) < 1e-6 and abs(agreed_tint(warm, np.zeros(3))).max() < 1e-6


def test_a_red_thing_in_white_light_does_not_make_the_light_red():
    photograph = np.full((120, 160, 3), 128, np.uint8)
    photograph[:, 60:100] = (200, 40, 30)
    photograph = (photograph + np.random.default_rng(0).integers(-20, 20, (120, 160, 1))).astype(np.uint8)
    tint = flatten(photograph).log_shading.mean(axis=(0, 1))
    assert np.ptp(tint) < 0.15


def test_a_mirrored_photograph_has_the_mirrored_shading():
    photograph = render("solids", 3, 256).image
    straight = flatten(photograph).log_shading
    mirrored = flatten(np.ascontiguousarray(photograph[:, ::-1])).log_shading
    assert np.abs(straight - mirrored[:, ::-1]).max() < 0.02


def test_a_large_photograph_is_flattened_as_its_small_copy_is():
    small = render("mondrian_gradient", 7, 384).image
    large = small.repeat(3, 0).repeat(3, 1)
    found = flatten(large).log_shading[1::3, 1::3]
    assert np.abs(found - flatten(small).log_shading).mean() < 0.05


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 3), (17, 600)])
def test_a_photograph_of_any_shape_is_flattened(shape):
    photograph = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    flattened, log_shading = flatten(photograph)
    assert flattened.shape == (*shape, 3)
    assert log_shading.shape == (*shape, 3)
    assert np.isfinite(flattened).all()


@pytest.mark.parametrize("value", [0, 128, 255])
def test_an_even_picture_has_even_shading(value):
    flattened, log_shading = flatten(np.full((64, 96, 3), value, np.uint8))
    assert np.ptp(log_shading) < 1e-3
    assert np.ptp(flattened) < 1e-3


def test_the_same_photograph_is_flattened_to_the_same_bytes():
    photograph = render("gobo", 2, 256).image
    assert flatten(photograph).log_shading.tobytes() == flatten(photograph).log_shading.tobytes()


def test_blades_that_rise_slowly_and_fall_sharply_make_no_slope_across_the_frame():
    ramp = np.tile(np.r_[np.linspace(60, 200, 11), 60], 16)[np.newaxis].repeat(192, 0)
    grass = ramp[..., np.newaxis].repeat(3, -1).astype(np.uint8)
    log_shading = flatten(grass).log_shading
    assert abs(log_shading[:, :24].mean() - log_shading[:, -24:].mean()) < 0.2


def test_a_map_enlarged_in_bands_is_the_map_enlarged_at_once():
    import cv2

    small = np.random.default_rng(1).random((7, 11, 3)).astype(np.float32)
    parts = [enlarge(small, 50, 33, slice(top, min(50, top + 8))) for top in range(0, 50, 8)]
    expected = cv2.resize(small, (33, 50), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(np.concatenate(parts), expected, atol=1e-5)


def test_bands_cover_every_row_once():
    rows = [row for band in bands(3000, 4000) for row in range(band.start, band.stop)]
    assert rows == list(range(3000))


def test_a_guided_map_follows_the_edges_of_the_large_photograph():
    large = np.zeros((400, 400, 3), np.uint8)
    large[:, 201:] = 200
    small = shrink(large, 50)
    values = np.where(np.arange(50) < 25, 0.0, 1.0).astype(np.float32)[np.newaxis].repeat(50, 0)
    found = GuidedMap(values, small, 400, 400, radius=2).rows(large, slice(0, 400))
    # Bilinear interpolation would pass from 0 to 1 over eight pixels.
    assert found[200, 203] - found[200, 198] > 0.9


def test_shrinking_leaves_a_small_photograph_as_it_is():
    photograph = linear_to_srgb(np.random.default_rng(0).random((30, 20, 3)))
    assert shrink(photograph, 30) is photograph
    assert shrink(photograph, 15).shape == (15, 10, 3)
