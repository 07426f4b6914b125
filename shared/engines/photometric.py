"""The engine that measures: answers every image with lighting keywords measured from its pixels."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.seeding import item_rng

WORKING_SIZE = 768  # photographs are opened no larger; light is measured smaller still


class Question(NamedTuple):
    """An item and its photograph, HxWx3 uint8."""

    item: dict
    image: np.ndarray


class Photometric:
    """Lighting keywords from pixels: nothing is loaded, nothing is asked, nothing is guessed."""

    def __init__(self, seed: int):
        self.seed = seed

    def setup(self) -> None:
        """Import what is heavy, once."""
        import shared.light.describe
        import shared.light.mask
        import shared.light.words  # noqa: F401

    def answer(self, questions: Sequence[Question]) -> list[dict[str, Any]]:
        """For each image the phrase (`lighting_keywords`) and the measurements behind it (`light`)."""
        return [self._answer(item, image) for item, image in questions]

    def _answer(self, item: dict, image: np.ndarray) -> dict[str, Any]:
        from shared.light.describe import describe
        from shared.light.words import keywords

        light = describe(image, self._subject(item, image))
        phrase = keywords(light, item_rng(self.seed, item["key"], "keywords"))
        return {"lighting_keywords": phrase, "light": light.as_dict()}

    def _subject(self, item: dict, image: np.ndarray) -> np.ndarray | None:
        from shared.light.enlarge import shrink
        from shared.light.mask import people

        if item.get("mask") == "none":
            return None  # an earlier step has looked for people already
        if item.get("mask_path"):
            from shared.images import open_image

            mask = np.asarray(open_image(item["mask_path"]).convert("L"))
            return shrink(mask, max(image.shape[:2]))
        return people(image)
