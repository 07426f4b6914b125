"""How many tokens the longest question takes: what max_model_len has to hold, whatever the model makes of an image."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image

from shared.captions.engines.engine import Message, Question, Sampling

SHAPES = (1.0, 2.0, 0.5, 3.0, 1 / 3)  # width to height: models that cut an image into tiles take more for some
SPARE = 64  # tokens, for what is measured of a photograph and said with the prompt
STEP = 16  # tokens of a block of vLLM's memory


class LongestTalk(NamedTuple):
    """What is said to a model at most: a conversation whose answers are all as long as they may be."""

    system_prompt: str = ""
    prompts: tuple[str, ...] = ()
    max_tokens: int = 0  # of each answer
    images: int = 0
    max_pixels: int = 0  # of each image

    @classmethod
    def of(cls, options: Any) -> "LongestTalk":
        """The talk of a step with these options."""
        pixels = getattr(options, "max_pixels", 0)
        return cls(options.system_prompt, options.prompts, options.max_tokens, options.most_images, pixels)

    def questions(self) -> list[Question]:
        """The last question of the talk, its answers left out, about blank images of several shapes."""
        opening = [Message("system", self.system_prompt)] if self.system_prompt else []
        turns = [Message("user", prompt) for prompt in self.prompts]
        between = [message for turn in turns[:-1] for message in (turn, Message("assistant", "."))]
        messages = (*opening, *between, *turns[-1:])
        shapes = [blank(self.max_pixels, shape) for shape in SHAPES] if self.images else [None]
        return [
            Question(f"blank {number}", messages, Sampling(), (image,) * self.images)
            for number, image in enumerate(shapes)
        ]

    def tokens(self, count: Callable[[Question], int]) -> int:
        """What the model has to hold; `count` gives the tokens of a question."""
        longest = max(count(question) for question in self.questions())
        needed = longest + len(self.prompts) * self.max_tokens + SPARE
        return math.ceil(needed / STEP) * STEP


def blank(pixels: int, shape: float) -> Image.Image:
    height = max(1, round(math.sqrt(pixels / shape)))
    return Image.new("RGB", (max(1, round(height * shape)), height), "grey")
