"""What a kind of model has to bring to be trained: its parts, its loss, and what is saved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from shared.files.small_files import write_json

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


@dataclass
class Batch:
    """What the loss is made of; `n` examples on the device.

    `source` and `target`: what encode_images made of them, (n, 2c, h, w); `texts`: what encode_texts made of the words, with
    those of the dropped ones replaced by the empty text's; `noise`, `posterior_noise` (n, c, h, w); `moment` (n) in [0, 1);
    `keeps_image` (n): 1, or 0 where the model must do without the source.
    """

    source: "torch.Tensor"
    target: "torch.Tensor"
    texts: Mapping[str, "torch.Tensor"]
    noise: "torch.Tensor"
    posterior_noise: "torch.Tensor"
    moment: "torch.Tensor"
    keeps_image: "torch.Tensor"


class Guidance(NamedTuple):
    """How a model is used; of a family, where nobody says otherwise."""

    num_inference_steps: int
    image_guidance_scale: float
    guidance_scale: float


class Family:
    """One kind of model. `model` is a Hub id or a folder; weights that are not trained are held in `dtype` on `device`.

    `rank` is that of a LoRA, where the family learns one.
    """

    name: ClassVar[str]  # as FAMILIES has it
    usual: ClassVar[Guidance]
    gpu_dtype: ClassVar[str] = "float16"  # that a GPU relights in
    trained: "torch.nn.Module"  # what the optimizer changes

    def __init__(self, model: str, resolution: int, rank: int = 16):
        self.model, self.resolution, self.rank = model, resolution, rank
        self.device: Any = None
        self.dtype: Any = None

    def load(self, device: "torch.device", dtype: "torch.dtype", gradient_checkpointing: bool) -> None:
        """Load all parts, and make of the base model what will be trained. Raises RunError."""
        raise NotImplementedError

    def noise_shape(self) -> tuple[int, int, int]:
        """(c, h, w) of one image as the model sees it."""
        raise NotImplementedError

    def encode_images(self, pixels: "torch.Tensor") -> "torch.Tensor":
        """(n, 3, h, w) in [-1, 1] -> (n, 2c, h', w') float32, mean and log-variance of their latents: nothing is drawn."""
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> dict[str, "torch.Tensor"]:
        raise NotImplementedError

    def loss(self, model: "torch.nn.Module", batch: Batch) -> "torch.Tensor":
        """Mean over the batch; `model` is `trained`, perhaps wrapped for several GPUs."""
        raise NotImplementedError

    def save_weights(self, folder: Path) -> None:
        """What a checkpoint holds of `trained`."""
        raise NotImplementedError

    def load_weights(self, folder: Path) -> None:
        raise NotImplementedError

    def pipeline(self) -> "DiffusionPipeline":
        """`trained` at work, for validation."""
        raise NotImplementedError

    def save(self, folder: Path) -> None:
        """The model as relight.py and diffusers load it."""
        raise NotImplementedError

    @classmethod
    def read_pipeline(cls, folder: Path, base_model: str, dtype: "torch.dtype") -> Any:
        """What save() wrote, at work; or a pipeline of another trainer. Raises RunError."""
        raise NotImplementedError

    @classmethod
    def answer(cls, pipeline: Any, pixels: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
        """(n, h, w, 3) uint8 -> the pipeline's images, the same shape, 0 to 1. `settings` has prompt, generator, guidance."""
        import torch

        image = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        return pipeline(image=image, output_type="np", **settings).images

    def write_card(self, folder: Path) -> None:
        """Say what the folder holds."""
        write_json(
            folder / "model.json", {"family": self.name, "base_model": self.model, "resolution": self.resolution}
        )
