"""Marigold (Ke et al., 2025): a photograph's albedo, by the lighting model its shading and residual too; normals."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from shared.errors import RunError
from shared.light.colour import is_grey, srgb_to_linear
from shared.light.enlarge import DARKEST, bands, enlarge
from shared.models.loading import loading, reach

if TYPE_CHECKING:
    import torch

STRONGEST = np.float32(np.log(20))  # of log shading about its median: beyond it only noise would be brightened


class Layers(NamedTuple):
    """What a photograph is made of, at the model's size, in linear light: photograph = albedo x shading + residual."""

    small: np.ndarray  # hxwx3 uint8, the photograph as the model saw it
    albedo: np.ndarray  # hxwx3 float32
    shading: np.ndarray | None  # hxwx3 float32, up to scale; None where the model gives none
    residual: np.ndarray | None  # hxwx3 float32

    def log_shading(self) -> np.ndarray:
        """Natural logarithm of what lies between photograph and albedo, hxwx3 float32, with median 0.

        The median goes because an albedo's scale means nothing against an exposure that nobody knows. A photograph
        without colour gets a shading without colour.
        """
        photograph = np.log(np.maximum(srgb_to_linear(self.small), DARKEST))
        shading = photograph - np.log(np.maximum(self.albedo, DARKEST))
        if is_grey(self.small):
            shading = np.repeat(shading.mean(axis=-1, keepdims=True), 3, axis=-1)
        return np.clip(shading - np.median(shading), -STRONGEST, STRONGEST).astype(np.float32)

    def picture(self, name: str, height: int, width: int) -> np.ndarray:
        """The layer `shading` or `residual` as it would be seen, height x width x 3 uint8."""
        from shared.light.colour import linear_to_srgb

        layer = getattr(self, name)
        if name == "shading":
            layer = layer / max(float(layer.max()), 1e-6)
        seen = np.empty((height, width, 3), np.uint8)
        for rows in bands(height, width):
            seen[rows] = linear_to_srgb(enlarge(layer, height, width, rows))
        return seen


class MarigoldPipeline:
    """A loaded pipeline of diffusers' Marigold family. Raises RunError when it cannot be loaded.

    `option` is the config's key that names the model, `kind` the class of diffusers.
    """

    def __init__(
        self,
        model: str,
        option: str,
        kind: str,
        device: "torch.device",
        steps: int | None = None,
        resolution: int | None = None,
        ensemble: int = 1,
    ):
        self.device, self.ensemble = device, ensemble
        with loading(model, option):
            reach(model, "model_index.json")
            self.pipeline = load_pipeline(model, option, kind, device)
        self.steps = steps or self.pipeline.default_denoising_steps
        self.resolution = resolution or self.pipeline.default_processing_resolution
        if not self.steps or not self.resolution:
            raise RunError(f"{option} {model} says nothing of its steps or resolution; set steps and resolution")

    def prepare(self, photograph: np.ndarray) -> np.ndarray:
        """The photograph (HxWx3 uint8) with its long side as the model wants it; for the threads that load.

        Raises ValueError for one that is too long and narrow.
        """
        from PIL import Image

        height, width = photograph.shape[:2]
        longest = max(height, width)
        size = (width * self.resolution // longest, height * self.resolution // longest)
        if min(size) < self.pipeline.vae_scale_factor:
            raise ValueError(
                f"{width} x {height} pixels are too long and narrow for Marigold at {self.resolution} pixels"
            )
        return np.asarray(Image.fromarray(photograph).resize(size, Image.Resampling.BILINEAR))

    def predict(self, small: list[np.ndarray], generators: list[np.random.Generator]) -> list[np.ndarray]:
        """What it says of prepared photographs, each with its own noise, targets x h x w x 3 float32.

        Those of one size go through together. Raises ValueError where an answer has values that are no numbers.
        """
        found: dict[int, np.ndarray] = {}
        sizes = {image.shape: [] for image in small}  # type: ignore[var-annotated]
        for position, image in enumerate(small):
            sizes[image.shape].append(position)
        for positions in sizes.values():
            answers = self._together([small[p] for p in positions], [generators[p] for p in positions])
            found.update(zip(positions, answers, strict=True))
        return [finite(found[position]) for position in range(len(small))]

    def _together(self, small: list[np.ndarray], generators: list[np.random.Generator]) -> np.ndarray:
        import torch

        count, factor = len(small), self.pipeline.vae_scale_factor
        height, width = (-(-side // factor) for side in small[0].shape[:2])
        shape = (self.ensemble, self.pipeline.unet.config.out_channels, height, width)
        noise = np.concatenate([generator.standard_normal(shape, np.float32) for generator in generators])
        with torch.inference_mode():
            output = self.pipeline(
                torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2),
                num_inference_steps=self.steps,
                ensemble_size=self.ensemble,
                processing_resolution=0,  # prepare() has seen to it
                batch_size=count,
                latents=torch.from_numpy(noise).to(self.device, self.pipeline.dtype),
                output_type="pt",
            ).prediction
            return output.float().reshape(count, -1, *output.shape[1:]).permute(0, 1, 3, 4, 2).cpu().numpy()


class Marigold(MarigoldPipeline):
    """A loaded MarigoldIntrinsicsPipeline. Raises RunError when it cannot be loaded or does not give `needed`."""

    def __init__(
        self,
        model: str,
        steps: int | None,
        resolution: int | None,
        ensemble: int,
        device: "torch.device",
        needed: set[str],
    ):
        super().__init__(model, "albedo_model", "MarigoldIntrinsicsPipeline", device, steps, resolution, ensemble)
        properties = self.pipeline.target_properties or {}
        self.names: list[str] = properties.get("target_names") or []
        self.spaces = [(properties.get(name) or {}).get("prediction_space", "srgb") for name in self.names]
        lacking = sorted({"albedo", *needed} - set(self.names))
        if lacking:
            known = ", ".join(self.names) or "no layers"
            raise RunError(
                f"albedo_model {model} gives {known}, and not {' or '.join(lacking)}; Marigold's lighting model gives "
                "albedo, shading and residual"
            )

    def decompose(self, small: list[np.ndarray], generators: list[np.random.Generator]) -> list[Layers]:
        """The layers of prepared photographs, each with its own noise."""
        answers = self.predict(small, generators)
        return [self._layers(image, answer) for image, answer in zip(small, answers, strict=True)]

    def _layers(self, small: np.ndarray, prediction: np.ndarray) -> Layers:
        linear = {
            name: values if space == "linear" else decoded(values)
            for name, space, values in zip(self.names, self.spaces, prediction, strict=True)
        }
        return Layers(small, linear["albedo"], linear.get("shading"), linear.get("residual"))


def finite(answer: np.ndarray) -> np.ndarray:
    """A model's answer. Raises ValueError where it has values that are no numbers."""
    if not np.isfinite(answer).all():
        raise ValueError("the model's answer has values that are no numbers")
    return answer


def load_pipeline(model: str, option: str, kind: str, device: "torch.device") -> Any:
    """In float16 on a GPU, as its authors run it, from the smaller files where there are some; float32 on a CPU."""
    import diffusers
    import torch
    from diffusers.utils import logging as messages
    from transformers.utils import logging as more_messages

    for one in (messages, more_messages):
        one.disable_progress_bar()
    messages.set_verbosity_error()
    dtype = torch.float16 if device.type == "cuda" else torch.float32
    variant = "fp16" if dtype == torch.float16 else None
    try:
        pipeline = getattr(diffusers, kind).from_pretrained(model, dtype=dtype, variant=variant)
    except (ValueError, OSError) as error:
        if variant is None or "variant" not in str(error):
            raise
        pipeline = getattr(diffusers, kind).from_pretrained(model, dtype=dtype)
    if not isinstance(pipeline.scheduler, diffusers.DDIMScheduler):
        # Another scheduler draws noise on its way, from a generator that all photographs would share.
        raise RunError(
            f"{option} {model} has the scheduler {type(pipeline.scheduler).__name__}; "
            "only DDIM gives the same answer twice"
        )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device)


def decoded(stored: np.ndarray) -> np.ndarray:
    """Linear light of sRGB values in 0..1 (IEC 61966-2-1)."""
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4).astype(np.float32)
