import cv2
import numpy as np
import pytest

from shared.light.glance import Glance
from shared.light.night import is_night, points_of


def lights(count, colour=(255, 250, 235), dark=(8, 9, 12), size=(256, 384)):
    """So many small lights, each on its own place, in the dark."""
    picture = np.full((*size, 3), dark, np.uint8)
    places = [(row, column) for row in range(12, size[0], 18) for column in range(12, size[1], 18)]
    for place in np.random.default_rng(0).permutation(len(places))[:count]:
        row, column = places[place]
        cv2.circle(picture, (column, row), 2, colour, -1)
    return picture


@pytest.mark.parametrize("count", [0, 7, 120])
def test_points_of_light_are_counted(count):
    points = points_of(lights(count))
    assert (points.bright, points.faint) == (count, count)


@pytest.mark.parametrize(
    ("picture", "has_black_sky", "is_told"),
    [
        (lights(120), False, True),
        (lights(120, colour=(255, 190, 70)), False, False),  # the sun through leaves
        (lights(40), False, False),
        (lights(40), True, True),
        (lights(5), True, False),  # a thing in a dark room
        (lights(120, dark=(120, 120, 120)), True, False),
    ],
)
def test_a_night_is_told_by_its_lights(picture, has_black_sky, is_told):
    for seen in (picture, np.ascontiguousarray(picture[:, ::-1])):
        assert is_night(seen, Glance.of(seen).lightness, has_black_sky) == is_told
