"""The models of a degrade step that see light: what takes it out, and what tells the shapes that it falls on."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from shared.seeding import item_rng

if TYPE_CHECKING:
    import torch

    from shared.forecast import Model
    from shared.light.degradation.marigold import Layers
    from shared.light.degradation.normals import Shaped

MARIGOLD_MODEL = "prs-eth/marigold-iid-appearance-v1-1"
MARIGOLD = ("marigold",)
MODELS_OF_NORMALS = {
    "marigold": "prs-eth/marigold-normals-v1-1",
    "depth": "depth-anything/Depth-Anything-V2-Small-hf",
}
NEEDS = {  # an option that is set where nothing reads it is a misunderstanding
    "albedo_model": ("method", MARIGOLD),
    "steps": ("method", MARIGOLD),
    "resolution": ("method", MARIGOLD),
    "normals_model": ("normals", tuple(MODELS_OF_NORMALS)),
}


@dataclass
class LightModels:
    """Options of a step that takes light out and puts light in, and the models that they ask for."""

    method: Annotated[
        Literal["flatten", "marigold"],
        Field(description="how the light is taken out: from pixels alone, or by a model"),
    ] = "flatten"
    albedo_model: Annotated[
        str | None, Field(description="marigold: a Hub id or a folder, instead of MARIGOLD_MODEL")
    ] = None
    steps: Annotated[
        PositiveInt | None, Field(description="marigold: of denoising; None is the model's own number")
    ] = None
    resolution: Annotated[
        Annotated[int, Field(ge=64)] | None, Field(description="marigold: long side in pixels; None is the model's own")
    ] = None
    ensemble: Annotated[PositiveInt, Field(description="marigold: the median of so many answers")] = 1
    normals: Annotated[
        Literal["network", "balloon", "marigold", "depth"],
        Field(
            description="what tells the shapes that light falls on: a small network and the subject's outline; the outline "
            "alone, blown up; a model of normals or of depth, on a GPU"
        ),
    ] = "network"
    normals_model: Annotated[
        str | None, Field(description="marigold, depth: a Hub id or a folder, instead of MODELS_OF_NORMALS")
    ] = None

    intrinsic: Any = field(init=False, default=None)  # Marigold or nothing; made by load_light_models()
    shaper: Any = field(init=False, default=None)  # what tells normals, where that is a model

    def fill_in_models(self) -> None:
        """The models that are asked for without their names."""
        if self.method in MARIGOLD:
            self.albedo_model = self.albedo_model or MARIGOLD_MODEL
        if self.normals in MODELS_OF_NORMALS:
            self.normals_model = self.normals_model or MODELS_OF_NORMALS[self.normals]

    def has_light_models(self) -> bool:
        return self.method in MARIGOLD or self.normals in MODELS_OF_NORMALS

    def light_models(self) -> "list[Model]":
        """What a forecast says of them."""
        from shared.forecast import Model

        packages = ("torch", "transformers", "huggingface_hub")
        models = []
        if self.method in MARIGOLD:
            name = self.albedo_model or MARIGOLD_MODEL
            models.append(Model(name, "albedo_model", "diffusers", (*packages, "diffusers"), is_halved=True))
        if self.normals in MODELS_OF_NORMALS:
            name = self.normals_model or MODELS_OF_NORMALS[self.normals]
            if self.normals == "marigold":
                models.append(Model(name, "normals_model", "diffusers", (*packages, "diffusers"), is_halved=True))
            else:
                models.append(Model(name, "normals_model", "transformers", packages, is_halved=True))
        return models

    def load_light_models(self, device: "torch.device | None", needed: set[str]) -> None:
        """`needed`: the layers that are kept beside the albedo. Raises RunError where a model cannot be loaded."""
        if self.method in MARIGOLD and self.albedo_model and device:
            from shared.light.degradation.marigold import Marigold

            self.intrinsic = Marigold(self.albedo_model, self.steps, self.resolution, self.ensemble, device, needed)
        if self.normals in MODELS_OF_NORMALS and self.normals_model and device:
            from shared.light.degradation.normals import DepthNormals, MarigoldNormals

            kind = MarigoldNormals if self.normals == "marigold" else DepthNormals
            self.shaper = kind(self.normals_model, device)

    def prepared(self, pixels: np.ndarray) -> tuple[Any, Any]:
        """A photograph (HxWx3 uint8) as each of the two models wants it, None where there is none."""
        for_albedo = self.intrinsic.prepare(pixels) if self.intrinsic else None
        return for_albedo, self.shaper.prepare(pixels) if self.shaper else None

    def look(self, keys: list[str], prepared: list[tuple[Any, Any]]) -> "list[tuple[Layers | None, Shaped | None]]":
        """What the models say of photographs of these keys: the layers and the shapes of each."""
        layers: list = [None] * len(keys)
        shaped: list = [None] * len(keys)
        for_albedo, for_normals = zip(*prepared, strict=True)
        if self.intrinsic:
            layers = self.intrinsic.decompose(list(for_albedo), self._noise(keys, "marigold"))
        if self.shaper:
            shaped = self.shaper.find(list(for_normals), self._noise(keys, "normals"))
        return list(zip(layers, shaped, strict=True))

    def _noise(self, keys: list[str], purpose: str) -> list[np.random.Generator]:
        return [item_rng(self.seed, key, purpose) for key in keys]  # type: ignore[attr-defined]
