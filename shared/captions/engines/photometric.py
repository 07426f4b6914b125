"""The engine that measures: answers every photograph with lighting keywords from its pixels."""

import logging
from collections import deque
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from shared.captions.engines.engine import OF_SERVERS, Answer, Engine, Question
from shared.decoding.shot import Shot
from shared.forecast import Forecast
from shared.images import open_image
from shared.seeding import item_rng

log = logging.getLogger("worker")

LONGEST_SIDE = 768  # photographs are opened no larger; light is measured smaller still


class ShotImage(NamedTuple):
    """A photograph as it is measured."""

    pixels: np.ndarray  # hxwx3 uint8 RGB
    shot: Shot | None


class Photometric(Engine):
    """Lighting keywords from pixels: nothing is loaded, nothing is asked, nothing is guessed."""

    needs_model_path: ClassVar[bool] = False
    reads_prompts: ClassVar[bool] = False
    without_use: ClassVar[frozenset[str]] = OF_SERVERS | {
        "model_path", "prompt", "system_prompt", "structured", "hints", "min_words", "max_words", "retries", "temperature",
        "answers", "top_p", "top_k", "repetition_penalty", "max_tokens", "max_pixels", "images", "frames", "max_num", "lint",
        "max_model_len", "max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "dtype", "trust_remote_code",
        "offload", "engine_options", "price_prompt", "price_completion",
    }  # fmt: skip

    def __init__(self, seed: int, batch_size: int = 8):
        self.seed, self.batch_size = seed, batch_size
        self.waiting: deque[Question] = deque()

    @classmethod
    def made_for(cls, options: Any) -> "Photometric":
        return cls(options.seed, options.batch_size)

    @classmethod
    def forecast(cls, options: Any) -> Forecast:
        return Forecast()

    def setup(self) -> None:
        from shared.masks.person import load_networks

        load_networks()

    def open(self, item: dict, max_pixels: int) -> Image.Image:
        return open_image(item, longest_side=LONGEST_SIDE)

    def prepare(self, image: Image.Image) -> ShotImage:
        return ShotImage(np.asarray(image), image.info.get("shot"))

    def room(self) -> int:
        return self.batch_size - len(self.waiting)

    def ask(self, question: Question) -> None:
        self.waiting.append(question)

    def answers(self, seconds: float) -> list[tuple[Question, Answer | Exception]]:
        answered: list[tuple[Question, Answer | Exception]] = []
        while self.waiting:
            question = self.waiting.popleft()
            try:
                answered.append((question, self._measure(question.item, question.images[0])))
            except Exception as error:
                log.warning("%s failed", question.key, exc_info=True)
                answered.append((question, error))
        return answered

    def _measure(self, item: dict, view: ShotImage) -> Answer:
        """The phrase, and the measurements behind it."""
        from shared.light.describe import describe
        from shared.light.words import keywords

        light = describe(view.pixels, self._subject(item, view.pixels), view.shot)
        phrase = keywords(light, item_rng(self.seed, item["key"], "keywords"))
        return Answer(phrase, "stop", None, None, {"light": light.as_dict()})

    def _subject(self, item: dict, image: np.ndarray) -> np.ndarray | None:
        from shared.light.enlarge import shrink
        from shared.masks.person import people

        if item.get("mask") == "none":
            return None  # an earlier step has looked for people already
        if item.get("mask_path"):
            mask = np.asarray(open_image(item["mask_path"]).convert("L"))
            return shrink(mask, max(image.shape[:2]))
        found = people(image)
        return found[0] if found else None
