import cv2
import numpy as np
import pytest

from shared.decoding.shot import Shot
from shared.images import open_image
from shared.light import daylight, network
from shared.light.daylight import is_daylight, network_input, odds_of
from shared.light.describe import describe
from tests.test_default_run import SAMPLES

MOST_BYTES = 4_000_000  # of the networks that a clone brings along


def sample(name):
    return np.asarray(open_image(str(SAMPLES / name), longest_side=768))


def test_what_was_taken_outdoors_is_in_daylight():
    assert is_daylight(sample("dogs.jpg"))


@pytest.mark.parametrize("name", ["dogs.jpg", "fig.jpg"])
def test_a_mirror_image_is_in_the_same_light(name):
    np.testing.assert_allclose(odds_of(np.ascontiguousarray(sample(name)[:, ::-1])), odds_of(sample(name)), atol=0.02)


@pytest.mark.parametrize("name", ["music_room.jpg", "astronaut.jpg", "coffee.jpg", "rocket.jpg"])
def test_lamps_flashes_and_evenings_are_not(name):
    assert not is_daylight(sample(name))


@pytest.mark.parametrize("level", [0, 128, 255])
def test_of_nothing_nothing_is_said(level):
    assert not is_daylight(np.full((90, 120, 3), level, np.uint8))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4000), (4000, 3), (768, 512)])
def test_a_picture_of_any_shape_is_looked_at(height, width):
    pixels = network_input(np.zeros((height, width, 3), np.uint8))
    assert all(side % network.STRIDE == 0 and side > 0 for side in pixels.shape[2:])
    assert odds_of(np.zeros((height, width, 3), np.uint8)).shape == (3,)


def test_its_odds_hardly_depend_on_the_size_of_the_file():
    large = sample("dogs.jpg")
    small = cv2.resize(large, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(odds_of(small), odds_of(large), atol=1)


def test_describe_says_so_but_not_of_what_its_sky_or_its_camera_tells_already():
    dogs = sample("dogs.jpg")
    assert describe(dogs).source == "daylight"
    assert describe(dogs, shot=Shot(True, 1 / 60, 12.0)).source is None  # a flash that fills shadows
    assert describe(dogs, shot=Shot(True, 1 / 60, 9.0)).source == "flash"
    assert describe(np.repeat(dogs.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)).source is None
    mountains = describe(sample("mountains.jpg"))
    assert (mountains.weather, mountains.source) == ("clear", None)


def test_the_networks_of_a_clone_stay_small():
    files = [daylight.DAYLIGHT_FILE, *network.NETWORK_FILES.values()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
