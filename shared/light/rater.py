"""What the filter notes of a photograph from its pixels alone: the score of its light, the light itself, its hashes."""

from collections.abc import Sequence
from typing import Any

import cv2  # noqa: F401 - imported here once, and not by the first item of each decoding thread
import imagehash
import numpy as np
from PIL import Image, ImageOps

from shared.images import open_image
from shared.light.describe import describe
from shared.light.score import WORKING_SIZE, rate_light
from shared.worker import Loaded


class PhotometricRater:
    """The filter's method without a model."""

    def load(self, item: dict) -> Image.Image:
        return open_image(item, longest_side=WORKING_SIZE)

    def rate(self, batch: Sequence[Loaded]) -> list[dict]:
        """The fields of each record, from what load() opened."""
        return [self._rate(image) for _, image in batch]

    def _rate(self, image: Image.Image) -> dict[str, Any]:
        pixels = np.asarray(image)
        score = rate_light(pixels)
        return {
            "lighting_score": score.lighting_score,
            "method": "photometric",
            "light": describe(pixels).as_dict(),
            "light_ratings": {name: round(rating, 4) for name, rating in score._asdict().items()},
            **hashes_and_size(image),
        }


def hashes_and_size(image: Image.Image) -> dict[str, Any]:
    """pHash (Zauner, 2010) of a photograph and its mirror image, and its size as stored (`full_size` of its info)."""
    width, height = image.info["full_size"]
    return {
        "phash": str(imagehash.phash(image)),
        "phash_mirrored": str(imagehash.phash(ImageOps.mirror(image))),
        "width": width,
        "height": height,
    }
