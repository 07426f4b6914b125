"""What every engine that answers questions has in common: the question, the answer, and how the two are exchanged."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from PIL import Image


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
    """A conversation that waits for its next answer. `image` belongs to the first message of the user, before its text."""

    key: str  # names the image
    messages: tuple[Message, ...]
    sampling: Sampling
    image: Any = None  # what prepare() of the engine made of the photograph
    schema: dict | None = None  # of the JSON that the answer has to be
    asker: Any = field(default=None, repr=False)  # whose question it is; engines do not look at it


class Answer(NamedTuple):
    """finish_reason is `stop` for an answer that came to its end, `length` for one cut off, or the server's own word."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class EngineError(RuntimeError):
    """The engine itself cannot go on; no item is to blame."""


class Engine(ABC):
    """Takes questions as long as it has room, and gives the answers back in any order, each as soon as it is there.

    It is pushed to and polled, rather than given an iterator: what is asked next may depend on an answer that is still in
    flight, as with an answer that did not pass and the next turn of a conversation.
    """

    @abstractmethod
    def setup(self) -> None:
        """Import what is heavy, load or reach the model. Raises RunError when there is none."""

    def prepare(self, image: Image.Image) -> Any:
        """What a question holds of a photograph; called on the threads that decode, ahead of the question."""
        return image

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
