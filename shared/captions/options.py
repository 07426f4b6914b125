"""The options of a step that asks an engine about each item, checked against the engine they are for."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from shared.captions.answers import Form
from shared.captions.engines.registry import ENGINES, EngineName, find_engine
from shared.captions.prompts import KEYWORDS, KEYWORDS_STRUCTURED, read_prompt
from shared.errors import ConfigError
from shared.worker import Worker

if TYPE_CHECKING:
    from shared.forecast import Forecast

TILE_PIXELS = 448 * 448  # of InternVL


@dataclass
class LintOptions:
    """What the report looks for in a model's captions, beside what is always odd."""

    opening: Annotated[str, Field(description="how each should begin; empty: as it likes")] = ""
    forbidden_words: Annotated[tuple[str, ...], Field(description="words that none should say")] = ()
    language: Annotated[str, Field(description="of all captions, as en; empty: that of most")] = ""


@dataclass(kw_only=True)
class CaptionOptions(Worker):
    """What is asked, which model answers, and what a record keeps of it."""

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

    images: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            description="fields of an item that hold what is asked about, in this order; several are one question",
        ),
    ] = ("image_path",)
    frames: Annotated[
        NonNegativeInt,
        Field(
            description="of an item that is a video, so many frames are asked about, as several images or, of a model that takes "
            "one, as a contact sheet; 0: a video fails"
        ),
    ] = 0
    max_num: Annotated[
        PositiveInt | None,
        Field(
            description="tiles of 448 x 448 pixels that an InternVL model cuts a photograph into at most, which is then made "
            "no smaller than they are together; null: the model's own number"
        ),
    ] = None

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

    web_caption_key: Annotated[
        str, Field(description="column of the input that records hold as web_caption; no model is told it; empty: none")
    ] = ""
    sample_images: Annotated[
        NonNegativeInt, Field(description="so many photographs, the first of the input, are kept as JPEG in images/")
    ] = 0
    lint: Annotated[LintOptions, Field(description="what the report looks for in the captions")] = field(
        default_factory=LintOptions
    )
    measure_sizes: Annotated[
        bool,
        Field(
            description="records hold width, height, original_width and original_height where the input does not say them"
        ),
    ] = False
    lean_records: Annotated[
        bool, Field(description="records hold the captions alone: no tokens, and not which file was read")
    ] = False

    aliases: ClassVar[dict[str, str]] = {"model": "model_path"}
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {
        "max_model_len", "max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "offload", "vllm_url", "num_workers",
        "request_seconds", "key_variable",
    }  # fmt: skip
    collect_options: ClassVar[frozenset[str]] = frozenset({"price_prompt", "price_completion", "lint"})

    @property
    def most_images(self) -> int:
        """Of a question."""
        return max(1, self.frames) * len(self.images)

    @property
    def is_linted(self) -> bool:
        """Whether its report looks through the captions: those of a model."""
        return find_engine(self.engine).reads_prompts

    @property
    def prompts(self) -> tuple[str, ...]:
        """What is said to the model, turn by turn, once fill_in() has read it."""
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt or ("",))

    def check(self, label: str) -> None:
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
        if self.web_caption_key and self.text_key == "web_caption":
            raise ConfigError(f"{label}: text_key is web_caption, which is what the input says; take vlm_caption")
        if self.max_words is not None and self.max_words < self.min_words:
            raise ConfigError(f"{label}: max_words {self.max_words} is less than min_words {self.min_words}")

    def fill_in(self, label: str) -> None:
        """Read the prompts: the settings then hold the words themselves, and a changed file is noticed."""
        if self.max_num:
            self.max_pixels = max(self.max_pixels, self.max_num * TILE_PIXELS)
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
        from dataclasses import replace

        forecast = find_engine(self.engine).forecast(self)
        if not self.frames:
            return forecast
        return replace(forecast, models=[replace(model, packages=(*model.packages, "av")) for model in forecast.models])
