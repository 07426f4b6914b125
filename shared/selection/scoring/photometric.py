"""What the filter notes of a photograph from its pixels alone: the score of its light, the light itself, its hashes."""

from collections.abc import Sequence
from typing import Any

import cv2  # noqa: F401 - imported here once, and not by the first item of each decoding thread
import imagehash  # noqa: F401
import numpy as np
import scipy.fft  # noqa: F401
from PIL import Image

from shared.images import open_image
from shared.light.describe import describe
from shared.masks.detectors import find_faces
from shared.selection.scoring.graphics import kind_of_picture
from shared.selection.scoring.hashes import hashes_of
from shared.selection.scoring.score import SCORE_SIZE, rate_light
from shared.selection.scoring.sharpness import sharpness_of
from shared.worker import Loaded


class PhotometricRater:
    """The filter's method without a model."""

    looks_for_faces = False

    def load(self, item: dict) -> Image.Image:
        return open_image(item, longest_side=SCORE_SIZE)

    def rate(self, batch: Sequence[Loaded]) -> list[dict]:
        """The fields of each record, from what load() opened."""
        return [self._rate(image) for _, image in batch]

    def _rate(self, image: Image.Image) -> dict[str, Any]:
        pixels = np.asarray(image)
        score = rate_light(pixels)
        return {
            "lighting_score": score.lighting_score,
            "method": "photometric",
            "light": describe(pixels, shot=image.info.get("shot")).as_dict(),
            "light_ratings": {name: round(rating, 4) for name, rating in score._asdict().items()},
            **hashes_of(image),
            **picture_fields(image),
            **(number_of_faces(image) if self.looks_for_faces else {}),
        }


def picture_fields(image: Image.Image) -> dict[str, Any]:
    """Size as stored (`full_size` of its info), sharpness and kind of a picture that was opened smaller."""
    width, height = image.info["full_size"]
    pixels = np.asarray(image)
    sharpness, kind = round(sharpness_of(pixels), 4), kind_of_picture(pixels)
    return {"width": width, "height": height, "sharpness": sharpness, "picture": kind}


def number_of_faces(image: Image.Image) -> dict[str, int]:
    return {"faces": len(find_faces(np.asarray(image)))}
