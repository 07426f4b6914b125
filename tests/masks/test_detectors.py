from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.masks.detectors import (
    Sighting,
    anchors,
    find_faces,
    find_people,
    intersection_over_union,
    one_of_each,
    squared,
)
from tests.conftest import ROOT


def sample(name):
    with Image.open(ROOT / "configs" / "samples" / name) as image:
        return np.asarray(image.convert("RGB"))


def test_the_face_and_the_person_are_where_they_are():
    [face] = find_faces(data.astronaut())
    assert 150 < face.left < 200 and 60 < face.top < 110 and 250 < face.right < 290 and 140 < face.bottom < 190
    person = find_people(data.astronaut())[0]
    assert person.left < 120 and person.right > 330 and person.top < 80 and person.bottom > 300


def test_a_face_is_found_at_its_place_in_a_photograph_of_any_shape():
    wide = np.full((512, 1200, 3), 128, np.uint8)
    wide[:, 600:1112] = data.astronaut()
    [there], [here] = find_faces(wide), find_faces(data.astronaut())
    assert np.allclose(np.array(there[:4]) - (600, 0, 600, 0), here[:4], atol=12)


@pytest.mark.parametrize(
    "name", ["cat.jpg", "dogs.jpg", "fig.jpg", "coffee.jpg", "dandelions.jpg", "rocket.jpg", "mountains.jpg"]
)
def test_animals_flowers_and_things_are_nobody(name):
    assert find_faces(sample(name)) == [] == find_people(sample(name))


def test_many_threads_see_what_one_sees():
    photographs = [data.astronaut(), sample("cat.jpg"), sample("admiral.jpg")] * 3
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(find_faces, photographs)) == [find_faces(photograph) for photograph in photographs]


def test_of_boxes_that_overlap_the_surest_stays_in_pixels_of_the_photograph():
    boxes = [(0.1, 0.3, 0.3, 0.5), (0.11, 0.3, 0.31, 0.5), (0.6, 0.3, 0.8, 0.5)]
    kept = one_of_each(boxes, np.array([0.8, 0.9, 0.85]), np.zeros((100, 200, 3), np.uint8))
    assert [round(one.score, 2) for one in kept] == [0.9, 0.85]
    assert kept[0][:4] == pytest.approx((22, 10, 62, 50))  # the square begins 50 pixels above the photograph
    assert intersection_over_union(kept[0], kept[0]) == pytest.approx(1) and intersection_over_union(*kept) == 0
    assert Sighting(1, 2, 4, 8, 0.5).width == 3 and Sighting(1, 2, 4, 8, 0.5).height == 6


def test_places_are_as_many_as_the_networks_answer_for():
    assert [len(anchors(224, (8, 16, 32, 32, 32))), len(anchors(192, (4,))), len(anchors(128, (8, 16, 16, 16)))] == [
        2254,
        2304,
        896,
    ]
    assert anchors(192, (4,))[1].tolist() == pytest.approx([1.5 / 48, 0.5 / 48])


def test_a_photograph_lies_in_the_middle_of_its_square():
    square = squared(np.full((50, 100, 3), 255, np.uint8), 128)
    assert (
        square.shape == (128, 128, 3)
        and square[64, 64].tolist() == [1, 1, 1]
        and square[20, 64].tolist() == [-1, -1, -1]
    )
