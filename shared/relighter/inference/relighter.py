"""A trained model at work: photographs and instructions in, relit photographs of the same sizes out."""

from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from shared.errors import AnswerError
from shared.models.loading import loading
from shared.relighter.families.family import Guidance
from shared.relighter.families.registry import FAMILIES, find_family, read_card


class Relighter:
    """A pipeline of one of our families; `family` is the name."""

    def __init__(self, pipeline: Any, family: str):
        self.pipeline, self.family = pipeline, find_family(family)
        self.size_multiple = FAMILIES[family].size_multiple
        pipeline.set_progress_bar_config(disable=True)

    @classmethod
    def load(cls, model: str, device: torch.device, dtype: torch.dtype | None = None) -> "Relighter":
        """`model`: a model/ folder of a train step, or a pipeline of another trainer, in a folder or on the Hub.

        Without `dtype` a GPU computes in 16 bit, the CPU in 32. Raises RunError.
        """
        with loading(model, "model_path"):
            folder = Path(model) if Path(model).is_dir() else download(model)
            card = read_card(folder)
            family = find_family(card["family"])
            usual = torch.float32 if device.type == "cpu" else getattr(torch, family.gpu_dtype)
            pipeline = family.read_pipeline(folder, card["base_model"], dtype or usual)
            return cls(pipeline.to(device), card["family"])

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

        What is drawn for an image depends on its seed alone. Without numbers, the family's usual ones. An image whose
        shorter side is longer than `resolution` is relit at that size, and the answer enlarged.
        """
        numbers = (num_inference_steps, image_guidance_scale, guidance_scale)
        usual = self.family.usual
        guidance = Guidance(*(default if one is None else one for one, default in zip(numbers, usual, strict=True)))  # type: ignore[arg-type]
        small = [limited(image, resolution) for image in images]
        groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        padded = [pad(image, self.size_multiple) for image in small]
        for place, pixels in enumerate(padded):
            groups[pixels.shape].append(place)
        relit: dict[int, Image.Image] = {}
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
                relit[place] = answer
        return [relit[place] for place in range(len(images))]

    def _run(
        self, pixels: np.ndarray, texts: list[str], generators: list[torch.Generator], guidance: Guidance
    ) -> np.ndarray:
        """(n, h, w, 3) uint8 in and out; the sides are multiples of the family's."""
        settings: dict[str, Any] = guidance._asdict() | {"prompt": texts, "generator": generators}
        with self._in_one_precision():
            made = self.family.answer(self.pipeline, pixels, settings)
        if not np.isfinite(made).all():
            raise AnswerError("the model's answer is not a number; its weights are broken, or too large for 16 bit")
        return (np.clip(made, 0, 1) * 255).round().astype(np.uint8)

    def _in_one_precision(self) -> AbstractContextManager:
        """In training the parts that learn have 32 bit and the others may have 16; then torch goes between them."""
        kinds = {part.dtype for part in self.pipeline.components.values() if isinstance(part, torch.nn.Module)}
        halves = kinds & {torch.float16, torch.bfloat16}
        mixed = len(kinds) > 1 and halves
        return torch.autocast(self.pipeline.device.type, halves.pop()) if mixed else nullcontext()


def download(model: str) -> Path:
    """The folder of a pipeline on the Hub."""
    return Path(DiffusionPipeline.download(model))


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
