import numpy as np
import pytest

from shared.light.azimuth import FROM_BELOW, azimuth_of, sky_of
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.describe import describe
from shared.light.scenes import render
from shared.light.steps import SCALES, steps_of


def turn(one, other):
    return abs((one - other + 180) % 360 - 180)


def landscape(size=300):
    """A sky that is brighter towards the horizon over grained ground in even light."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, size)[:, np.newaxis, np.newaxis]
    sky = (0.25 + 0.6 * rows) * np.array([0.7, 0.85, 1.0])
    ground = rng.uniform(0.05, 0.4, (size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)
    return linear_to_srgb(np.where(rows < 0.5, sky, ground))


@pytest.mark.parametrize(("family", "least"), [("mondrian_gradient", 8), ("two_colours", 3), ("cast_relief", 2)])
def test_what_is_claimed_of_a_whole_image_is_right(family, least):
    scenes = [render(family, seed) for seed in range(9)]
    claims = [(describe(scene.image).azimuth_degrees, scene.azimuth_degrees) for scene in scenes]
    errors = [turn(found, true) for found, true in claims if found is not None]
    assert len(errors) >= least
    assert np.median(errors) < 15
    assert max(errors) < 60


def test_an_azimuth_survives_a_stop_of_exposure():
    scene = render("mondrian_gradient", 1)
    found = describe(scene.image)
    for stops in (-1, 1):
        again = describe(linear_to_srgb(srgb_to_linear(scene.image) * np.float32(2.0**stops)))
        assert turn(again.azimuth_degrees, found.azimuth_degrees) < 12


def test_a_sky_tells_nothing_of_the_light_on_the_ground():
    photograph = landscape()
    sky = sky_of(steps_of(photograph))
    assert sky[:140].all()
    assert not sky[165:].any()
    assert describe(photograph).direction is None
    assert azimuth_of(steps_of(photograph), np.ones(sky.shape, bool)).word in (None, "below")
    assert describe(np.ascontiguousarray(photograph[::-1])).direction in (None, "above")


def test_light_from_below_is_believed_less_easily():
    scene = render("mondrian_gradient", 1, 200)
    everything = np.ones((200, 200), bool)
    found = [
        azimuth_of(steps_of(np.ascontiguousarray(image)), everything) for image in (scene.image, scene.image[::-1])
    ]
    odds = [np.log(claim.confidence / (1 - claim.confidence)) for claim in found]
    height = abs(np.sin(np.radians(scene.azimuth_degrees)))
    assert height > 0.3
    from_above, from_below = odds if np.sin(np.radians(scene.azimuth_degrees)) > 0 else odds[::-1]
    assert from_above - from_below == pytest.approx(FROM_BELOW * height, abs=0.2)


def test_steps_do_not_depend_on_the_exposure():
    picture = np.random.default_rng(0).uniform(0.1, 0.8, (20, 20, 3)).repeat(8, 0).repeat(8, 1)
    bright, dark = steps_of(linear_to_srgb(picture)), steps_of(linear_to_srgb(picture / 2))
    for scale in SCALES:
        np.testing.assert_allclose(bright[scale].size, dark[scale].size, atol=0.03)


def test_clipped_and_black_pixels_are_not_used_nor_what_their_blur_reaches():
    photograph = np.full((60, 60, 3), 128, np.uint8)
    photograph[30, 20], photograph[30, 40] = 255, 0
    for scale, at in steps_of(photograph).items():
        for column in (20, 40):
            assert not at.usable[30, column]
            assert not at.usable[30, column + 2 * scale]
            assert at.usable[30 + 2 * scale + 1, column]


def test_a_warm_lights_shadow_is_no_change_of_colour_and_paint_is():
    lit, shadow = np.array([0.6, 0.5, 0.4]), np.array([0.15, 0.15, 0.15])
    paint = np.array([0.6, 0.2, 0.45])
    for dark, is_light in ((shadow, True), (paint, False)):
        picture = np.where(np.arange(80)[np.newaxis, :, np.newaxis] < 40, lit, dark).repeat(80, 0)
        at = steps_of(linear_to_srgb(picture))[2]
        assert (at.colour[40, 40] < 0.2 * at.size[40, 40]) == is_light
