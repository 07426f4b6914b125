"""Asking an engine about items: its queue kept full, every answer checked, and asked again where it does not pass."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from shared.captions.answers import Wanted, clean, problem
from shared.captions.engines.engine import Abandoned, Answer, Engine, Message, Question, Sampling
from shared.captions.structured import compose
from shared.errors import AnswerError, noting
from shared.seeding import item_rng
from shared.worker import Loaded

WARMER = 0.3  # what each new attempt adds to the temperature, or takes away where that would be above 1
SHORT_WAIT, LONG_WAIT = 0.02, 1.0  # seconds: an engine with room is looked after more often


@dataclass(frozen=True)
class Plan:
    """What is asked of every item. Several prompts make a conversation, and the answer to the last is the caption.

    With a schema the last answer is JSON of that form, of which `compose` makes the text, its fields, and what is wrong
    with it (empty when nothing is).
    """

    prompts: tuple[str, ...]
    sampling: Sampling
    wanted: Wanted
    system_prompt: str = ""
    schema: dict | None = None
    compose: Callable[[str], tuple[str, dict | None, str]] = compose
    retries: int = 2
    captions: int = 1  # that many of each item
    seed: int = 0


class Exchange:
    """One caption in the making: each prompt in its turn, asked again until its answer passes."""

    def __init__(self, plan: Plan, interview: "Interview", number: int):
        self.plan, self.interview, self.number = plan, interview, number
        opening = (Message("system", plan.system_prompt),) if plan.system_prompt else ()
        self.messages: tuple[Message, ...] = opening
        self.texts: list[str] = []  # of the turns that are done
        self.fields: dict | None = None
        self.measured: dict[str, Any] = {}  # what the engine found beside the words
        self.attempt = 0

    @property
    def is_last_turn(self) -> bool:
        return len(self.texts) == len(self.interview.prompts) - 1

    def question(self) -> Question:
        turn, item = len(self.texts), self.interview.item
        prompt = self.interview.prompts[turn]
        if turn == 0 and self.interview.hint:
            prompt = f"{prompt}\n\n{self.interview.hint}"
        draw = item_rng(self.plan.seed, item["key"], f"question {self.number} {turn} {self.attempt}")
        sampling = self.plan.sampling._replace(
            temperature=temperature_of(self.plan.sampling.temperature, self.attempt), seed=int(draw.integers(2**31))
        )
        schema = self.plan.schema if self.is_last_turn else None
        messages = (*self.messages, Message("user", prompt))
        return Question(item["key"], messages, sampling, self.interview.images, schema, item, asker=self)

    def take(self, question: Question, answer: Answer) -> Question | None:
        """Note an answer; returns what is to be asked next, or None when the caption is done. Raises AnswerError."""
        self.attempt += 1
        self.interview.count(answer)
        wanted = self.plan.wanted if self.is_last_turn else Wanted()
        text, fields, why = answer.text, None, ""
        if question.schema and answer.finish_reason == "stop":
            text, fields, why = self.plan.compose(answer.text)
        text = clean(text, wanted)
        why = why or problem(answer._replace(text=text), wanted)
        if why:
            if self.attempt <= self.plan.retries:
                return self.question()
            tries = "once" if self.attempt == 1 else f"{self.attempt} times"
            raise AnswerError(f"asked {tries}, and the last answer {why}: {answer.text!r}")
        self.texts.append(text)
        self.messages = (*question.messages, Message("assistant", text))
        self.fields, self.measured, self.attempt = fields, answer.found or {}, 0
        return self.question() if len(self.texts) < len(self.interview.prompts) else None


class Interview:
    """All the answers about one item. `prompts` are its own, where the plan's are not everybody's."""

    def __init__(
        self,
        plan: Plan,
        item: dict,
        images: tuple[Any, ...] = (),
        hint: str = "",
        noted: dict | None = None,
        prompts: tuple[str, ...] = (),
    ):
        self.prompts = prompts or plan.prompts
        self.item, self.images, self.hint, self.noted = item, images, hint, noted or {}  # the last goes into the record
        self.exchanges = [Exchange(plan, self, number) for number in range(plan.captions)]
        self.left = len(self.exchanges)
        self.error: Exception | None = None
        self.asked = self.prompt_tokens = self.completion_tokens = 0

    def questions(self) -> list[Question]:
        return [exchange.question() for exchange in self.exchanges]

    def count(self, answer: Answer) -> None:
        if answer.prompt_tokens is None or answer.completion_tokens is None:
            return  # nobody was asked
        self.asked += 1
        self.prompt_tokens += answer.prompt_tokens
        self.completion_tokens += answer.completion_tokens

    def take(self, question: Question, answer: Answer | Exception) -> Question | None:
        """Note an answer to one of the questions; returns the one that follows from it, if any."""
        following = None
        try:
            if isinstance(answer, Exception):
                raise answer
            following = question.asker.take(question, answer)
        except Exception as error:
            self.error = self.error or error
        if following is None or self.error:
            self.left -= 1
            return None
        return following

    def outcome(self, text_key: str) -> dict | Exception:
        """What goes into the record, once nothing is left."""
        counts = {
            "asked": self.asked,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }
        if self.error:
            return noting(self.error, counts) if self.asked else self.error
        first = self.exchanges[0]
        fields: dict[str, Any] = {text_key: first.texts[-1]}
        if len(self.exchanges) > 1:
            fields[f"{text_key}_all"] = [exchange.texts[-1] for exchange in self.exchanges]
        if len(first.texts) > 1:
            fields["answers"] = first.texts
        if first.fields:
            fields["structured"] = first.fields
        return fields | first.measured | self.noted | (counts if self.asked else {})


def ask(
    engine: Engine, loaded: Iterator[Loaded], begin: Callable[[Loaded], Interview], text_key: str
) -> Iterator[tuple[dict, dict | Exception]]:
    """Yield each item with its captions, or with the exception that is its failure, as soon as it is there.

    Where `loaded` has a method `ready`, it is only waited for when nothing is in flight: an engine at work is never kept
    waiting for a photograph to be decoded.
    """
    ready = getattr(loaded, "ready", lambda: True)
    is_stopping = getattr(loaded, "is_stopping", lambda: False)
    waiting: deque[Question] = deque()
    in_flight, is_ended = 0, False
    while True:
        while engine.room() > 0:
            if waiting:
                engine.ask(waiting.popleft())
                in_flight += 1
            elif is_ended or (in_flight and not ready()):
                break
            elif (one := next(loaded, None)) is not None:
                waiting.extend(begin(one).questions())
            else:
                is_ended = True
        if not in_flight:
            return
        if is_stopping():
            engine.hurry()
        for question, answer in engine.answers(LONG_WAIT if is_ended or engine.room() < 1 else SHORT_WAIT):
            in_flight -= 1
            if isinstance(answer, Abandoned):
                continue  # its item stays open
            interview = question.asker.interview
            following = interview.take(question, answer)
            if following is not None:
                waiting.append(following)
            elif interview.left == 0:
                yield interview.item, interview.outcome(text_key)


def temperature_of(temperature: float | None, attempt: int) -> float | None:
    """Another one for every attempt: 0.1, 0.4, 0.7, 1.0, and from 0.9 on downwards."""
    if temperature is None:
        return None
    change = WARMER * attempt
    return round(temperature + change if temperature + change <= 1.0 else max(0.0, temperature - change), 3)
