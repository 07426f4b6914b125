import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.masks import faces as mask
from shared.masks.faces import Face, find_faces, people


@pytest.fixture(scope="module")
def astronaut():
    return people(data.astronaut())


def test_the_astronaut_is_cut_out(astronaut):
    assert astronaut.dtype == np.uint8
    assert astronaut.shape == (512, 512)
    assert astronaut[80:160, 190:250].mean() > 250, "the face is in"
    assert (astronaut[400:500, 120:260] > 200).mean() > 0.8, "the suit is in"
    assert astronaut[:100, 330:].max() == 0, "the wall is out, exactly"
    assert 0.15 < astronaut.mean() / 255 < 0.6


@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_no_person_is_seen_in_a_cat_a_cup_or_a_rocket(name):
    assert people(getattr(data, name)()) is None


@pytest.mark.slow
def test_no_person_is_seen_in_patches():
    from shared.light.scenes.scenes import SCENE_FAMILIES, render

    assert [family for family in SCENE_FAMILIES if people(render(family, 1, 256).image) is not None] == []


def test_a_face_that_only_some_views_see_is_a_chance_likeness(monkeypatch):
    photograph = np.full((200, 200, 3), (200, 150, 120), np.uint8)
    seen = [[Face(50, 50, 60, 60)], [], [Face(52, 50, 60, 60)], [Face(50, 51, 60, 60)], [], []]
    views = iter(seen)
    monkeypatch.setattr(mask, "_look", lambda *_, **__: next(views))
    assert find_faces(photograph) == []
    views = iter([*seen[:4], [Face(48, 50, 60, 60)], []])
    assert find_faces(photograph) == [Face(50, 50.25, 60, 60)]


def test_what_has_not_the_colour_of_skin_is_no_face(monkeypatch):
    monkeypatch.setattr(mask, "_look", lambda *_, **__: [Face(50, 50, 60, 60)])
    assert find_faces(np.full((200, 200, 3), (200, 150, 120), np.uint8)) == [Face(50, 50, 60, 60)]
    assert find_faces(np.full((200, 200, 3), (60, 120, 200), np.uint8)) == []


def test_both_of_two_people_are_cut_out():
    picture = np.full((384, 700, 3), 130, np.uint8)
    person = np.asarray(Image.fromarray(data.astronaut()[:400, 60:380]).resize((300, 375)))
    picture[9:, 20:320] = person
    picture[9:, 380:680] = person[:, ::-1]
    mask = people(picture)
    assert mask[100:140, 140:180].mean() > 240
    assert mask[100:140, 520:560].mean() > 240


@pytest.mark.slow
def test_a_large_photograph_gets_a_mask_of_its_own_size(astronaut):
    large = np.asarray(Image.fromarray(data.astronaut()).resize((1100, 1100), Image.Resampling.BICUBIC))
    mask = people(large)
    assert mask.shape == (1100, 1100)
    small = np.asarray(Image.fromarray(mask).resize((512, 512)))
    assert ((small > 127) == (astronaut > 127)).mean() > 0.95


@pytest.mark.slow
def test_the_same_photograph_gets_the_same_mask(astronaut):
    assert people(data.astronaut()).tobytes() == astronaut.tobytes()
