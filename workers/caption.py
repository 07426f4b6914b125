"""Ask about each photograph: its lighting keywords, from pixels or from a vision-language model."""

import atexit
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.prompts import KEYWORDS, KEYWORDS_STRUCTURED, read_prompt
from shared.worker import Loaded, Worker, run

if TYPE_CHECKING:
    from shared.engines.asking import Interview
    from shared.engines.engine import Engine
    from shared.forecast import Forecast
    from shared.run import Step
    from shared.table import Table

COLUMNS = ("image_path", "lighting_score", "output_image_path")  # and then what the step found


@dataclass
class Caption(Worker):
    """Say in a few words what light each photograph was taken in: the edit instruction of the training data."""

    engine: Literal["photometric", "vllm", "server", "transformers"] = "photometric"  # photometric has no model
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

    def check(self, label: str) -> None:
        from shared.config import ConfigError

        if self.engine == "photometric":
            return
        if self.engine != "server" and not self.model_path:
            raise ConfigError(f"{label}: engine {self.engine} needs model_path, a model on the Hub or a folder")
        if self.max_words is not None and self.max_words < self.min_words:
            raise ConfigError(f"{label}: max_words {self.max_words} is less than min_words {self.min_words}")
        try:
            self._read_prompts()  # the settings then hold the words themselves, and a changed file is noticed
        except ValueError as error:
            raise ConfigError(f"{label}: prompt: {error}") from None

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        if self.engine == "photometric":
            return Forecast()
        if self.engine == "server":
            server = Model(
                self.model_path, "model_path", "server", ("httpx",), key_variable=self.key_variable, url=self.vllm_url,
                at_once=self.num_workers, captions=self.repeat_time, turns=len(self._read_prompts()),
                prices=(self.price_prompt, self.price_completion),
            )  # fmt: skip
            return Forecast([server])
        in_vllm = self.engine == "vllm"
        packages = ("torch", "torchvision", "transformers", "huggingface_hub", "vllm" if in_vllm else "accelerate")
        model = Model(
            self.model_path, "model_path", "transformers", packages, needs_gpu=in_vllm, is_split=in_vllm,
            is_halved=self.dtype in ("bfloat16", "float16") or (in_vllm and self.dtype == "auto"),
            may_offload=self.offload and not in_vllm, memory_share=self.gpu_memory_utilization if in_vllm else None,
        )  # fmt: skip
        return Forecast([model])

    def setup(self) -> None:
        if self.engine == "photometric":
            from shared.engines.photometric import Photometric

            self._engine: Any = Photometric(self.seed)
            self._engine.setup()
            return
        self._plan = self.plan()
        self._engine = self.make_engine()
        atexit.register(self._engine.close)
        self._engine.setup()

    def load(self, item: dict) -> Any:
        import numpy as np

        from shared.images import open_image

        # The photograph, never the degraded image: the words describe the light that the model has to bring back.
        if self.engine == "photometric":
            from shared.engines.photometric import WORKING_SIZE

            return np.asarray(open_image(item, longest_side=WORKING_SIZE))
        image = open_image(item, shorter_side=math.isqrt(self.max_pixels))
        hint = self._hint(item, image) if self.hints else ""
        scale = math.sqrt(self.max_pixels / (image.width * image.height))
        if scale < 1:
            image.thumbnail((max(1, int(image.width * scale)), max(1, int(image.height * scale))), reducing_gap=3.0)
        return self._engine.prepare(image), hint

    def process(self, batch: list[Loaded]) -> list[dict]:
        from shared.engines.photometric import Question

        answers = self._engine.answer([Question(item, image) for item, image in batch])
        return [{self.text_key: found.pop("lighting_keywords"), **found} for found in answers]

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        if self.engine == "photometric":
            return super().stream(loaded)
        from shared.engines.asking import ask

        return ask(self._engine, loaded, self._begin, self.text_key)

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.split_tables import write_split_tables

        columns = {column: column for column in (*COLUMNS, self.text_key)}
        write_split_tables(step, rows, "{split}images_with_albedo_with_keywords.csv", columns)
        if self.engine == "photometric":
            return None
        asked = sum(row["asked"] for row in rows)
        prompt, completion = (sum(row[name] for row in rows) for name in ("prompt_tokens", "completion_tokens"))
        cost = self._cost(prompt, completion)
        step.tell(
            f"{len(rows)} photographs, {asked} questions to {self.model_path or self.vllm_url} by {self.engine}, "
            f"{prompt} + {completion} tokens" + (f", {cost:.2f} dollars" if self.price_prompt else "")
        )
        if not self.price_prompt and not self.price_completion:
            return None
        return (row | {"cost": round(self._cost(row["prompt_tokens"], row["completion_tokens"]), 6)} for row in rows)

    def plan(self) -> Any:
        """What is asked of every photograph."""
        from shared.answers import Wanted
        from shared.engines.asking import Plan
        from shared.engines.engine import Sampling
        from shared.structured import SCHEMA

        sampling = Sampling(self.temperature, self.top_p, self.top_k, self.repetition_penalty, self.max_tokens)
        return Plan(
            prompts=self._read_prompts(),
            sampling=sampling,
            wanted=Wanted(self.min_words, self.max_words),
            system_prompt=self.system_prompt,
            schema=SCHEMA if self.structured else None,
            retries=self.retries,
            captions=self.repeat_time,
            seed=self.seed,
        )

    def make_engine(self) -> "Engine":
        if self.engine == "server":
            from shared.engines.server import Server

            return Server(
                self.vllm_url, self.model_path, key_variable=self.key_variable, num_workers=self.num_workers,
                batch_size=self.batch_size, seconds=self.request_seconds, field_names=self.field_names,
            )  # fmt: skip
        if self.engine == "transformers":
            from shared.engines.transformers import Transformers

            return Transformers(
                self.model_path, batch_size=self.batch_size, dtype=self.dtype, trust_remote_code=self.trust_remote_code,
                offload=self.offload, options=self.engine_options,
            )  # fmt: skip
        from shared.engines.vllm import Vllm

        return Vllm(
            self.model_path, gpu=self.gpu, seed=self.seed, dtype=self.dtype, max_model_len=self.max_model_len,
            max_num_seqs=self.max_num_seqs, batch_size=self.batch_size, tensor_parallel_size=self.tensor_parallel_size,
            gpu_memory_utilization=self.gpu_memory_utilization, trust_remote_code=self.trust_remote_code,
            asks_again=self.repeat_time > 1 or len(self._plan.prompts) > 1, options=self.engine_options,
        )  # fmt: skip

    def _begin(self, one: Loaded) -> "Interview":
        from shared.engines.asking import Interview

        image, hint = one.data
        return Interview(self._plan, one.item, image, hint)

    def _read_prompts(self) -> tuple[str, ...]:
        if self.prompt is None:
            self.prompt = KEYWORDS_STRUCTURED if self.structured else KEYWORDS
        self.prompt = [read_prompt(one) for one in ([self.prompt] if isinstance(self.prompt, str) else self.prompt)]
        if not self.prompt or not all(self.prompt):
            raise ValueError("it is empty")
        return tuple(self.prompt)

    def _hint(self, item: dict, image: Any) -> str:
        from shared.prompts import hint

        if not item.get("light"):
            import numpy as np

            from shared.engines.photometric import WORKING_SIZE
            from shared.light.describe import describe

            small = image.copy()
            small.thumbnail((WORKING_SIZE, WORKING_SIZE))
            return hint(describe(np.asarray(small)).as_dict())
        return hint(item["light"])

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.price_prompt + completion_tokens * self.price_completion) / 1e6


if __name__ == "__main__":
    run(Caption)
elif __name__ == "__mp_main__":  # a process of the vLLM engine, which imports this file before anything else
    from shared.parent import end_with_parent

    end_with_parent()
