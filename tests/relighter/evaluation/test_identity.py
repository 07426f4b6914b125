"""Faces are compared at their places; the network's own weights are there where its packages are installed."""

import cv2
import numpy as np
import pytest

from shared.errors import RunError
from shared.relighter.evaluation.identity import Dlib, face_distances


class Means:
    """A network that finds one face in the left half, and knows it by its colours."""

    def find(self, image):
        return [np.s_[:, : image.shape[1] // 2]] if image.mean() > 50 else []

    def describe(self, image, faces):
        return np.array([image[face].mean(axis=(0, 1)) / 255 for face in faces])


def test_the_face_of_the_target_is_looked_for_at_its_place_in_the_others():
    target = np.full((40, 60, 3), 200, np.uint8)
    output, source = target.copy(), target.copy()
    output[:, :30] = 180
    output[:, 30:] = 0  # nobody looks there
    source[:, :30] = 100
    found = face_distances(Means(), source, output, target)
    assert found["faces"] == 1
    assert found["face_distance"] == pytest.approx(np.sqrt(3) * 20 / 255, abs=1e-3)
    assert found["face_distance_floor"] == pytest.approx(np.sqrt(3) * 100 / 255, abs=1e-3)
    assert face_distances(Means(), source, output, np.zeros_like(target)) == {"faces": 0}


def test_without_its_packages_it_is_one_sentence(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RunError, match="uv pip install --no-deps --group faces"):
        Dlib()


def test_dlib_tells_a_person_from_another():
    pytest.importorskip("dlib", reason="uv pip install --no-deps --group faces")
    pytest.importorskip("skimage")
    from skimage import data

    network = Dlib()
    astronaut = data.astronaut()
    dark = (astronaut * 0.6).astype(np.uint8)
    mirrored = np.ascontiguousarray(dark[:, ::-1])
    found = face_distances(network, dark, dark, astronaut)
    assert found["faces"] == 1 and found["face_distance"] < 0.3
    swapped = astronaut.copy()
    swapped[:, :, 1:] = cv2.GaussianBlur(mirrored, (0, 0), 9)[:, :, 1:]  # hardly a face any more
    assert face_distances(network, dark, swapped, astronaut)["face_distance"] > found["face_distance"] + 0.2
