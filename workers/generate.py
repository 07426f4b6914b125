"""Generate an image of each item's text: generated_images/<stem>_generated.png."""

import atexit
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

from pydantic import Field, NonNegativeFloat, PositiveInt

from shared.errors import AnswerError, ConfigError, RequestError, RunError
from shared.generation.families import OPTIONAL, check_options
from shared.generation.generator import Generator, Quantization, Request, as_image, read_class
from shared.generation.image_protocols import PROTOCOLS, ProtocolName
from shared.generation.names import generated_name, shared_stems, write_shared_stems
from shared.generation.placement import Offload
from shared.images import ImageFile
from shared.seeding import item_rng
from shared.start import run
from shared.worker import ImageMaker, Loaded

if TYPE_CHECKING:
    from shared.forecast import Forecast
    from shared.run.run import Step

AHEAD = 32  # prompts that are encoded together where the text encoders leave the GPU afterwards
SHARED_STEMS = ".shared_stems"
NO_GPU = "device is cuda, and there is no NVIDIA GPU here; device: cpu runs it, many times slower"
DIFFUSERS_PACKAGES = ("torch", "diffusers", "transformers", "huggingface_hub", "accelerate")


class Commission(NamedTuple):
    """One image to be drawn."""

    prompt: str
    seed: int
    number: int = 1  # of its item's


@dataclass(kw_only=True)
class Generate(ImageMaker):
    """Draw what each item's text says, by any text-to-image model of diffusers."""

    engine: Annotated[
        Literal["diffusers", "server"],
        Field(description="what draws: a model in the workers, or a service behind HTTP"),
    ] = "diffusers"
    model_path: Annotated[
        str,
        Field(
            description="a model on the Hub or a folder: Stable Diffusion 1.5, XL, 3.5, FLUX.1, FLUX.2, Qwen-Image, Z-Image"
        ),
    ] = ""
    prompt_key: Annotated[str, Field(description="the field with the text to be drawn")] = "text"
    captions: Annotated[
        Literal["first", "each"],
        Field(description="of an item with several texts: one image of the first, or one of each"),
    ] = "first"
    negative_prompt: Annotated[str, Field(description="what is not to be seen, of models that take it")] = ""
    width: Annotated[PositiveInt, Field(description="of the images, in pixels")] = 1024
    height: Annotated[PositiveInt, Field(description="of the images, in pixels")] = 1024
    num_inference_steps: Annotated[PositiveInt, Field(description="steps of the diffusion")] = 50
    guidance_scale: Annotated[
        NonNegativeFloat | None, Field(description="how closely the text is followed; null: the pipeline's own")
    ] = None
    true_cfg_scale: Annotated[
        NonNegativeFloat | None,
        Field(description="the same, of Qwen-Image and FLUX.1 with a negative_prompt; null: the pipeline's own"),
    ] = None
    max_sequence_length: Annotated[
        PositiveInt | None,
        Field(description="tokens of a text that are read, by T5 and language models; null: the pipeline's own"),
    ] = None
    image_format: Annotated[Literal["png", "jpg"], Field(description="of the files")] = "png"
    device: Annotated[
        Literal["", "cuda", "cpu"], Field(description="where it runs; empty: a GPU where there is one")
    ] = ""
    dtype: Annotated[
        Literal["bfloat16", "float16", "float32"], Field(description="number format of the weights on a GPU")
    ] = "bfloat16"
    offload: Annotated[
        Offload,
        Field(
            description="parts that leave the GPU while others work: none; text: the text encoders; model: all but the one at "
            "work; sequential: layer by layer; auto: the first of these that fits"
        ),
    ] = "auto"
    quantize: Annotated[
        Quantization,
        Field(description="int8: weights of 8 bit instead of 16, by torchao: half as large, a little worse"),
    ] = "none"

    protocol: Annotated[
        ProtocolName,
        Field(description="how the server is asked: OpenAI's way, Black Forest Labs', ModelsLab's or Hugging Face's"),
    ] = "openai"
    server_url: Annotated[str, Field(description="address of the server; empty: the service's own")] = ""
    key_variable: Annotated[str, Field(description="the environment variable with the server's key")] = ""

    aliases: ClassVar[dict[str, str]] = {"weight": "width", "model": "model_path"}
    from_run: ClassVar[dict[str, str]] = {"prompt_key": "text_key"}
    speed_options: ClassVar[frozenset[str]] = ImageMaker.speed_options | {
        "offload",
        "device",
        "server_url",
        "key_variable",
    }

    @property
    def notes_sources(self) -> bool:
        return False  # an item's photograph only names the image

    def check(self, label: str) -> None:
        from pathlib import Path

        if not self.model_path:
            raise ConfigError(f"{label}: model_path is needed, a text-to-image model on the Hub or a folder")
        if self.engine == "server":
            for name in sorted({*OPTIONAL, "quantize", "device"} - PROTOCOLS[self.protocol].takes):
                if getattr(self, name) != getattr(Generate(), name):
                    raise ConfigError(f"{label}: {name} is of no use to protocol: {self.protocol}; leave it out")
            return
        if self.protocol != Generate().protocol:
            raise ConfigError(f"{label}: protocol: {self.protocol} needs engine: server")
        if (Path(self.model_path) / "model_index.json").is_file():  # of one on the Hub that is known when it is loaded
            given = {name: getattr(self, name) for name in OPTIONAL}
            try:
                check_options(read_class(Path(self.model_path) / "model_index.json"), given, self.model_path)
            except RunError as error:
                raise ConfigError(f"{label}: {error}") from None

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        images: dict[str, Any] = {"images": 1, "longest_side": max(self.width, self.height)}
        if self.engine == "server":  # which is asked for nothing before the run: an image costs money
            return Forecast(**images)
        model = Model(
            self.model_path, "model_path", "diffusers", (*DIFFUSERS_PACKAGES, *QUANTIZERS[self.quantize]),
            is_halved=self.dtype != "float32", placement=self.offload, quantized=QUANTIZED[self.quantize],
            only_on_gpu=NO_GPU if self.device == "cuda" else "",
        )  # fmt: skip
        return Forecast([model], **images)

    def begin(self, step: "Step") -> None:
        from shared.files.table import Table

        write_shared_stems(Table(step.table_path), step.folder / SHARED_STEMS)

    def setup(self) -> None:
        from shared.models.device import find_device

        self._shared = shared_stems(self.folder / SHARED_STEMS)
        drawing = Request(
            self.width, self.height, self.num_inference_steps, *(getattr(self, name) for name in OPTIONAL)
        )
        atexit.register(lambda: self._generator.close())
        if self.engine == "server":
            from shared.generation.image_server import ImageServer

            server = ImageServer(
                self.server_url, self.model_path, drawing, self.key_variable, self.batch_size, self.protocol
            )
            self._generator: Generator | ImageServer = server
            server.load()
            return
        self._generator = generator = Generator(self.model_path, drawing, offload=self.offload, quantize=self.quantize)
        device = self.device or find_device(self.model_path).type
        if device == "cuda" and find_device(self.model_path).type != "cuda":
            raise RunError(NO_GPU)
        generator.load(device, self.dtype)

    def load(self, item: dict) -> list[Commission]:
        """What is to be drawn of the item."""
        texts = item.get(f"{self.prompt_key}_all") if self.captions == "each" else None
        texts = texts or item.get(self.prompt_key)
        texts = [texts] if isinstance(texts, str) or not texts else texts
        texts = texts[: None if self.captions == "each" else 1]
        for text in texts:
            if not isinstance(text, str) or not text.strip():
                there = ", ".join(name for name, value in item.items() if isinstance(value, str) and value)
                problem = "has nothing" if self.prompt_key in item else "has no text"
                raise AnswerError(f'{item["key"]} {problem} in "{self.prompt_key}" to be drawn; it has {there}')
        return [
            Commission(text, int(item_rng(self.seed, item["key"], f"image {number}").integers(2**31)), number)
            for number, text in enumerate(texts, 1)
        ]

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        """Prompts are encoded some ahead, where that spares the text encoders their way; what is not drawn when the worker is
        to stop stays open."""
        is_stopping = getattr(loaded, "is_stopping", lambda: False)
        ahead = 1 if self._generator.placement.text_stays else AHEAD
        while block := list(islice(loaded, max(self.batch_size, ahead))):
            ready: list[Loaded] = []
            for item, found in self.settle(block, self._encode):
                if isinstance(found, Exception):
                    yield item, found
                else:
                    ready.append(Loaded(item, found["commissions"]))
            while ready and not is_stopping():
                batch, ready = ready[: self.batch_size], ready[self.batch_size :]
                for item, found in self.settle(batch):
                    yield item, found if isinstance(found, Exception) else found.get("problem", found)

    def process(self, batch: list[Loaded]) -> list[dict]:
        """The images of each item, `batch_size` of them drawn together."""
        commissions = [(place, *commission) for place, one in enumerate(batch) for commission in one.data]
        found: list[dict] = [{} for _ in batch]
        for start in range(0, len(commissions), self.batch_size):
            some = commissions[start : start + self.batch_size]
            images = self._generator.draw(
                [encoded for _, _, encoded in some], [commission.seed for _, commission, _ in some]
            )
            for (place, commission, _), image in zip(some, images, strict=True):
                try:
                    if isinstance(image, Exception):
                        raise image
                    found[place] |= self._drawn(batch[place].item, commission, as_image(image))
                except (AnswerError, RequestError) as error:
                    found[place].setdefault("problem", error)
        return found

    def _encode(self, batch: list[Loaded]) -> list[dict]:
        encoded = iter(self._generator.encode([commission.prompt for one in batch for commission in one.data]))
        return [{"commissions": [(commission, next(encoded)) for commission in one.data]} for one in batch]

    def _drawn(self, item: dict, commission: Commission, image: Any) -> dict:
        """What the record holds of an image; the file says the same of itself."""
        settings = {
            "model": self.written.get(self.model_path, self.model_path), "width": image.shape[1], "height": image.shape[0],
            **self._own_settings(commission.seed),
            **{name: value for name in OPTIONAL if (value := getattr(self, name)) not in (None, "")},
        }  # fmt: skip
        path = generated_name(item, self._shared, f".{self.image_format}", commission.number)
        said = {"prompt": commission.prompt, "parameters": json.dumps(settings, ensure_ascii=False)}
        name = "generated" if commission.number == 1 else f"generated_{commission.number}"
        words = (
            {"prompt": commission.prompt, "generation": settings}
            if commission.number == 1
            else {f"{name}_prompt": commission.prompt}
        )
        return {f"{name}_path": ImageFile(path, image, text=said), **words}

    def _own_settings(self, seed: int) -> dict[str, int]:
        if self.engine == "diffusers":
            return {"seed": seed, "num_inference_steps": self.num_inference_steps}
        return {"seed": seed} if "seed" in PROTOCOLS[self.protocol].takes else {}


QUANTIZERS: dict[str, tuple[str, ...]] = {"none": (), "int8": ("torchao",)}
QUANTIZED = {"none": 1.0, "int8": 0.5}  # of the 16 bit that weights have else


if __name__ == "__main__":
    run(Generate)
