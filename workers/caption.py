"""Ask about each photograph: its lighting keywords, from pixels or from a vision-language model."""

import atexit
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.captions.engines.registry import EngineName, find_engine
from shared.captions.prompts import KEYWORDS, KEYWORDS_STRUCTURED, read_prompt
from shared.start import run
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.captions.asking import Interview, Plan
    from shared.captions.engines.engine import Engine
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step

COLUMNS = ("image_path", "lighting_score", "output_image_path")  # and then what the step found


@dataclass
class Caption(Worker):
    """Say in a few words what light each photograph was taken in: the edit instruction of the training data."""

    engine: EngineName = "photometric"  # photometric has no model
    text_key: str = "lighting_keywords"  # the column of the result
    batch_size: PositiveInt = 8  # photographs handed to the engine together; vllm and server hold them for free places

    model_path: str = ""  # a model on the Hub, a folder, or what the server calls it
    prompt: str | list[str] | None = None  # a text, a file that holds it, or several, which make a conversation
    system_prompt: str = ""
    structured: bool = False  # ask for six fields as JSON, and compose the phrase of them
    hints: bool = False  # tell the model what light was measured
    repeat_time: PositiveInt = 1  # captions of each photograph
    min_words: NonNegativeInt = 5
    max_words: PositiveInt | None = 15
    retries: NonNegativeInt = 2  # an answer that does not pass is asked for again, at another temperature

    temperature: NonNegativeFloat | None = 0.1  # nothing leaves it to the engine, as with the three that follow
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: NonNegativeInt | None = None
    repetition_penalty: PositiveFloat | None = None
    max_tokens: PositiveInt = 100
    max_pixels: PositiveInt = 1024 * 1024  # photographs are made no larger before a model sees them

    max_model_len: PositiveInt | None = None  # tokens of prompt, photograph and answer; nothing: what the memory allows
    max_num_seqs: PositiveInt = 128  # answers in the making at once, with vllm
    tensor_parallel_size: PositiveInt | None = None  # nothing: all GPUs of this worker
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    trust_remote_code: bool = False  # run code that comes with the model
    offload: bool = False  # transformers: keep on the CPU what the GPU has no room for
    engine_options: dict[str, Any] = field(default_factory=dict)  # more arguments of EngineArgs or from_pretrained

    vllm_url: str = "http://localhost:8000/v1"  # of the server, vLLM's or another
    num_workers: PositiveInt = 4  # requests to the server in flight
    request_seconds: PositiveFloat = 300  # after which a request is tried again
    key_variable: str = ""  # the environment variable with the server's key
    field_names: dict[str, str] = field(default_factory=dict)  # what the server calls a field; "" leaves it out
    price_prompt: NonNegativeFloat = 0  # dollars for a million tokens, for the costs in the result
    price_completion: NonNegativeFloat = 0

    aliases: ClassVar[dict[str, str]] = {"model": "model_path"}
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {
        "max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "offload", "vllm_url", "num_workers",
        "request_seconds", "key_variable",
    }  # fmt: skip
    collect_options: ClassVar[frozenset[str]] = frozenset({"price_prompt", "price_completion"})

    @property
    def prompts(self) -> tuple[str, ...]:
        """What is said to the model, turn by turn, once fill_in() has read it."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt or ("",))

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        if find_engine(self.engine).needs_model_path and not self.model_path:
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

        columns = {column: column for column in (*COLUMNS, self.text_key)}
        write_split_tables(step, rows, "{split}images_with_albedo_with_keywords.csv", columns)
        asked = sum(row.get("asked", 0) for row in rows)
        if not asked:
            return None
        prompt, completion = (sum(row[name] for row in rows) for name in ("prompt_tokens", "completion_tokens"))
        cost = self._cost(prompt, completion)
        step.tell(
            f"{len(rows)} photographs, {asked} questions to {self.model_path or self.vllm_url} by {self.engine}, "
            f"{prompt} + {completion} tokens" + (f", {cost:.2f} dollars" if self.price_prompt else "")
        )
        if not self.price_prompt and not self.price_completion:
            return None
        return (row | {"cost": round(self._cost(row["prompt_tokens"], row["completion_tokens"]), 6)} for row in rows)

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
            wanted=Wanted(self.min_words, self.max_words) if is_checked else Wanted(),
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
