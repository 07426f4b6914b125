"""What every engine that answers questions has in common: the question, the answer, and how the two are exchanged."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from PIL import Image

from shared.errors import RequestError
from shared.forecast import Forecast
from shared.images import open_image


class Abandoned(RequestError):
    """Instead of an answer: the question was let go of, because the worker is to stop. Nobody's failure."""


class Sampling(NamedTuple):
    """How the next token is drawn; what is None is left to the engine."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_tokens: int = 100
    seed: int = 0


class Message(NamedTuple):
    """One turn of a conversation; role is system, user or assistant."""

    role: str
    text: str


@dataclass(frozen=True, eq=False)
class Question:
    """A conversation that waits for its next answer. `images` belong to the first message of the user, before its text."""

    key: str  # names the image
    messages: tuple[Message, ...]
    sampling: Sampling
    images: tuple[Any, ...] = ()  # what prepare() of the engine made of each photograph
    schema: dict | None = None  # of the JSON that the answer has to be
    item: dict = field(
        default_factory=dict, repr=False
    )  # for engines that measure; a model is told only what stands above
    asker: Any = field(default=None, repr=False)  # whose question it is; engines do not look at it


class Answer(NamedTuple):
    """finish_reason is `stop` for an answer that came to its end, `length` for one cut off, or the server's own word.

    An engine that takes no tokens counts none; `found` is what it knows beside the text, for the record.
    """

    text: str
    finish_reason: str
    prompt_tokens: int | None
    completion_tokens: int | None
    found: dict[str, Any] | None = None


OF_SERVERS = frozenset({"vllm_url", "num_workers", "request_seconds", "key_variable", "field_names"})


class Engine(ABC):
    """Takes questions as long as it has room, and gives the answers back in any order, each as soon as it is there.

    It is pushed to and polled, rather than given an iterator: what is asked next may depend on an answer that is still in
    flight, as with an answer that did not pass and the next turn of a conversation.
    """

    needs_model_path: ClassVar[bool] = True
    reads_prompts: ClassVar[bool] = True  # and its answers are a model's, to be checked
    without_use: ClassVar[frozenset[str]] = frozenset()  # options of a caption step that are for other engines

    @classmethod
    def made_for(cls, options: Any) -> "Engine":
        """The engine as the options of a caption step have it; of those in ENGINES."""
        raise NotImplementedError

    @classmethod
    def forecast(cls, options: Any) -> Forecast:
        """The models that setup() will load or reach; of those in ENGINES."""
        raise NotImplementedError

    @classmethod
    def remarks(cls, options: Any) -> list[str]:
        """What a person should be told of options that are set and that this engine cannot follow."""
        return []

    @abstractmethod
    def setup(self) -> None:
        """Import what is heavy, load or reach the model. Raises RunError when there is none."""

    def takes_several(self) -> bool:
        """Whether a question may hold several images; known after setup()."""
        return True

    def open(self, item: dict, max_pixels: int) -> Image.Image:
        """The photograph, as large as the engine is to see it."""
        image = open_image(item, shorter_side=math.isqrt(max_pixels))
        scale = math.sqrt(max_pixels / (image.width * image.height))
        if scale < 1:
            image.thumbnail((max(1, int(image.width * scale)), max(1, int(image.height * scale))), reducing_gap=3.0)
        return image

    def prepare(self, image: Image.Image) -> Any:
        """What a question holds of a photograph; called on the threads that decode, ahead of the question."""
        return image

    def hindrance(self) -> str:
        """Why no answers come just now; nothing: they do."""
        return ""

    def hurry(self) -> None:  # noqa: B027 - an engine that tries nothing again has nothing to do
        """The worker is to stop: an answer that does not come at the first try is Abandoned. For engines that try again."""

    @abstractmethod
    def room(self) -> int:
        """How many more questions are worth asking now; below 1 is none."""

    @abstractmethod
    def ask(self, question: Question) -> None:
        """Take a question; returns at once."""

    @abstractmethod
    def answers(self, seconds: float) -> list[tuple[Question, Answer | Exception]]:
        """Go on with the work, and give what has been answered since; an exception is that question's failure.

        An engine that works elsewhere waits at most so many seconds for the first answer. Raises EngineError or RunError.
        """

    def close(self) -> None:  # noqa: B027 - an engine that holds nothing has nothing to do here
        """Let go of the model and of everything that was started for it. May be called twice."""
