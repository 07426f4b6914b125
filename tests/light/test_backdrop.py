import numpy as np
import pytest

from shared.light.backdrop import NO_BACKDROP, look_behind
from shared.light.glance import Glance


def person(behind, left=190, right=190):
    """A picture of somebody whose halves are that bright, before what is `behind`, and where that person is."""
    picture = np.empty((192, 192, 3), np.uint8)
    picture[:] = behind
    subject = np.zeros((192, 192), bool)
    subject[40:, 60:132] = True
    picture[40:, 60:96], picture[40:, 96:132] = left, right
    return Glance.of(picture), subject


def test_a_bright_backdrop_without_a_shadow_is_even():
    assert look_behind(*person(225)).is_even
    shadow = np.full((192, 192, 1), 225, np.uint8)
    shadow[:, 132:170] = 120  # somebody's, on the wall
    assert not look_behind(*person(shadow)).is_even
    assert not look_behind(*person(60)).is_even


@pytest.mark.parametrize(
    ("behind", "left", "right", "is_dark"),
    [(6, 190, 190, True), (6, 200, 90, False), (6, 90, 200, False), (6, 70, 70, False), (70, 190, 190, False)],
)
def test_somebody_lit_all_over_before_the_dark_is_lit_alone(behind, left, right, is_dark):
    assert look_behind(*person(behind, left, right)).is_dark == is_dark


def test_where_nobody_is_or_nothing_is_behind_nothing_is_told():
    glance, subject = person(225)
    assert look_behind(glance, np.zeros_like(subject)) == NO_BACKDROP
    assert look_behind(glance, np.ones_like(subject)) == NO_BACKDROP
