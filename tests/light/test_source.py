import numpy as np
import pytest

from shared.decoding.shot import Shot
from shared.light.describe import describe
from shared.light.source import light_source_of
from tests.light.test_night import lights

FLASH, SUN, STUDIO, ROOM = (
    Shot(True, 1 / 60, 9.0),
    Shot(False, 1 / 500, 14.0),
    Shot(False, 1 / 160, 13.3),
    Shot(False, 1 / 40, 6.0),
)


@pytest.mark.parametrize(
    ("shot", "weather", "source"),
    [
        (FLASH, None, "flash"),
        (FLASH, "night", "flash"),
        (FLASH, "dusk", None),  # a landscape: the flash reaches nothing of it
        (Shot(True, 1 / 200, 12.0), None, None),  # by day
        (Shot(True, None, None), None, None),
        (SUN, None, "daylight"),
        (SUN, "clear", None),  # said by the weather
        (SUN, "night", None),  # a town's sign, or a mistaken night
        (STUDIO, None, None),
        (ROOM, None, None),
        (Shot(False, 1 / 500, None), None, None),
        (None, None, None),
    ],
)
def test_the_source_is_told_where_the_camera_knew_it(shot, weather, source):
    assert light_source_of(shot, weather) == source


def test_the_source_is_part_of_the_light():
    grey = np.full((60, 90, 3), 90, np.uint8)
    assert describe(grey, shot=FLASH).as_dict()["source"] == "flash"
    assert describe(grey).source is None


def test_what_a_flash_leaves_black_is_no_night():
    picture = lights(80)
    picture[:120] = 16, 17, 24
    rough = np.random.default_rng(0).integers(0, 40, (136, 384, 1), np.uint8)
    picture[120:] = np.maximum(picture[120:], rough)
    assert describe(picture).weather == "night"
    assert describe(picture, shot=FLASH).weather is None
