"""The options of a step that asks about photographs, checked against the engine that answers."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, NonNegativeInt, PositiveInt

from shared.captions.asking_options import AskingOptions
from shared.captions.engines.registry import find_engine
from shared.captions.prompts import KEYWORDS, KEYWORDS_STRUCTURED
from shared.errors import ConfigError

if TYPE_CHECKING:
    from shared.forecast import Forecast

TILE_PIXELS = 448 * 448  # of InternVL


@dataclass(kw_only=True)
class CaptionOptions(AskingOptions):
    """What is asked of a photograph, and what a record keeps of it."""

    batch_size: Annotated[
        PositiveInt,
        Field(description="photographs handed to the engine together; vllm and server hold them for free places"),
    ] = 8
    structured: Annotated[bool, Field(description="ask for six fields as JSON, and compose the phrase of them")] = False
    hints: Annotated[bool, Field(description="tell the model what light was measured")] = False
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

    web_caption_key: Annotated[
        str, Field(description="column of the input that records hold as web_caption; no model is told it; empty: none")
    ] = ""
    sample_images: Annotated[
        NonNegativeInt, Field(description="so many photographs, the first of the input, are kept as JPEG in images/")
    ] = 0
    measure_sizes: Annotated[
        bool,
        Field(
            description="records hold width, height, original_width and original_height where the input does not say them"
        ),
    ] = False
    lean_records: Annotated[
        bool, Field(description="records hold the captions alone: no tokens, and not which file was read")
    ] = False

    @property
    def most_images(self) -> int:
        return max(1, self.frames) * len(self.images)

    def check(self, label: str) -> None:
        super().check(label)
        if self.web_caption_key and self.text_key == "web_caption":
            raise ConfigError(f"{label}: text_key is web_caption, which is what the input says; take vlm_caption")

    def fill_in(self, label: str) -> None:
        """Read the prompts: the settings then hold the words themselves, and a changed file is noticed."""
        super().fill_in(label)
        if self.max_num:
            self.max_pixels = max(self.max_pixels, self.max_num * TILE_PIXELS)
        if not find_engine(self.engine).reads_prompts:
            return
        if self.prompt is None:
            self.prompt = KEYWORDS_STRUCTURED if self.structured else KEYWORDS
        self.prompt = self.read_prompts(label)

    def forecast(self) -> "Forecast":
        forecast = super().forecast()
        if not self.frames:
            return forecast
        return replace(forecast, models=[replace(model, packages=(*model.packages, "av")) for model in forecast.models])
