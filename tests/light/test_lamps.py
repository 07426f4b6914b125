import numpy as np
import pytest

from shared.light.glance import Glance
from shared.light.lamps import count_lamps


def room(lamps, colour=(1.0, 0.8, 0.5), reach=14.0):
    """A dim room with lamps of radius 3 at (x, y), each in a glow of this colour that reaches so far."""
    rows, columns = np.mgrid[:192, :192]
    light = np.full((192, 192, 3), 0.12)
    for x, y in lamps:
        distance = np.hypot(rows - y, columns - x)
        light += 0.6 * np.exp(-np.maximum(distance - 3, 0) / reach)[..., np.newaxis] * colour
        light[distance < 3] = 1
    return Glance.of(np.uint8(255 * np.clip(light, 0, 1)))


@pytest.mark.parametrize("lamps", [[], [(60, 70)], [(40, 50), (150, 60)], [(40, 50), (96, 120), (150, 60)]])
def test_each_spot_in_a_warm_glow_is_a_lamp(lamps):
    assert count_lamps(room(lamps)) == len(lamps)


def test_what_shines_on_the_subject_and_what_glows_in_no_warm_light_is_none():
    subject = np.zeros((192, 192), bool)
    subject[40:100, 40:90] = True
    assert count_lamps(room([(60, 70), (150, 60)]), subject) == 1
    assert count_lamps(room([(60, 70)], colour=(0.7, 0.8, 1.0))) == 0


def test_a_bright_surface_and_a_spot_without_a_glow_are_none():
    picture = np.full((192, 192, 3), 40, np.uint8)
    picture[60:66, 60:66] = 255
    assert count_lamps(Glance.of(picture)) == 0
    picture[20:150, 20:150] = 255
    assert count_lamps(Glance.of(picture)) == 0
