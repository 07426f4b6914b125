"""A trained model at work: photographs and instructions in, relit photographs of the same sizes out."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import (
    DiffusionPipeline,
    FluxKontextPipeline,
    StableDiffusionInstructPix2PixPipeline,
    StableDiffusionXLInstructPix2PixPipeline,
)
from PIL import Image

from shared.neural.loading import loading
from shared.training.family import find_family, read_card


class Guidance(NamedTuple):
    """How a model is used where nobody says otherwise."""

    num_inference_steps: int
    image_guidance_scale: float
    guidance_scale: float


DEFAULTS = {
    "sd15": Guidance(50, 1.5, 7.5),
    "sdxl": Guidance(50, 1.5, 7.5),
    "flux": Guidance(28, 1.0, 2.5),  # guidance is distilled into it, and of the image it has none
    "pixel": Guidance(8, 1.0, 1.0),
}


class Relighter:
    """A pipeline of one of our families; `family` is the name."""

    def __init__(self, pipeline: Any, family: str):
        self.pipeline, self.family = pipeline, family
        self.multiple = find_family(family).size_multiple
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def load(cls, model: str, device: torch.device, dtype: torch.dtype | None = None) -> "Relighter":
        """`model`: a model/ folder of a train step, or a pipeline of another trainer, in a folder or on the Hub.

        Without `dtype` a GPU computes in 16 bit, the CPU in 32. Raises RunError.
        """
        with loading(model, "model_path"):
            folder = Path(model) if Path(model).is_dir() else download(model)
            card = read_card(folder)
            family = card["family"]
            pipeline = read_pipeline(family, folder, card["base_model"], dtype or usual_dtype(family, device))
            return cls(pipeline.to(device), family)

    def relight(
        self,
        images: Sequence[Image.Image],
        instructions: Sequence[str],
        seeds: Sequence[int],
        *,
        num_inference_steps: int | None = None,
        image_guidance_scale: float | None = None,
        guidance_scale: float | None = None,
        resolution: int | None = None,
    ) -> list[Image.Image]:
        """Each image (RGB) as its instruction has it, in exactly its size; those of one size go through the model together.

        What is drawn for an image depends on its seed alone. Without numbers, the family's in DEFAULTS. An image whose
        shorter side is longer than `resolution` is relit at that size, and the answer enlarged.
        """
        numbers = (num_inference_steps, image_guidance_scale, guidance_scale)
        usual = DEFAULTS[self.family]
        guidance = Guidance(*(default if one is None else one for one, default in zip(numbers, usual, strict=True)))  # type: ignore[arg-type]
        small = [limited(image, resolution) for image in images]
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        padded = [pad(image, self.multiple) for image in small]
        for place, pixels in enumerate(padded):
            groups[pixels.shape].append(place)
        found: dict[int, Image.Image] = {}
        for places in groups.values():
            made = self._run(
                np.stack([padded[place] for place in places]),
                [instructions[place] for place in places],
                [torch.Generator().manual_seed(seeds[place]) for place in places],
                guidance,
            )
            for place, pixels in zip(places, made, strict=True):
                answer = Image.fromarray(pixels).crop((0, 0, *small[place].size))
                if answer.size != images[place].size:
                    answer = answer.resize(images[place].size, Image.Resampling.LANCZOS)
                found[place] = answer
        return [found[place] for place in range(len(images))]

    def _run(
        self, pixels: np.ndarray, texts: list[str], generators: list[torch.Generator], guidance: Guidance
    ) -> np.ndarray:
        """(n, h, w, 3) uint8 in and out; the sides are multiples of the family's."""
        height, width = pixels.shape[1:3]
        settings: dict[str, Any] = guidance._asdict() | {"prompt": texts, "generator": generators}
        if self.family == "pixel":
            images = [Image.fromarray(one) for one in pixels]
            return np.stack([np.asarray(one) for one in self.pipeline(image=images, **settings).images])
        if self.family == "flux":
            del settings["image_guidance_scale"]
            settings["max_sequence_length"] = min(512, self.pipeline.tokenizer_2.model_max_length)
            settings |= {"max_area": height * width, "_auto_resize": False}  # it would take the size nearest to its own
        if self.family != "sd15":
            settings |= {"height": height, "width": width}
        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        with self._in_one_precision():
            made = self.pipeline(image=image, output_type="np", **settings).images
        if not np.isfinite(made).all():
            raise ValueError("the model's answer is not a number; its weights are broken, or too large for 16 bit")
        return (np.clip(made, 0, 1) * 255).round().astype(np.uint8)

    def _in_one_precision(self) -> AbstractContextManager:
        """In training the parts that learn have 32 bit and the others may have 16; then torch goes between them."""
        kinds = {part.dtype for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)}
        halves = kinds & {torch.float16, torch.bfloat16}
        mixed = len(kinds) > 1 and halves
        return torch.autocast(self.pipeline.device.type, halves.pop()) if mixed else nullcontext()


def read_pipeline(family: str, folder: Path, base_model: str, dtype: torch.dtype) -> Any:
    if family == "flux":
        from shared.training.flux import WEIGHTS

        if not (folder / WEIGHTS).is_file():
            return FluxKontextPipeline.from_pretrained(folder, torch_dtype=dtype)
        with loading(base_model, f"the base_model of {folder}"):
            pipeline = FluxKontextPipeline.from_pretrained(base_model, torch_dtype=dtype)
        pipeline.load_lora_weights(folder, weight_name=WEIGHTS)
        return pipeline
    if family == "pixel":
        from shared.training.pixel import PixelPipeline

        return PixelPipeline.from_pretrained(folder, torch_dtype=dtype)
    parts: dict[str, Any] = {"torch_dtype": dtype}
    if family == "sdxl":
        return StableDiffusionXLInstructPix2PixPipeline.from_pretrained(folder, add_watermarker=False, **parts)
    # The safety checker blackens photographs that it mistakes, and says so nowhere that a person looks.
    parts |= {"safety_checker": None, "requires_safety_checker": False}
    return StableDiffusionInstructPix2PixPipeline.from_pretrained(folder, **parts)


def download(model: str) -> Path:
    """The folder of a pipeline on the Hub."""
    return Path(DiffusionPipeline.download(model))


def usual_dtype(family: str, device: torch.device) -> torch.dtype:
    if device.type == "cpu" or family == "pixel":
        return torch.float32
    return torch.bfloat16 if family == "flux" else torch.float16


def limited(image: Image.Image, resolution: int | None) -> Image.Image:
    """The image, made smaller where its shorter side is longer than `resolution`."""
    if resolution is None or min(image.size) <= resolution:
        return image
    scale = resolution / min(image.size)
    return image.resize(tuple(round(side * scale) for side in image.size), Image.Resampling.LANCZOS)  # type: ignore[arg-type]


def pad(image: Image.Image, multiple: int) -> np.ndarray:
    """(h, w, 3) uint8 whose sides are multiples: what is missing at the right and below is mirrored from the image."""
    pixels = np.asarray(image)
    missing = [(0, -side % multiple) for side in pixels.shape[:2]]
    return np.pad(pixels, [*missing, (0, 0)], mode="reflect")
