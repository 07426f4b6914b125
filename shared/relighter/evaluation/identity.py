"""Whether the faces of a relit photograph are still those of the same people."""

import importlib.util
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from shared.errors import RunError

LARGEST = 800  # px: larger photographs are looked at in this size, in which faces of a tenth of it are found


class FaceNetwork(Protocol):
    """Finds faces in one photograph and describes them, at the same places, in others of its size."""

    def find(self, image: np.ndarray) -> list[Any]:
        """Where there are faces in uint8 RGB (HxWx3)."""

    def describe(self, image: np.ndarray, faces: list[Any]) -> np.ndarray:
        """(faces, numbers) float: how near two of them are says how alike the faces are."""


class Dlib:
    """dlib's detector, 5 landmarks and ResNet (King, 2017): 128 numbers, of one person less than 0.6 apart.

    Of the packages dlib-bin (Boost licence) and face-recognition-models, which brings the weights (CC0). Raises RunError.
    """

    def __init__(self) -> None:
        found = importlib.util.find_spec("face_recognition_models")
        try:
            import dlib
        except ImportError:
            found = None
        if found is None or found.origin is None:
            raise RunError("identity: dlib needs its packages: uv pip install --no-deps --group faces")
        folder = Path(found.origin).parent / "models"
        self.find_boxes = dlib.get_frontal_face_detector()
        self.find_landmarks = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
        self.network = dlib.face_recognition_model_v1(str(folder / "dlib_face_recognition_resnet_model_v1.dat"))

    def find(self, image: np.ndarray) -> list[Any]:
        return [self.find_landmarks(image, box) for box in self.find_boxes(image, 0)]

    def describe(self, image: np.ndarray, faces: list[Any]) -> np.ndarray:
        return np.array([self.network.compute_face_descriptor(image, face) for face in faces])


FACE_NETWORKS: dict[str, type[Dlib]] = {"dlib": Dlib}


def face_distances(network: FaceNetwork, source: np.ndarray, output: np.ndarray, target: np.ndarray) -> dict[str, Any]:
    """How far the faces of `target` are from those at their places in `output` and `source`, uint8 RGB of one size.

    faces, their number, and where there are any face_distance and face_distance_floor, means over the faces.
    """
    import cv2

    scale = min(1.0, LARGEST / max(target.shape[:2]))
    if scale < 1:
        source, output, target = (
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            for image in (source, output, target)
        )
    source, output, target = (np.ascontiguousarray(image) for image in (source, output, target))
    faces = network.find(target)
    if not faces:
        return {"faces": 0}
    known, after, before = (network.describe(image, faces) for image in (target, output, source))
    return {
        "faces": len(faces),
        "face_distance": round(float(np.linalg.norm(after - known, axis=1).mean()), 4),
        "face_distance_floor": round(float(np.linalg.norm(before - known, axis=1).mean()), 4),
    }
