"""A text-to-image pipeline at work: prompts are encoded first, then drawn in batches, each image from its own seed."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from shared.errors import AnswerError, RunError
from shared.generation.families import OPTIONAL, check_options, generation_of
from shared.generation.placement import GIBIBYTE, Offload, Placement, choose_placement, is_text
from shared.models.loading import loading

log = logging.getLogger("worker")

Quantization = Literal["none", "int8"]
BLAND = 2 / 255  # an image whose values differ by no more is of one colour


class Request(NamedTuple):
    """How an image is drawn; what is None is left to the pipeline."""

    width: int
    height: int
    num_inference_steps: int
    guidance_scale: float | None = None
    true_cfg_scale: float | None = None
    max_sequence_length: int | None = None
    negative_prompt: str = ""


class Generator:
    """A pipeline of one of GENERATIONS, in a folder or on the Hub. load() raises RunError."""

    def __init__(self, model: str, drawing: Request, *, offload: Offload = "auto", quantize: Quantization = "none"):
        self.model, self.drawing, self.offload, self.quantize = model, drawing, offload, quantize
        self.encoders: dict[str, Any] = {}
        self.placement = Placement(True, "gpu")
        self.pipeline: Any = None

    def load(self, device: str, dtype: str) -> None:
        """`device` is cuda or cpu; `dtype` the weights' on a GPU, the CPU computes in float32."""
        with loading(self.model, "model_path"):
            name = class_of(self.model)
            self.kind = generation_of(name, self.model)
            check_options(name, {name: getattr(self.drawing, name) for name in OPTIONAL}, self.model)
            self._check_size()
            import torch
            from diffusers import DiffusionPipeline

            self.device, kind = device, torch.float32 if device == "cpu" else getattr(torch, dtype)
            self.pipeline = DiffusionPipeline.from_pretrained(self.model, dtype=kind)
            if self.quantize == "int8":
                make_small(self.pipeline)
        self.pipeline.set_progress_bar_config(disable=True)
        self._place()

    def sizes(self) -> dict[str, int]:
        """Bytes of each part that has weights."""
        import torch

        parts = {name: part for name, part in self.pipeline.components.items() if isinstance(part, torch.nn.Module)}
        return {name: sum(weight_bytes(weight) for weight in part.parameters()) for name, part in parts.items()}

    def encode(self, prompts: Sequence[str]) -> list[dict[str, Any]]:
        """What the pipeline's call takes instead of each prompt; the text encoders are on the GPU only meanwhile, unless they
        have room to stay."""
        import torch

        for name, encoder in self.encoders.items():
            setattr(self.pipeline, name, encoder if self.placement.text_stays else encoder.to(self.device))
        try:
            with torch.inference_mode():
                return [self._encoded(prompt) for prompt in prompts]
        finally:
            for name, encoder in self.encoders.items():
                setattr(self.pipeline, name, None)  # the rest finds its device without them
                if not self.placement.text_stays:
                    encoder.to("cpu")

    def draw(self, encoded: Sequence[dict[str, Any]], seeds: Sequence[int]) -> np.ndarray:
        """(n, height, width, 3) in 0 to 1; each image depends on its prompt and seed, and on the others by rounding alone."""
        import torch

        drawing = self.drawing
        given = {name: getattr(drawing, name) for name in self.kind.options if name != "negative_prompt"}
        with torch.inference_mode():
            made = self.pipeline(
                **joined(encoded, self.device),
                width=drawing.width, height=drawing.height, num_inference_steps=drawing.num_inference_steps,
                generator=[torch.Generator().manual_seed(seed) for seed in seeds], output_type="np",
                **{name: value for name, value in given.items() if value is not None},
            ).images  # fmt: skip
        return np.asarray(made, dtype=np.float32)

    def close(self) -> None:
        """Let go of the model."""
        self.pipeline, self.encoders = None, {}

    def _check_size(self) -> None:
        multiple = self.kind.multiple
        for name in ("width", "height"):
            if (side := getattr(self.drawing, name)) % multiple:
                near = max(multiple, round(side / multiple) * multiple)
                raise RunError(f"{name} is {side}; {self.model} draws whole multiples of {multiple}, as {near}")

    def _place(self) -> None:
        """Put the parts where they are to be, and take the text encoders out of the pipeline, which draws without them."""
        import torch

        self.encoders = {
            name: part for name, part in self.pipeline.components.items() if is_text(name) and part is not None
        }
        if self.device == "cuda":
            free, _ = torch.cuda.mem_get_info()
            sizes = self.sizes()
            self.placement = choose_placement(sizes, free, self.offload)
            log.info(
                "%s: %.1f GiB, %.1f GiB of the GPU are free: %s",
                self.model, sum(sizes.values()) / GIBIBYTE, free / GIBIBYTE, self.placement.words,
            )  # fmt: skip
        for name, encoder in self.encoders.items():
            setattr(self.pipeline, name, None)
            if self.placement.text_stays:
                encoder.to(self.device)
        if self.placement.others == "model":
            self.pipeline.enable_model_cpu_offload()
        elif self.placement.others == "sequential":
            self.pipeline.enable_sequential_cpu_offload()
        else:
            self.pipeline.to(self.device)

    @property
    def _guides(self) -> bool:
        """Whether each step is computed without the prompt too."""
        import inspect

        scale = self.drawing.guidance_scale
        if scale is None:
            scale = inspect.signature(type(self.pipeline).__call__).parameters["guidance_scale"].default
        return (scale or 0) > self.kind.guides_above

    def _encoded(self, prompt: str) -> dict[str, Any]:
        kind, negative = self.kind, self.drawing.negative_prompt
        if kind.negative == "with":
            more = {
                "do_classifier_free_guidance": self._guides,
                "negative_prompt": [negative] if self._guides else None,
            }
            return self._call(prompt, **more)
        embeddings = self._call(prompt)
        if kind.negative == "second" and negative and (self.drawing.true_cfg_scale or 4.0) > 1:
            embeddings |= {f"negative_{name}": value for name, value in self._call(negative).items()}
        if kind.negative == "empty" and self._guides and not getattr(self.pipeline.config, "is_distilled", False):
            embeddings |= {f"negative_{name}": value for name, value in self._call("").items()}
        return embeddings

    def _call(self, prompt: str, **more: Any) -> dict[str, Any]:
        """encode_prompt() of one prompt, by the names of what it gives."""
        import inspect

        takes = inspect.signature(self.pipeline.encode_prompt).parameters
        given = {"prompt_2": None, "prompt_3": None, "num_images_per_prompt": 1, "device": self.device, **more}
        if self.drawing.max_sequence_length:
            given["max_sequence_length"] = self.drawing.max_sequence_length
        found = self.pipeline.encode_prompt([prompt], **{name: value for name, value in given.items() if name in takes})
        named = dict(zip(self.kind.embeddings, found, strict=True))
        return {name: value for name, value in named.items() if name}


def weight_bytes(weight: Any) -> int:
    """Of a tensor; one of 8 bit passes for the 16 that it stands for."""
    held = [weight.qdata, weight.scale] if hasattr(weight, "qdata") else [weight]
    return sum(tensor.numel() * tensor.element_size() for tensor in held)


def class_of(model: str) -> str:
    """The pipeline's class as model_index.json names it; nothing where there is none. Call it inside loading()."""
    if not Path(model).is_dir():
        from huggingface_hub import hf_hub_download

        return read_class(Path(hf_hub_download(model, "model_index.json")))
    return read_class(Path(model) / "model_index.json")


def read_class(path: Path) -> str:
    try:
        index = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(index.get("_class_name", "")) if isinstance(index, dict) else ""


def make_small(pipeline: Any) -> None:
    """Weights of 8 bit instead of 16 for the linear layers of the large parts (torchao); they are computed with as before."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    for name, part in pipeline.components.items():
        if part is not None and (name in ("transformer", "unet") or is_text(name)):
            quantize_(part, Int8WeightOnlyConfig())


def joined(encoded: Sequence[dict[str, Any]], device: str) -> dict[str, Any]:
    """The embeddings of several prompts as those of one batch; shorter ones are padded with zeros, which a mask leaves out."""
    together: dict[str, Any] = {}
    for name, first in encoded[0].items():
        values = [one[name] for one in encoded]
        if isinstance(first, list):
            together[name] = [tensor.to(device) for value in values for tensor in value]
            continue
        together[name] = padded(values, [one[name.removesuffix("_mask")] for one in encoded]).to(device)
    return together


def padded(values: Sequence[Any], embeddings: Sequence[Any]) -> Any:
    """(1, l, ...) each -> (n, longest l, ...). A mask that is None is one of all that its embeddings have."""
    import torch

    values = [
        torch.ones(embedding.shape[:2], dtype=torch.int64, device=embedding.device) if value is None else value
        for value, embedding in zip(values, embeddings, strict=True)
    ]
    longest = max(value.shape[1] for value in values) if values[0].dim() > 1 else 0
    rows = []
    for value in values:
        missing = longest - value.shape[1]
        filler = value.new_zeros((value.shape[0], missing, *value.shape[2:])) if missing else None
        rows.append(value if filler is None else torch.cat([value, filler], dim=1))
    return torch.cat(rows)


def as_image(values: np.ndarray) -> np.ndarray:
    """(height, width, 3) in 0 to 1 -> uint8. Raises AnswerError for what is no picture."""
    if not np.isfinite(values).all():
        raise AnswerError(
            "what was drawn is not a number: the weights are broken, or too large for 16 bit; dtype: float32"
        )
    if float(values.max() - values.min()) <= BLAND:
        shade = "black" if float(values.max()) <= BLAND else "of one colour"
        raise AnswerError(f"what was drawn is {shade} all over; another prompt, more steps, or dtype: float32 may help")
    return (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
