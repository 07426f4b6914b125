"""Write a text about each item from the words it has: a summary, a prompt, a translation, or fields of one's own."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from shared.captions.answers import Form
from shared.captions.asking_options import AskingOptions
from shared.captions.fields_in_prompts import fields_of_prompt, filled_in
from shared.captions.schemas import read_schema
from shared.errors import ConfigError
from shared.files.records import ADDED_UP
from shared.start import run
from shared.worker import Loaded

if TYPE_CHECKING:
    from shared.captions.asking import Interview, Plan
    from shared.files.table import Table
    from shared.run.run import Step


@dataclass(kw_only=True)
class TextGenerator(AskingOptions):
    """Ask a language model about the words of each item."""

    engine: Annotated[
        Literal["vllm", "server", "transformers"],
        Field(description="what answers: vLLM in the workers, a server, or transformers, which needs no GPU"),
    ] = "vllm"
    batch_size: Annotated[
        PositiveInt, Field(description="items handed to the engine together; vllm and server hold them for free places")
    ] = 16
    text_key: Annotated[str, Field(description="the column of the result")] = "text"
    input_key: Annotated[
        str, Field(description="the field that a prompt without {field} is about, and that is put below it")
    ] = "text"
    prompt: Annotated[
        str | list[str] | None,
        Field(
            description="a text, a file that holds it, or several, which make a conversation; {field} is what an item says "
            "there, {{ a brace"
        ),
    ] = None
    structured: Annotated[
        dict[str, Any] | str | None,
        Field(
            description="a JSON schema of an object, or its file: answers are held to it, and its fields become columns"
        ),
    ] = None
    min_words: Annotated[
        NonNegativeInt, Field(description="words that an answer has at least; a shorter one is asked for again")
    ] = 1
    answers: Annotated[
        Form | None,
        Field(
            description="what an answer is to be: any, whole and unchecked; a description, of which preamble and markup are "
            "taken away; keywords in a line"
        ),
    ] = "any"
    max_words: Annotated[PositiveInt | None, Field(description="words that an answer has at most; null: no bound")] = (
        None
    )
    max_tokens: Annotated[
        PositiveInt, Field(description="length of an answer at most, in tokens; one that is cut off is asked for again")
    ] = 512

    from_run: ClassVar[dict[str, str]] = {"text_key": "text_key", "input_key": "text_key"}

    @property
    def is_linted(self) -> bool:
        return not self.structured

    def check(self, label: str) -> None:
        super().check(label)
        if not self.prompts[0]:
            raise ConfigError(
                f"{label}: prompt is needed: what is to be written about each item, as Summarize: {{text}}"
            )

    def fill_in(self, label: str) -> None:
        """Read the prompts and the schema: the settings then hold the words themselves."""
        super().fill_in(label)
        prompts = self.read_prompts(label)
        try:
            if not [name for one in prompts for name in fields_of_prompt(one)]:
                prompts[0] += f"\n\n{{{self.input_key}}}"
        except ValueError as error:
            raise ConfigError(f"{label}: prompt: {error}") from None
        self.prompt = prompts
        try:
            self.structured = read_schema(self.structured) if self.structured else None
        except ValueError as error:
            raise ConfigError(f"{label}: structured: {error}") from None

    def load(self, item: dict) -> tuple[str, ...]:
        """The prompts about the item."""
        return tuple(filled_in(prompt, item) for prompt in self.prompts)

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        from shared.captions.asking import ask

        for item, found in ask(self._engine, loaded, self._begin, self.text_key):
            yield item, self._record(found) if isinstance(found, dict) else found

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.captions.spending import tell_spending

        return tell_spending(self, rows, step, "items")

    def plan(self) -> "Plan":
        """What is asked of every item."""
        from shared.captions.answers import Wanted
        from shared.captions.asking import Plan
        from shared.captions.schemas import Composer

        assert not isinstance(self.structured, str)  # fill_in() has read it
        more: dict[str, Any] = {}
        if self.structured:
            more = {"schema": self.structured, "compose": Composer(self.structured)}
        return Plan(
            prompts=self.prompts,
            sampling=self.sampling,
            wanted=Wanted() if self.structured else Wanted(self.min_words, self.max_words, self.answers or ""),
            system_prompt=self.system_prompt,
            retries=self.retries,
            captions=self.repeat_time,
            seed=self.seed,
            **more,
        )

    def _begin(self, one: Loaded) -> "Interview":
        from shared.captions.asking import Interview

        return Interview(self._plan, one.item, prompts=one.data)

    def _record(self, found: dict) -> dict:
        """What the record holds: of a schema its fields, in columns of their own."""
        if not self.structured:
            return found
        counts = {name: found[name] for name in ADDED_UP if name in found}
        several = f"{self.text_key}_all"
        return found["structured"] | counts | ({several: found[several]} if several in found else {})


if __name__ == "__main__":
    run(TextGenerator)
elif __name__ == "__mp_main__":  # a process of the vLLM engine, which imports this file before anything else
    from shared.machine import end_with_parent

    end_with_parent()
