import numpy as np
import pytest

from shared.images import open_image
from shared.masks import person, unseen
from shared.masks.instance import Instance
from shared.masks.person import people
from shared.masks.unseen import looks_like_people, nearest_of, surroundings, without_things
from tests.test_default_run import SAMPLES


def sample(name):
    return np.asarray(open_image(str(SAMPLES / name), longest_side=768))


def everything_but_a_border(photograph, firmness=0.9):
    values = np.zeros(photograph.shape[:2], np.float32)
    values[8:-8, 8:-8] = 1
    return Instance(values, firmness)


@pytest.mark.parametrize("name", ["admiral.jpg", "cameraman.jpg"])
def test_a_firm_shape_that_looks_like_somebody_is_somebody(name):
    photograph = sample(name)
    assert looks_like_people(everything_but_a_border(photograph), photograph)
    assert not looks_like_people(everything_but_a_border(photograph, firmness=0.5), photograph)


@pytest.mark.parametrize("name", ["cat.jpg", "dogs.jpg", "coffee.jpg", "mountains.jpg", "rocket.jpg", "fig.jpg"])
def test_animals_things_and_landscapes_are_nobody_however_firm(name):
    photograph = sample(name)
    assert not looks_like_people(everything_but_a_border(photograph), photograph)


def test_a_spot_and_a_whole_frame_are_not_looked_at(monkeypatch):
    monkeypatch.setattr(unseen, "look_around", lambda crop: pytest.fail("looked at"))
    photograph = sample("admiral.jpg")
    for values in (np.zeros(photograph.shape[:2]), np.ones(photograph.shape[:2])):
        assert not looks_like_people(Instance(values.astype(np.float32), 0.9), photograph)


def beside(somebody, thing):
    """Two pictures side by side, and a mask of most of both, with a soft edge."""
    picture = np.concatenate([somebody[:400, :300], thing[:200, :200].repeat(2, axis=0)[:, :200]], axis=1)
    mask = np.zeros(picture.shape[:2], np.float32)
    mask[10:390, 10:290], mask[40:360, 320:480] = 1, 1
    mask[30:40, 320:480] = 0.3
    return picture, mask


def test_a_thing_beside_somebody_goes_with_its_edge_and_people_stay():
    picture, mask = beside(sample("admiral.jpg"), np.full((200, 200, 3), (90, 160, 60), np.uint8))
    kept = without_things(mask, picture)
    np.testing.assert_array_equal(kept[:, :300], mask[:, :300])
    assert not kept[:, 300:].any()
    picture, mask = beside(sample("admiral.jpg"), sample("astronaut.jpg")[:200, 100:300])
    np.testing.assert_array_equal(without_things(mask, picture), mask)


def test_one_part_alone_and_what_is_tiny_is_not_looked_at(monkeypatch):
    monkeypatch.setattr(unseen, "look_around", lambda crop: pytest.fail("looked at"))
    mask = np.zeros((200, 200), np.float32)
    picture = np.zeros((200, 200, 3), np.uint8)
    assert not without_things(mask, picture).any()
    mask[20:180, 20:100] = 1
    mask[150:155, 150:155] = 1
    np.testing.assert_array_equal(without_things(mask, picture), mask)


def test_every_pixel_belongs_to_the_nearest_part():
    labels = np.zeros((20, 30), np.int32)
    labels[5:10, 3:8], labels[5:10, 20:25] = 1, 2
    nearest = nearest_of(labels)
    assert (nearest[:, :10] == 1).all() and (nearest[:, 18:] == 2).all()


def test_the_surroundings_of_a_shape_are_cut_from_the_larger_photograph():
    large = np.arange(200 * 300 * 3, dtype=np.uint32).reshape(200, 300, 3)
    where = np.zeros((100, 150), bool)
    where[20:60, 50:80] = True  # 40 high, so 4 around it
    np.testing.assert_array_equal(surroundings(where, large), large[32:128, 92:168])
    where[:] = True
    np.testing.assert_array_equal(surroundings(where, large), large)


def test_somebody_whom_no_detector_sees_is_cut_out(monkeypatch):
    """As from behind or without a head: the detectors are told to see nothing."""
    photograph = sample("astronaut.jpg")
    seen, _ = people(photograph)
    monkeypatch.setattr(person, "seen_in", lambda photograph: [])
    unseen_mask, _ = people(photograph)
    both = (seen > 127) & (unseen_mask > 127)
    assert both.sum() / ((seen > 127) | (unseen_mask > 127)).sum() > 0.9
    assert people(sample("dogs.jpg")) is None and people(sample("cat.jpg")) is None
