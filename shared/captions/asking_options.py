"""The options of any step that asks a model: which one answers, how, and what an answer has to be."""

import atexit
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.captions.answers import Form
from shared.captions.engines.registry import ENGINES, EngineName, find_engine
from shared.captions.prompts import read_prompt
from shared.errors import ConfigError
from shared.worker import Worker

if TYPE_CHECKING:
    from shared.captions.asking import Plan
    from shared.captions.engines.engine import Engine, Sampling
    from shared.forecast import Forecast


MOST_HELD = 64  # items that are claimed and decoded for an engine with a queue of its own: more would wait, in memory


@dataclass
class LintOptions:
    """What the report looks for in a model's words, beside what is always odd."""

    opening: Annotated[str, Field(description="how each should begin; empty: as it likes")] = ""
    forbidden_words: Annotated[tuple[str, ...], Field(description="words that none should say")] = ()
    language: Annotated[str, Field(description="of all captions, as en; empty: that of most")] = ""


@dataclass(kw_only=True)
class AskingOptions(Worker):
    """Which model answers, how, and what an answer has to be."""

    engine: Annotated[
        EngineName,
        Field(description="what answers: photometric measures the pixels and has no model; the others ask one"),
    ] = "photometric"
    text_key: Annotated[str, Field(description="the column of the result")] = "lighting_keywords"

    model_path: Annotated[str, Field(description="a model on the Hub, a folder, or what the server calls it")] = ""
    prompt: Annotated[
        str | list[str] | None, Field(description="a text, a file that holds it, or several, which make a conversation")
    ] = None
    system_prompt: Annotated[str, Field(description="said to the model before everything else")] = ""
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

    max_model_len: Annotated[
        PositiveInt | None,
        Field(description="tokens of prompt, photograph and answer; nothing: what the memory allows"),
    ] = None
    max_num_seqs: Annotated[
        PositiveInt | None,
        Field(description="answers in the making at once; null: 128 with vllm, num_workers with a server"),
    ] = None
    tensor_parallel_size: Annotated[
        PositiveInt | None,
        Field(description="vllm: GPUs that hold the model together, and that each worker has; null: all of a worker's"),
    ] = None
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

    lint: Annotated[LintOptions, Field(description="what the report looks for in the captions")] = field(
        default_factory=LintOptions
    )

    from_run: ClassVar[dict[str, str]] = {"text_key": "text_key"}
    given_batch_size: int = field(init=False, default=0)  # where less of it is taken

    aliases: ClassVar[dict[str, str]] = {"model": "model_path", "sys_prompt": "system_prompt"}
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {
        "max_model_len", "max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "offload", "vllm_url", "num_workers",
        "request_seconds", "key_variable",
    }  # fmt: skip
    collect_options: ClassVar[frozenset[str]] = frozenset({"price_prompt", "price_completion", "lint"})

    @property
    def most_images(self) -> int:
        """Of a question."""
        return 0

    @property
    def is_linted(self) -> bool:
        """Whether its report looks through the words: those of a model."""
        return find_engine(self.engine).reads_prompts

    @property
    def prompts(self) -> tuple[str, ...]:
        """What is said to the model, turn by turn, once fill_in() has read it."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt or ("",))

    @property
    def sampling(self) -> "Sampling":
        from shared.captions.engines.engine import Sampling

        return Sampling(self.temperature, self.top_p, self.top_k, self.repetition_penalty, self.max_tokens)

    def check(self, label: str) -> None:
        engine = find_engine(self.engine)
        defaults = type(self)()
        for name in sorted(engine.without_use):
            if getattr(self, name, None) != getattr(defaults, name, None):
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
        if self.tensor_parallel_size and not self.gpus_per_worker:
            self.gpus_per_worker = self.tensor_parallel_size
        if self.engine in ("vllm", "server") and self.batch_size > MOST_HELD:
            self.given_batch_size, self.batch_size = self.batch_size, MOST_HELD

    def remarks(self) -> list[str]:
        capped = (
            f"batch_size {self.given_batch_size} is taken as {MOST_HELD}: {self.engine} fills its places by itself, and more "
            "would only lie in memory"
        )
        return [*([capped] if self.given_batch_size else []), *find_engine(self.engine).remarks(self)]

    def forecast(self) -> "Forecast":
        return find_engine(self.engine).forecast(self)

    def make_engine(self) -> "Engine":
        return find_engine(self.engine).made_for(self)

    def plan(self) -> "Plan":
        """What is asked of every item."""
        raise NotImplementedError

    def setup(self) -> None:
        self._plan = self.plan()
        self._engine = self.make_engine()
        atexit.register(self._engine.close)
        self._engine.setup()

    def hindrance(self) -> str:
        return self._engine.hindrance() if hasattr(self, "_engine") else ""

    def read_prompts(self, label: str) -> list[str]:
        """The words of all prompts, those of files too. Raises ConfigError."""
        try:
            prompts = [read_prompt(one) for one in self.prompts]
        except ValueError as error:
            raise ConfigError(f"{label}: prompt: {error}") from None
        if not all(prompts):
            raise ConfigError(f"{label}: prompt: it is empty")
        return prompts
