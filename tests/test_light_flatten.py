import numpy as np
import pytest

from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, enlarge, shrink
from shared.light.flatten import believed, flatten
from shared.light.gradients import Smoothness, changes, fit_to_changes
from shared.light.scenes import render


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
        ("textured_relief", 0.6),
        ("two_colours", 0.8),
        ("print_relief", 0.7),
        ("subject", 0.85),
        ("cast_relief", 0.6),
        ("gobo", 0.6),
        ("solids", 0.95),
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
    assert np.ptp(believed(0.05 * pattern)) == 0
    assert np.ptp(believed(0.3 * pattern)) > 0.5


def test_white_cloth_beside_black_cloth_stays_white():
    photograph = np.full((200, 200, 3), 12, np.uint8)
    photograph[60:140, 60:140] = (235, 232, 228)
    log_shading = flatten(photograph).log_shading
    assert abs(log_shading[80:120, 80:120].mean() - log_shading[:40].mean()) < 0.8  # of the 4.8 between the two


def test_the_edge_of_a_shadow_on_coloured_paint_is_found_and_that_between_two_paints_is_not():
    paint = np.tile(np.float32([0.5, 0.15, 0.1]), (200, 200, 1))
    paint[100:] = (0.15, 0.3, 0.5)
    light = np.where(np.arange(200) < 100, 1.0, 0.5).astype(np.float32)[:, np.newaxis]
    log_shading = flatten(linear_to_srgb(paint * light)).log_shading
    across = log_shading[:, 60:90].mean() - log_shading[:, 110:140].mean()
    down = log_shading[60:90].mean() - log_shading[110:140].mean()
    assert 0.4 < across < 0.9  # ln 2 is 0.69
    assert abs(down) < 0.1


def test_the_flattened_image_times_the_shading_is_the_photograph():
    photograph = render("subject", 5, 200).image
    flattened, log_shading = flatten(photograph)
    again = flattened * np.exp(log_shading)[..., np.newaxis]
    np.testing.assert_allclose(again, np.maximum(srgb_to_linear(photograph), DARKEST), rtol=1e-4)


def test_colours_are_kept():
    photograph = render("textured_relief", 5, 200).image
    flattened = flatten(photograph).image
    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    np.testing.assert_allclose(flattened / flattened[..., :1], linear / linear[..., :1], rtol=1e-3)


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
    assert log_shading.shape == shape
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


def test_steps_are_put_together_to_the_picture_they_came_from():
    random = np.random.default_rng(3)
    picture = random.random((20, 30)).astype(np.float32)
    trust = tuple(random.uniform(0.5, 1, step.shape).astype(np.float32) for step in changes(picture))
    nothing, light = np.zeros_like(picture), np.full_like(picture, 1e-6)
    free = Smoothness(bend=0, slope=0, height=0)
    found = fit_to_changes(changes(picture), trust, nothing, light, free, iterations=60)
    np.testing.assert_allclose(found - found.mean(), picture - picture.mean(), atol=0.02)


def test_across_a_step_that_is_not_trusted_the_slope_goes_on():
    ramp = np.tile(np.linspace(0, 1, 40, dtype=np.float32), (24, 1))
    stepped = ramp + np.where(np.arange(40) < 20, 0, 1).astype(np.float32)
    across, down = (np.ones_like(step) for step in changes(ramp))
    across[:, 19] = 1e-4
    pull = np.full_like(ramp, 1e-6)
    found = fit_to_changes(
        changes(stepped), (across, down), np.zeros_like(ramp), pull, Smoothness(1.0, 0.0, 0.0), iterations=80
    )
    np.testing.assert_allclose(found - found.mean(), ramp - ramp.mean(), atol=0.05)


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
