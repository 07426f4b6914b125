"""The families of models that can be trained: a row each. The file that a row names holds all the rest."""

import json
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from shared.errors import RunError

if TYPE_CHECKING:
    from shared.relighter.families.family import Family

FROM_SCRATCH = "scratch"


class Entry(NamedTuple):
    """What is known of a family before its packages are imported."""

    family: str  # file and class
    base_model: str  # on the Hub, where nobody names another; or FROM_SCRATCH
    pipeline: str = ""  # the _class_name in the model_index.json of a pipeline that relights, also another trainer's
    size_multiple: int = 8  # of the sides of images
    packages: tuple[str, ...] = ()  # beside those that every training needs


FAMILIES = {
    "sd15": Entry("stable_diffusion:Sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5",
                  "StableDiffusionInstructPix2PixPipeline"),
    "sdxl": Entry("stable_diffusion:Sdxl", "stabilityai/stable-diffusion-xl-base-1.0",
                  "StableDiffusionXLInstructPix2PixPipeline"),
    "flux": Entry("flux:Flux", "black-forest-labs/FLUX.1-Kontext-dev", "FluxKontextPipeline", 16, ("peft",)),
    "pixel": Entry("pixel:Pixel", FROM_SCRATCH),
}  # fmt: skip
if TYPE_CHECKING:
    FamilyName = str
else:
    FamilyName = Literal[tuple(FAMILIES)]


def find_family(name: str) -> "type[Family]":
    """The class of that name; its module imports torch and diffusers."""
    return pkgutil.resolve_name(f"shared.relighter.families.{FAMILIES[name].family}")


def read_card(folder: Path) -> dict:
    """family, base_model, resolution of a model's folder, also of one that another trainer wrote. Raises RunError."""
    try:
        return json.loads((folder / "model.json").read_bytes())
    except FileNotFoundError:
        pass
    pipelines = {entry.pipeline: name for name, entry in FAMILIES.items() if entry.pipeline}
    try:
        kind = json.loads((folder / "model_index.json").read_bytes())["_class_name"]
        return {"family": pipelines[kind], "base_model": str(folder), "resolution": None}
    except FileNotFoundError:
        raise RunError(f"{folder} holds no model: it has neither a model.json nor a model_index.json") from None
    except (KeyError, ValueError):
        known = ", ".join(pipelines)
        raise RunError(f"{folder}/model_index.json names no pipeline that relights; those are {known}") from None
