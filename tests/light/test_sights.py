import cv2
import numpy as np
import pytest

from shared.decoding.shot import Shot
from shared.images import open_image
from shared.light import network, sights
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.degradation.patterns import cast
from shared.light.describe import describe
from shared.light.sights import NO_WINDOW, Sights, bright_pane, look_around, network_input
from tests.test_default_run import SAMPLES

MOST_BYTES = 4_000_000  # of the networks that a clone brings along
EVERY_SAMPLE = sorted(path.name for path in SAMPLES.glob("*.jpg"))


def sample(name):
    return np.asarray(open_image(str(SAMPLES / name), longest_side=768))


def under(kind, photograph, seed=0):
    """A photograph with a pattern cast on it."""
    light = cast(kind, *photograph.shape[:2], 0.003, np.random.default_rng(seed))[..., np.newaxis]
    return linear_to_srgb(srgb_to_linear(photograph) * (0.15 + 0.85 * light) * np.float32(1.3))


def test_what_was_taken_outdoors_is_in_daylight():
    assert look_around(sample("dogs.jpg")).is_daylight


@pytest.mark.parametrize("name", ["dogs.jpg", "fig.jpg"])
def test_a_mirror_image_is_in_the_same_light(name):
    mirrored = look_around(np.ascontiguousarray(sample(name)[:, ::-1]))
    np.testing.assert_allclose(mirrored, look_around(sample(name)), atol=0.02)


@pytest.mark.parametrize("name", ["music_room.jpg", "astronaut.jpg", "coffee.jpg", "rocket.jpg"])
def test_lamps_flashes_and_evenings_are_not(name):
    assert not look_around(sample(name)).is_daylight


def test_a_low_sun_is_golden_and_a_room_lit_by_lamps_is_warm():
    assert look_around(sample("sunset.jpg")).is_golden
    assert look_around(sample("music_room.jpg")).is_warm
    for name in ("dogs.jpg", "mountains.jpg", "fig.jpg"):
        seen = look_around(sample(name))
        assert not seen.is_golden and not seen.is_warm


def test_who_is_seen_is_a_person_and_animals_and_things_are_not():
    odds = {name: look_around(sample(name)).person for name in EVERY_SAMPLE}
    people = {"admiral.jpg", "astronaut.jpg", "cameraman.jpg"}
    assert min(odds[name] for name in people) > 2 and max(odds[name] for name in set(odds) - people) < 0


@pytest.mark.parametrize(
    ("kind", "name"), [("venetian_blind", "striped"), ("tree_foliage", "dappled"), ("window_frame", "window")]
)
def test_a_pattern_that_lies_on_a_photograph_is_told_and_hardly_taken_for_the_other(kind, name):
    told = [look_around(under(kind, sample(photograph))).pattern for photograph in EVERY_SAMPLE]
    assert told.count(name) >= 5 and set(told) <= {name, None}


def test_no_sample_has_a_pattern():
    assert {look_around(sample(name)).pattern for name in EVERY_SAMPLE} == {None}


@pytest.mark.parametrize("level", [0, 128, 255])
def test_of_nothing_nothing_is_said(level):
    seen = look_around(np.full((90, 120, 3), level, np.uint8))
    assert not (seen.is_daylight or seen.is_golden or seen.is_warm or seen.pattern)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 4000), (4000, 3), (768, 512)])
def test_a_picture_of_any_shape_is_looked_at(height, width):
    pixels = network_input(np.zeros((height, width, 3), np.uint8))
    assert all(side % network.STRIDE == 0 and side > 0 for side in pixels.shape[2:])
    assert np.isfinite(look_around(np.zeros((height, width, 3), np.uint8))).all()


def test_its_odds_hardly_depend_on_the_size_of_the_file():
    large = sample("dogs.jpg")
    small = cv2.resize(large, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(look_around(small), look_around(large), atol=1.2)


def test_dots_in_the_dark_are_no_night_where_it_is_day_and_a_blue_wall_is_no_sky(monkeypatch):
    rocket, mountains = sample("rocket.jpg"), sample("mountains.jpg")
    assert look_around(mountains).may_be_day and describe(mountains).weather == "clear"
    nothing = Sights(*[-6.0] * len(Sights._fields))
    monkeypatch.setattr("shared.light.describe.look_around", lambda photograph: nothing)
    assert describe(mountains).weather is None
    monkeypatch.setattr("shared.light.describe.is_night", lambda *seen: True)
    assert describe(rocket).weather == "night"
    monkeypatch.setattr("shared.light.describe.look_around", lambda photograph: nothing._replace(day=3.0))
    assert describe(rocket).weather != "night"


def test_the_stronger_of_two_patterns_is_told():
    nothing = Sights(*[0.0] * len(Sights._fields))
    assert nothing.pattern is None
    assert nothing._replace(dappled=5.0, striped=3.5).pattern == "dappled"
    assert nothing._replace(dappled=4.0, striped=6.0).pattern == "striped"


def drawn_room(has_window):
    """A dim room with a floor, a seat and curtains, and maybe a window between them."""
    room = np.full((480, 640, 3), (92, 86, 80), np.uint8)
    room[330:] = 88, 62, 42
    room[300:430, 60:300] = 56, 48, 66
    for left in (150, 430):
        folds = 0.8 + 0.2 * np.sin(np.arange(60) / 4)
        room[50:330, left : left + 60] = np.outer(folds, (120, 112, 104))
    if has_window:
        room[60:290, 210:430] = 190, 186, 180
        for top in range(70, 270, 70):
            for left in (220, 322):
                room[top : top + 62, left : left + 96] = 250, 252, 255
        room[300:330, 190:450] = 170, 165, 160
    grain = np.random.default_rng(0).normal(0, 3, room.shape)
    return np.clip(cv2.GaussianBlur(room, (0, 0), 1.2) + grain, 0, 255).astype(np.uint8)


def test_a_window_is_seen_in_a_room_and_darkness_in_its_place_is_none():
    assert look_around(drawn_room(has_window=True)).pane > -4
    assert look_around(drawn_room(has_window=False)).pane < -6
    at_night = drawn_room(has_window=True)
    at_night[60:290, 210:430] //= 5
    assert look_around(at_night).pane == NO_WINDOW


@pytest.mark.parametrize(("shine", "rest", "is_one"), [(230, 90, True), (120, 30, False), (230, 225, False)])
def test_a_place_is_a_window_that_is_brighter_than_the_rest(shine, rest, is_one):
    panes = np.full((9, 12), -8, np.float32)
    panes[2:5, 3:6] = 2
    stored = np.full((9 * 32, 12 * 32), rest, np.float32)
    stored[2 * 32 : 5 * 32, 3 * 32 : 6 * 32] = shine
    pixels = np.broadcast_to((stored - sights.INPUT_MEAN) / sights.INPUT_STD, (1, 3, *stored.shape))
    assert bright_pane(panes, pixels) == (2 if is_one else NO_WINDOW)


def test_light_of_a_window_is_told_in_rooms_and_by_day():
    lit = Sights(*[0.0] * len(Sights._fields))._replace(pane=2.0, room=2.0, evening=-3.0)
    assert lit.is_lit_by_window
    for other in ({"pane": NO_WINDOW}, {"room": -8.0}, {"evening": 1.0}, {"day": -2.0}):
        assert not lit._replace(**other).is_lit_by_window


def test_describe_tells_light_of_a_window_unless_lamps_or_the_sky_say_enough(monkeypatch):
    dogs = sample("dogs.jpg")
    lit = look_around(dogs)._replace(pane=4.0, room=4.0)
    monkeypatch.setattr("shared.light.describe.look_around", lambda photograph: lit)
    assert describe(dogs).source == "window"
    assert describe(sample("mountains.jpg")).source is None
    monkeypatch.setattr("shared.light.describe.look_around", lambda photograph: lit._replace(day=-4.0, lamps=4.0))
    monkeypatch.setattr("shared.light.describe.count_lamps", lambda glance, subject: 1)
    assert describe(dogs).source == "lamp"


def test_describe_says_so_but_not_of_what_its_sky_or_its_camera_tells_already():
    dogs = sample("dogs.jpg")
    assert describe(dogs).source == "daylight"
    assert describe(dogs, shot=Shot(True, 1 / 60, 12.0)).source is None  # a flash that fills shadows
    assert describe(dogs, shot=Shot(True, 1 / 60, 9.0)).source == "flash"
    assert describe(np.repeat(dogs.mean(axis=-1, keepdims=True), 3, axis=-1).astype(np.uint8)).source is None
    mountains = describe(sample("mountains.jpg"))
    assert (mountains.weather, mountains.source) == ("clear", None)


def test_describe_tells_a_lamp_by_what_shines_and_several_by_three(monkeypatch):
    coffee = sample("coffee.jpg")
    assert describe(coffee).source == "lamp"
    monkeypatch.setattr("shared.light.describe.count_lamps", lambda glance, subject: 3)
    assert describe(coffee).source == "lamps"
    assert describe(sample("dogs.jpg")).source == "daylight"  # no room


def test_describe_tells_a_low_sun_a_warm_room_and_a_pattern():
    assert describe(sample("sunset.jpg")).weather == "golden"
    assert describe(sample("music_room.jpg")).tinge == "warm"
    assert describe(under("venetian_blind", sample("dogs.jpg"))).pattern == "striped"


def test_the_networks_of_a_clone_stay_small():
    files = [sights.SIGHTS_FILE, *network.NETWORK_FILES.values()]
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
