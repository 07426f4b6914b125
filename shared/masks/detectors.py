"""Where people and faces are in a photograph: MediaPipe's detectors, in the wheel that brings the networks, run by LiteRT."""

import threading
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.errors import RunError
from shared.masks.packaged import FACES_PACKAGE, NEAR_FACES_PACKAGE, POSES_PACKAGE, PackagedNetwork, network_file

PERSON_SURE, FACE_SURE, NEAR_FACE_SURE = 0.81, 0.8, 0.85  # scores from which it is believed; dogs and flowers have less
OVERLAPPING = 0.3  # of the union of two boxes: they are one thing
CIRCLE = 1.25  # a person's box against the circle through the feet or the head, in radii
# Pixels between the places that each detector looks at.
POSE_SCALES, FACE_SCALES, NEAR_FACE_SCALES = (8, 16, 32, 32, 32), (4,), (8, 16, 16, 16)

_of_thread = threading.local()  # an interpreter is not for two threads at once


class Sighting(NamedTuple):
    """A person or a face: a box in pixels of the photograph, which may reach beyond it, and how sure the detector is."""

    left: float
    top: float
    right: float
    bottom: float
    score: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def in_whole(self, left: float, top: float, scale: float) -> "Sighting":
        """The same where the photograph was a crop that begins at `left` and `top` of a whole, enlarged by `scale`."""
        x, y, right, bottom = (side / scale for side in self[:4])
        return Sighting(x + left, y + top, right + left, bottom + top, self.score)


def find_people(photograph: np.ndarray) -> list[Sighting]:
    """People in a uint8 RGB photograph (HxWx3), from any side, the surest first (BlazePose's detector)."""
    side, values, scores = answer(POSES_PACKAGE, photograph)
    places = anchors(side, POSE_SCALES)
    found = np.flatnonzero(scores >= PERSON_SURE)
    boxes = []
    for index in found:
        # Four points: the middle of the hips, one on the circle around the whole person, and the same of the upper body.
        x, y, on_x, on_y = values[index, 4:8] / side + np.tile(places[index], 2)
        reach = CIRCLE * float(np.hypot(on_x - x, on_y - y))
        boxes.append((x - reach, y - reach, x + reach, y + reach))
    return one_of_each(boxes, scores[found], photograph)


def find_faces(photograph: np.ndarray) -> list[Sighting]:
    """Faces in a uint8 RGB photograph (HxWx3), the surest first, by BlazeFace's detectors: one for any distance, one for near."""
    boxes: list[tuple] = []
    sure: list[float] = []
    for package, scales, least in (
        (FACES_PACKAGE, FACE_SCALES, FACE_SURE),
        (NEAR_FACES_PACKAGE, NEAR_FACE_SCALES, NEAR_FACE_SURE),
    ):
        side, values, scores = answer(package, photograph)
        places = anchors(side, scales)
        for index in np.flatnonzero(scores >= least):
            (x, y), (wide, high) = values[index, :2] / side + places[index], values[index, 2:4] / side
            boxes.append((x - wide / 2, y - high / 2, x + wide / 2, y + high / 2))
            sure.append(float(scores[index]))
    return one_of_each(boxes, np.array(sure), photograph)


def one_of_each(boxes: list[tuple], scores: np.ndarray, photograph: np.ndarray) -> list[Sighting]:
    """The surest of the boxes that overlap, from shares of the square that was seen to pixels of the photograph."""
    height, width = photograph.shape[:2]
    longest = max(height, width)
    across, down = (longest - width) / 2, (longest - height) / 2
    kept: list[Sighting] = []
    for index in np.argsort(-scores, kind="stable"):
        left, top, right, bottom = (float(value) * longest for value in boxes[index])
        one = Sighting(left - across, top - down, right - across, bottom - down, float(scores[index]))
        if all(intersection_over_union(one, other) < OVERLAPPING for other in kept):
            kept.append(one)
    return kept


def intersection_over_union(one: Sighting, other: Sighting) -> float:
    """Intersection over union."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    common = max(0.0, across) * max(0.0, down)
    return common / max(one.width * one.height + other.width * other.height - common, 1e-9)


def answer(package: PackagedNetwork, photograph: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """What a detector says: the side of the square it looks at, in pixels, and its values and scores (0..1) of each place."""
    network = interpreter(network_file(package))
    side = int(network.get_input_details()[0]["shape"][1])
    network.set_tensor(network.get_input_details()[0]["index"], squared(photograph, side)[np.newaxis])
    network.invoke()
    told = {int(one["shape"][-1]): network.get_tensor(one["index"])[0] for one in network.get_output_details()}
    scores = told.pop(1)[:, 0]
    [values] = told.values()
    return side, values, 1 / (1 + np.exp(-np.clip(scores, -60, 60)))


def squared(photograph: np.ndarray, side: int) -> np.ndarray:
    """A photograph in the middle of a black square, side x side x 3 float32 in -1..1."""
    import cv2

    height, width = photograph.shape[:2]
    scale = side / max(height, width)
    wide, high = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - high) // 2, (side - wide) // 2
    square[top : top + high, left : left + wide] = cv2.resize(photograph, (wide, high), interpolation=cv2.INTER_AREA)
    return square.astype(np.float32) / np.float32(127.5) - 1


@lru_cache(maxsize=8)
def anchors(side: int, scales: tuple[int, ...]) -> np.ndarray:
    """The middles of the places that a detector looks at (n x 2: x and y, shares of the side), as its answers are in order.

    Two at each place of a scale; scales that are equal and follow one another share their places (Liu et al., 2016).
    """
    places = []
    for scale in dict.fromkeys(scales):
        cells = -(-side // scale)
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)
        places.append(np.repeat(grid, 1 if len(scales) == 1 else 2 * scales.count(scale), axis=0))
    return np.concatenate(places)


def interpreter(path: Path) -> Any:
    """A network in TFLite, loaded once in each thread. Raises RunError where it cannot be read."""
    loaded = _of_thread.__dict__.setdefault("loaded", {})
    if path not in loaded:
        from ai_edge_litert.interpreter import Interpreter

        try:
            network = Interpreter(str(path), num_threads=1)
            network.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise RunError(f"{path} cannot be read as a network in TFLite ({error})") from error
        loaded[path] = network
    return loaded[path]
