import cv2
import numpy as np
import pytest

from shared.light.glance import Glance
from shared.light.sky import NO_SKY, look_up, where_sky_is
from tests.test_default_run import SAMPLES


def scene(upper, lower, ground=(110, 95, 70), horizon=0.45, noise=22, size=(200, 300)):
    """A sky that goes from one colour to another over ground with grain."""
    height, width = size
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 1, height)[:, np.newaxis, np.newaxis]
    picture = np.array(upper) * (1 - rows / horizon) + np.array(lower) * (rows / horizon)
    picture = np.broadcast_to(picture, (height, width, 3)).copy()
    edge = int(horizon * height)
    grain = cv2.GaussianBlur(rng.normal(0, 1, (height - edge, width, 1)).astype(np.float32), (0, 0), 1)[..., np.newaxis]
    picture[edge:] = np.array(ground) + grain / grain.std() * noise
    return np.clip(picture + rng.normal(0, 1, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("upper", "lower", "ground", "weather"),
    [
        ((60, 110, 190), (150, 190, 230), (110, 95, 70), "clear"),
        ((215, 218, 224), (225, 228, 232), (90, 85, 75), "overcast"),
        ((150, 60, 30), (240, 150, 60), (12, 10, 9), "sunset"),
        ((25, 35, 75), (50, 60, 100), (22, 22, 28), "dusk"),
        ((110, 150, 165), (190, 205, 215), (14, 14, 16), "dusk"),  # pale, over a ground that lies in the dark
        ((110, 150, 165), (190, 205, 215), (120, 115, 100), None),
        ((150, 205, 225), (200, 228, 238), (130, 122, 108), "clear"),  # pale blue
        ((60, 110, 190), (150, 190, 230), (14, 14, 16), None),  # blue, and the ground black but for lamps
        ((150, 60, 230), (150, 60, 230), (12, 10, 20), None),  # a coloured lamp's wall
        ((220, 205, 180), (225, 210, 185), (90, 85, 75), None),  # a wall
    ],
)
def test_a_sky_tells_the_weather_and_the_time(upper, lower, ground, weather):
    assert look_up(Glance.of(scene(upper, lower, ground))).weather == weather


def test_the_map_of_a_dusk_covers_the_sky_and_not_the_ground():
    picture = scene((110, 150, 165), (190, 205, 215), (14, 14, 16), noise=9)
    found = where_sky_is(picture)
    assert found[: int(0.35 * len(found))].mean() > 0.95
    assert found[int(0.55 * len(found)) :].mean() < 0.2


def test_the_map_of_a_sky_has_its_clouds_and_no_rocks_and_no_tower():
    rng = np.random.default_rng(1)
    picture = scene((60, 110, 190), (150, 190, 230), horizon=0.6)
    cloud, rock, tower = np.s_[40:62, 60:120], np.s_[90:125, 180:300], np.s_[60:120, 20:30]
    soft = np.zeros((200, 300), np.float32)
    soft[cloud] = 1
    soft = cv2.GaussianBlur(soft, (0, 0), 6)[..., np.newaxis]
    picture = np.uint8(picture * (1 - soft) + 250 * soft)
    picture[rock] = np.clip(150 + rng.normal(0, 40, (35, 120, 1)), 0, 255)
    picture[tower] = 235
    sky = cv2.resize(where_sky_is(picture).astype(np.uint8), (300, 200), interpolation=cv2.INTER_NEAREST)
    assert sky[cloud].mean() > 0.95 and sky[rock].mean() < 0.1 and sky[tower].mean() < 0.3
    assert sky[:80, 130:].mean() > 0.99 and sky[125:].mean() < 0.05


def test_a_blue_sky_above_a_dark_ground_is_spared_whatever_its_weather():
    picture = scene((120, 190, 200), (180, 215, 205), (40, 32, 30), noise=12)
    assert look_up(Glance.of(picture)).weather is None
    assert where_sky_is(picture)[:50].mean() > 0.95
    wall = scene((200, 195, 180), (205, 200, 190), (40, 32, 30), noise=12)
    assert where_sky_is(wall) is None


def test_a_ground_that_the_sun_lights_is_bright_and_warmer_where_it_is_brighter():
    rng = np.random.default_rng(0)
    picture = scene((60, 110, 190), (150, 190, 230))
    shade = cv2.GaussianBlur(rng.normal(0, 1, (110, 300)).astype(np.float32), (0, 0), 6)[..., np.newaxis] > 0
    noise = rng.normal(0, 12, (110, 300, 1))
    picture[90:] = np.clip(np.where(shade, (80, 85, 105), (205, 190, 160)) + noise, 0, 255)
    assert look_up(Glance.of(picture)).is_sunlit
    picture[90:] = np.clip(np.where(shade, (105, 85, 80), (160, 190, 205)) + noise, 0, 255)
    assert not look_up(Glance.of(picture)).is_sunlit


def test_what_stands_dark_before_a_bright_sky_is_backlit():
    assert look_up(Glance.of(scene((150, 60, 30), (240, 150, 60), (12, 10, 9), noise=4))).is_backlit
    assert not look_up(Glance.of(scene((60, 110, 190), (150, 190, 230)))).is_backlit


def test_a_sun_in_the_frame_is_seen_and_a_cloud_is_none():
    dark = scene((50, 80, 140), (120, 150, 190), (52, 47, 40), noise=60)
    rows, columns = np.mgrid[:200, :300]
    distance = np.hypot(rows - 50, columns - 150)
    glow = np.clip(255 - 6 * np.maximum(distance - 8, 0), 0, 255)[..., np.newaxis]
    assert look_up(Glance.of(np.maximum(dark, glow.astype(np.uint8)))).has_sun
    cloud = dark.copy()
    cloud[30:60, 100:200] = 235
    assert not look_up(Glance.of(cloud)).has_sun


@pytest.mark.parametrize("picture", [
    np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8), np.full((50, 50, 3), 255, np.uint8),
    np.zeros((50, 50, 3), np.uint8), np.full((1, 1, 3), 90, np.uint8), np.full((3, 400, 3), (80, 120, 200), np.uint8),
])  # fmt: skip
def test_where_there_is_no_sky_nothing_is_said(picture):
    assert look_up(Glance.of(picture)) == NO_SKY


def test_the_mirror_image_has_the_same_sky():
    for path in sorted(SAMPLES.glob("*.jpg")):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        assert look_up(Glance.of(picture)) == look_up(Glance.of(np.ascontiguousarray(picture[:, ::-1]))), path.name
