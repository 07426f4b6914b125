import numpy as np
import pytest

from shared.light.azimuth import azimuth_of, turn
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.describe import describe
from shared.light.scenes.scenes import render


def landscape(size=300):
    """A sky that is brighter towards the horizon over grained ground in even light."""
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, size)[:, np.newaxis, np.newaxis]
    sky = (0.25 + 0.6 * rows) * np.array([0.7, 0.85, 1.0])
    ground = rng.uniform(0.05, 0.4, (size // 4, size // 4, 3)).repeat(4, 0).repeat(4, 1)
    return linear_to_srgb(np.where(rows < 0.5, sky, ground))


@pytest.mark.slow
@pytest.mark.parametrize(("family", "least"), [("mondrian_gradient", 8), ("two_colours", 7), ("cast_relief", 5)])
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
    assert describe(landscape()).direction is None


@pytest.mark.parametrize(("right", "up", "word"), [(20, 0, "right"), (0, 20, "above"), (-15, 15, "upper left")])
def test_a_long_vector_is_a_claim(right, up, word):
    found = azimuth_of(np.array([right, up]))
    assert found.word == word
    assert found.azimuth_degrees == pytest.approx(np.degrees(np.arctan2(up, right)))
    assert found.confidence > 0.85


def test_a_short_vector_is_none_and_the_confidence_says_so():
    assert azimuth_of(np.array([0.0, 0.0])) == (None, None, pytest.approx(0.125))
    lengths = [azimuth_of(np.array([length, 0.0])) for length in (1, 2, 3, 5, 9)]
    assert [found.azimuth_degrees is None for found in lengths] == [found.confidence < 0.5 for found in lengths]
    assert [found.confidence for found in lengths] == sorted(found.confidence for found in lengths)


def test_light_from_below_is_believed_less_easily():
    above, aside, below = (azimuth_of(np.array(vector)).confidence for vector in ((0.0, 8.0), (8.0, 0.0), (0.0, -8.0)))
    assert above == pytest.approx(aside)
    assert below < above - 0.1
