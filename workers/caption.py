"""Ask about each photograph: its lighting keywords, from pixels or from a vision-language model."""

import atexit
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.captions.answers import Form
from shared.captions.engines.registry import ENGINES, EngineName, find_engine
from shared.captions.prompts import KEYWORDS, KEYWORDS_STRUCTURED, read_prompt
from shared.start import run
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.captions.asking import Interview, Plan
    from shared.captions.engines.engine import Engine
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step

CAPTION_COLUMNS = ("image_path", "lighting_score", "output_image_path")  # and then what the step found


@dataclass
class Caption(Worker):
    """Say in a few words what light each photograph was taken in: the edit instruction of the training data."""

    engine: Annotated[
        EngineName,
        Field(description="what answers: photometric measures the pixels and has no model; the others ask one"),
    ] = "photometric"
    text_key: Annotated[str, Field(description="the column of the result")] = "lighting_keywords"
    batch_size: Annotated[
        PositiveInt,
        Field(description="photographs handed to the engine together; vllm and server hold them for free places"),
    ] = 8

    model_path: Annotated[str, Field(description="a model on the Hub, a folder, or what the server calls it")] = ""
    prompt: Annotated[
        str | list[str] | None, Field(description="a text, a file that holds it, or several, which make a conversation")
    ] = None
    system_prompt: Annotated[str, Field(description="said to the model before everything else")] = ""
    structured: Annotated[bool, Field(description="ask for six fields as JSON, and compose the phrase of them")] = False
    hints: Annotated[bool, Field(description="tell the model what light was measured")] = False
    repeat_time: Annotated[PositiveInt, Field(description="captions of each photograph")] = 1
    min_words: Annotated[
        NonNegativeInt, Field(description="words that an answer has at least; a shorter one is asked for again")
    ] = 4
    answers: Annotated[
        Form | None,
        Field(
            description="what an answer is to be: keywords in a line; a description, of which preamble and markup are taken "
            "away; any, whole and unchecked; null: keywords where max_words is at most 30, else a description"
        ),
    ] = None
    max_words: Annotated[PositiveInt | None, Field(description="words that an answer has at most; null: no bound")] = 15
    retries: Annotated[
        NonNegativeInt, Field(description="an answer that does not pass is asked for again, at another temperature")
    ] = 2

    temperature: Annotated[
        NonNegativeFloat | None,
        Field(description="how freely the answer is drawn, 0 is always the likeliest; null leaves it to the engine"),
    ] = 0.1
    top_p: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        Field(
            description="draw among the likeliest tokens that together have this probability; null leaves it to the engine"
        ),
    ] = None
    top_k: Annotated[
        NonNegativeInt | None, Field(description="draw among this many likeliest tokens; null leaves it to the engine")
    ] = None
    repetition_penalty: Annotated[
        PositiveFloat | None,
        Field(description="above 1: words that have been said become less likely; null leaves it to the engine"),
    ] = None
    max_tokens: Annotated[
        PositiveInt, Field(description="length of an answer at most, in tokens; one that is cut off is asked for again")
    ] = 100
    max_pixels: Annotated[PositiveInt, Field(description="photographs are made no larger before a model sees them")] = (
        1024 * 1024
    )

    max_model_len: Annotated[
        PositiveInt | None,
        Field(description="tokens of prompt, photograph and answer; nothing: what the memory allows"),
    ] = None
    max_num_seqs: Annotated[PositiveInt, Field(description="answers in the making at once, with vllm")] = 128
    tensor_parallel_size: Annotated[PositiveInt | None, Field(description="nothing: all GPUs of this worker")] = None
    gpu_memory_utilization: Annotated[
        float, Field(gt=0, le=1, description="vllm: share of the GPU's memory that it takes")
    ] = 0.9
    dtype: Annotated[
        Literal["auto", "bfloat16", "float16", "float32"],
        Field(description="number format of the model's weights; auto is the one they are stored in"),
    ] = "auto"
    trust_remote_code: Annotated[bool, Field(description="run code that comes with the model")] = False
    offload: Annotated[bool, Field(description="transformers: keep on the CPU what the GPU has no room for")] = False
    engine_options: Annotated[dict[str, Any], Field(description="more arguments of EngineArgs or from_pretrained")] = (
        field(default_factory=dict)
    )

    vllm_url: Annotated[str, Field(description="address of the server, vLLM's or another")] = "http://localhost:8000/v1"
    num_workers: Annotated[PositiveInt, Field(description="requests to the server in flight")] = 4
    request_seconds: Annotated[PositiveFloat, Field(description="after which a request is tried again")] = 300
    key_variable: Annotated[str, Field(description="the environment variable with the server's key")] = ""
    field_names: Annotated[dict[str, str], Field(description='what the server calls a field; "" leaves it out')] = (
        field(default_factory=dict)
    )
    price_prompt: Annotated[
        NonNegativeFloat,
        Field(description="dollars for a million tokens of the questions, for the costs in the result"),
    ] = 0
    price_completion: Annotated[NonNegativeFloat, Field(description="dollars for a million tokens of the answers")] = 0

    aliases: ClassVar[dict[str, str]] = {"model": "model_path"}
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {
        "max_model_len", "max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "offload", "vllm_url", "num_workers",
        "request_seconds", "key_variable",
    }  # fmt: skip
    collect_options: ClassVar[frozenset[str]] = frozenset({"price_prompt", "price_completion"})

    @property
    def prompts(self) -> tuple[str, ...]:
        """What is said to the model, turn by turn, once fill_in() has read it."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt or ("",))

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        engine = find_engine(self.engine)
        defaults = type(self)()
        for name in sorted(engine.without_use):
            if getattr(self, name) != getattr(defaults, name):
                others = [other for other in ENGINES if name not in find_engine(other).without_use]
                raise ConfigError(
                    f"{label}: {name} is of no use to engine: {self.engine}; leave it out, or take the engine "
                    f"that it is for ({', '.join(others)})"
                )
        if engine.needs_model_path and not self.model_path:
            raise ConfigError(f"{label}: engine {self.engine} needs model_path, a model on the Hub or a folder")
        if self.max_words is not None and self.max_words < self.min_words:
            raise ConfigError(f"{label}: max_words {self.max_words} is less than min_words {self.min_words}")

    def fill_in(self, label: str) -> None:
        """Read the prompts: the settings then hold the words themselves, and a changed file is noticed."""
        from shared.errors import ConfigError

        if not find_engine(self.engine).reads_prompts:
            return
        if self.prompt is None:
            self.prompt = KEYWORDS_STRUCTURED if self.structured else KEYWORDS
        try:
            self.prompt = [read_prompt(one) for one in self.prompts]
        except ValueError as error:
            raise ConfigError(f"{label}: prompt: {error}") from None
        if not all(self.prompts):
            raise ConfigError(f"{label}: prompt: it is empty")

    def forecast(self) -> "Forecast":
        return find_engine(self.engine).forecast(self)

    def setup(self) -> None:
        self._plan = self.plan()
        self._engine = self.make_engine()
        atexit.register(self._engine.close)
        self._engine.setup()

    def hindrance(self) -> str:
        return self._engine.hindrance() if hasattr(self, "_engine") else ""

    def load(self, item: dict) -> Any:
        # The photograph, never the degraded image: the words describe the light that the model has to bring back.
        image = self._engine.open(item, self.max_pixels)
        hint = self._hint(item, image) if self.hints else ""
        return self._engine.prepare(image), hint

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        from shared.captions.asking import ask

        return ask(self._engine, loaded, self._begin, self.text_key)

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.exports.per_split import write_split_tables

        columns = {column: column for column in (*CAPTION_COLUMNS, self.text_key)}
        write_split_tables(step, rows, "{split}images_with_albedo_with_keywords.csv", columns)
        lost = step.records.spent_on_failures()
        asked, prompt, completion = (
            sum(row.get(name, 0) for row in rows) + lost[name]
            for name in ("asked", "prompt_tokens", "completion_tokens")
        )
        if not asked:
            return None
        is_priced = self.price_prompt or self.price_completion
        failures = f" and {lost['failures']} failures" if lost else ""
        step.tell(
            f"{len(rows)} photographs{failures}, {asked} questions to {self.model_path or self.vllm_url} by {self.engine}, "
            f"{prompt} + {completion} tokens" + (f", {self._cost(prompt, completion):.2f} dollars" if is_priced else "")
        )
        if not is_priced:
            return None
        return (
            row | {"cost": round(self._cost(row.get("prompt_tokens", 0), row.get("completion_tokens", 0)), 6)}
            for row in rows
        )

    def plan(self) -> "Plan":
        """What is asked of every photograph."""
        from shared.captions.answers import Wanted
        from shared.captions.asking import Plan
        from shared.captions.engines.engine import Sampling
        from shared.captions.structured import SCHEMA

        is_checked = find_engine(self.engine).reads_prompts
        return Plan(
            prompts=self.prompts,
            sampling=Sampling(self.temperature, self.top_p, self.top_k, self.repetition_penalty, self.max_tokens),
            wanted=Wanted(self.min_words, self.max_words, self.answers or "") if is_checked else Wanted(),
            system_prompt=self.system_prompt,
            schema=SCHEMA if self.structured and is_checked else None,
            retries=self.retries,
            captions=self.repeat_time,
            seed=self.seed,
        )

    def make_engine(self) -> "Engine":
        return find_engine(self.engine).made_for(self)

    def _begin(self, one: Loaded) -> "Interview":
        from shared.captions.asking import Interview

        image, hint = one.data
        return Interview(self._plan, one.item, image, hint)

    def _hint(self, item: dict, image: Any) -> str:
        from shared.captions.prompts import hint

        if not item.get("light"):
            import numpy as np

            from shared.captions.engines.photometric import LONGEST_SIDE
            from shared.light.describe import describe

            small = image.copy()
            small.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            return hint(describe(np.asarray(small)).as_dict())
        return hint(item["light"])

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.price_prompt + completion_tokens * self.price_completion) / 1e6


if __name__ == "__main__":
    run(Caption)
elif __name__ == "__mp_main__":  # a process of the vLLM engine, which imports this file before anything else
    from shared.machine import end_with_parent

    end_with_parent()
