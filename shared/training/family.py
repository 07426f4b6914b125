"""What a kind of model has to bring to be trained: its parts, its loss, and what is saved."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from shared.run import RunError
from shared.tables import write_json

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

NAMES = ("sd15", "sdxl", "flux", "pixel")
PIPELINES = {  # of a model folder without model.json
    "StableDiffusionInstructPix2PixPipeline": "sd15",
    "StableDiffusionXLInstructPix2PixPipeline": "sdxl",
    "FluxKontextPipeline": "flux",
}


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


class Family:
    """One kind of model. `model` is a Hub id or a folder; weights that are not trained are held in `dtype` on `device`."""

    name: ClassVar[str]
    size_multiple: ClassVar[int] = 8  # of the sides of images
    trained: "torch.nn.Module"  # what the optimizer changes

    def __init__(self, model: str, resolution: int):
        self.model, self.resolution = model, resolution
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

    def write_card(self, folder: Path) -> None:
        """Say what the folder holds."""
        write_json(
            folder / "model.json", {"family": self.name, "base_model": self.model, "resolution": self.resolution}
        )


def find_family(name: str) -> type[Family]:
    """The class of that name; its module imports torch and diffusers."""
    if name == "flux":
        from shared.training.flux import Flux

        return Flux
    if name == "pixel":
        from shared.training.pixel import Pixel

        return Pixel
    from shared.training.stable_diffusion import Sd15, Sdxl

    return {"sd15": Sd15, "sdxl": Sdxl}[name]


def read_card(folder: Path) -> dict:
    """family, base_model, resolution of a model's folder, also of one that another trainer wrote. Raises RunError."""
    try:
        return json.loads((folder / "model.json").read_bytes())
    except FileNotFoundError:
        pass
    try:
        kind = json.loads((folder / "model_index.json").read_bytes())["_class_name"]
        return {"family": PIPELINES[kind], "base_model": str(folder), "resolution": None}
    except FileNotFoundError:
        raise RunError(f"{folder} holds no model: it has neither a model.json nor a model_index.json") from None
    except (KeyError, ValueError):
        known = ", ".join(PIPELINES)
        raise RunError(f"{folder}/model_index.json names no pipeline that relights; those are {known}") from None
