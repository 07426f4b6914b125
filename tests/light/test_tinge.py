import numpy as np
import pytest

from shared.light.colour import linear_to_srgb
from shared.light.glance import Glance
from shared.light.tinge import tinge_of


def things(light, seed=0):
    """Patches of all colours under a light of this linear RGB."""
    patches = np.random.default_rng(seed).uniform(0.05, 0.6, (12, 18, 3)).repeat(12, 0).repeat(12, 1)
    return linear_to_srgb(patches * np.array(light))


@pytest.mark.parametrize(
    ("picture", "tinge"),
    [
        (things((1.0, 1.0, 1.0)), None),
        (things((0.3, 0.5, 2.0)), "blue"),
        (things((1.0, 0.6, 0.2)), None),
        (things((0.25, 0.015, 0.5)), "neon"),
        (things((1.9, 0.2, 3.0)), None),  # violet, and not dim
        (np.zeros((40, 40, 3), np.uint8), None),
        (np.full((1, 1, 3), 90, np.uint8), None),
    ],
)
def test_a_light_that_lies_on_all_of_a_picture_has_a_tinge(picture, tinge):
    assert tinge_of(Glance.of(picture)) == tinge
    assert tinge_of(Glance.of(np.ascontiguousarray(picture[:, ::-1]))) == tinge


def test_a_blue_thing_on_white_is_in_white_light():
    picture = np.full((192, 192, 3), (70, 100, 170), np.uint8)
    picture[:40] = (238, 238, 238)
    assert tinge_of(Glance.of(picture)) is None


def test_one_yellow_thing_among_blue_ones_speaks_against_a_blue_light():
    blue = np.full((192, 192, 3), (70, 100, 170), np.uint8)
    assert tinge_of(Glance.of(blue)) == "blue"
    blue[:30] = (200, 170, 60)
    assert tinge_of(Glance.of(blue)) is None
