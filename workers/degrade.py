"""Step 2 of relighting: put each photograph's subject into another light; that is the training input."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from shared.light.degradation.files import Kept, file_of, files_of, showing_rejects, split_of, target_of, thumbnail_of
from shared.light.degradation.gates import Quality
from shared.light.degradation.options import Degradation, LightSampling, ShareRange, sample
from shared.masks.masking import SAM, Masking
from shared.seeding import item_rng
from shared.start import run
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.light.degradation.marigold import Layers
    from shared.masks.instance import Instance
    from shared.run.run import Step

DEGRADE_COLUMNS = {
    "image_path": "image_path",
    "lighting_score": "lighting_score",
    "output_image_path": "output_image_path",
}
Byte = Annotated[int, Field(ge=0, le=255)]
MARIGOLD_MODEL = "prs-eth/marigold-iid-appearance-v1-1"
MARIGOLD = ("marigold",)
BELONGS_TO = {  # an option that is set where nothing reads it is a misunderstanding
    "mask_folder": ("mask", ("user",)),
    "mask_model": ("mask", (*SAM, "u2net", "person")),
    "prompt_file": ("mask", ("sam2",)),
    "albedo_model": ("method", MARIGOLD),
    "steps": ("method", MARIGOLD),
    "resolution": ("method", MARIGOLD),
    "grey": ("background", ("grey",)),
}


class Opened(NamedTuple):
    """What load() reads of an item: the photograph, the person's mask, and the bytes when they lie in a container."""

    pixels: np.ndarray  # HxWx3 uint8, upright
    mask: np.ndarray | None  # HxW uint8
    stored: bytes | None
    is_smaller: bool = False  # than the photograph is stored
    for_segmenter: Any = None  # as the models want it
    for_albedo: np.ndarray | None = None


class Sight(NamedTuple):
    """What the models see in a photograph."""

    source: Opened
    instances: "list[Instance]"
    layers: "Layers | None"


@dataclass
class Degrade(Masking, Worker):
    """Put each photograph's subject into another light: flatten, relight, cast a shadow, recombine."""

    batch_size: Annotated[
        NonNegativeInt, Field(description="photographs that the models see together; 0 is 8, and 1 without models")
    ] = 0
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
    background: Annotated[
        Literal["keep", "grey", "whole"], Field(description="behind the subject; whole: everything is relit")
    ] = "keep"
    grey: Annotated[
        tuple[Byte, Byte, Byte] | None, Field(description="of background: grey, instead of 128, 128, 128")
    ] = None
    blend_with_original: Annotated[
        ShareRange, Field(description="share of the photograph left in the flattened image")
    ] = (0.15, 0.25)
    degradation: Annotated[Degradation, Field(description="the kinds of new light, and how often each is drawn")] = (
        field(default_factory=Degradation)
    )
    light_sampling: Annotated[
        LightSampling, Field(description="where the new light comes from, its colour and its brightness")
    ] = field(default_factory=LightSampling)
    quality: Annotated[Quality, Field(description="bounds that a degraded image must keep to")] = field(
        default_factory=Quality
    )
    keep: Annotated[tuple[Kept, ...], Field(description="files to write beside the output")] = ()
    size: Annotated[
        Annotated[int, Field(ge=64)] | None,
        Field(description="longer side of both images of a triplet, in pixels; a smaller photograph stays as it is"),
    ] = None
    image_format: Annotated[
        Literal["png", "webp"],
        Field(description="of what is written, both without loss; webp is about a fifth smaller and slower to write"),
    ] = "png"
    max_size: Annotated[
        PositiveInt, Field(ge=64, description="long side at which the new light is computed, in pixels")
    ] = 768

    intrinsic: Any = field(init=False, default=None)  # Marigold or nothing; made by setup()

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        for name, (option, values) in BELONGS_TO.items():
            value, wanted = getattr(self, option), " or ".join(values)
            if getattr(self, name) not in (None, "") and value not in values:
                raise ConfigError(f"{label}: {name} is used with {option}: {wanted} only, and {option} is {value}")
        if wrong := self.wrong_masking():
            raise ConfigError(f"{label}: {wrong}")
        if self.mask == "none" and self.background == "grey":
            raise ConfigError(f"{label}: background is grey; with mask: none there is nothing to put before it")
        if "residual" in self.keep and self.method != "marigold":
            raise ConfigError(f"{label}: keep has residual, which method: marigold finds, and method is {self.method}")

    def fill_in(self, label: str) -> None:
        if self.method in MARIGOLD:
            self.albedo_model = self.albedo_model or MARIGOLD_MODEL
        if not self.batch_size:
            self.batch_size = 8 if self.mask in SAM or self.method in MARIGOLD else 1

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        models = self.masking_models()
        if self.method in MARIGOLD:
            packages = ("torch", "transformers", "huggingface_hub", "diffusers")
            name = self.albedo_model or MARIGOLD_MODEL
            models.append(Model(name, "albedo_model", "diffusers", packages, is_halved=True))
        images = 1 + len(set(self.keep) - {"metadata"}) + (self.size is not None and "input" not in self.keep)
        return Forecast(models, images=images, longest_side=self.size)

    def setup(self) -> None:
        import shared.light.degradation.photograph
        import shared.masks.faces  # noqa: F401

        device = None
        if self.mask in SAM or self.method in MARIGOLD:
            from shared.models.device import find_device

            device = find_device("what degrades photographs")
        self.load_segmenter(device)
        if self.method == "marigold":
            from shared.light.degradation.marigold import Marigold

            needed = {"residual"} & set(self.keep)
            self.intrinsic = Marigold(self.albedo_model, self.steps, self.resolution, self.ensemble, device, needed)

    def load(self, item: dict) -> Opened:
        from shared.images import open_image, read_bytes
        from shared.masks.folder import read_mask

        split_of(item)
        image = open_image(item, self.size)
        pixels, full_size = np.asarray(image), image.info["full_size"]
        return Opened(
            pixels,
            read_mask(self.mask_folder, item["key"], pixels) if self.mask_folder else None,
            read_bytes(item) if item.get("image_member") else None,
            image.size != full_size,
            self.segmenter.prepare(item["key"], pixels, full_size) if self.segmenter else None,
            self.intrinsic.prepare(pixels) if self.intrinsic else None,
        )

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        """The models see batch after batch; beside them the CPU relights, on threads."""
        from shared.loop.finishing import finished
        from shared.loop.overlap import batches

        seen = (pair for batch in batches(self, loaded) for pair in self.settle(batch, self.see))
        return finished(seen, self.degrade, self.cores, self.batch_size + 2 * self.cores)

    def process(self, batch: list[Loaded]) -> list[dict]:
        return [self.degrade(item, sight) for (item, _), sight in zip(batch, self.see(batch), strict=True)]

    def see(self, batch: list[Loaded]) -> list[Sight]:
        """What the models say of a batch: the GPU's part."""
        sources = [source for _, source in batch]
        instances: list = [[]] * len(batch)
        layers: list = [None] * len(batch)
        if self.segmenter:
            instances = self.segmenter.find([source.for_segmenter for source in sources])
        if self.intrinsic:
            noise = [item_rng(self.seed, item["key"], "marigold") for item, _ in batch]
            layers = self.intrinsic.decompose([source.for_albedo for source in sources], noise)
        return [Sight(*one) for one in zip(sources, instances, layers, strict=True)]

    def degrade(self, item: dict, sight: Sight) -> dict:
        """The CPU's part."""
        from shared.light.degradation.photograph import GREY, Photograph, composite
        from shared.light.fidelity import psnr, ssim

        source, layers = sight.source, sight.layers
        pixels = source.pixels
        mask, said_of_mask = self.find_mask(pixels, source.mask, sight.instances, source.for_segmenter)
        if mask is not None:
            with showing_rejects(item, pixels, mask):
                self.quality.check_mask(mask)
        rng = item_rng(self.seed, item["key"], "degrade")
        blend = round(float(rng.uniform(*self.blend_with_original)), 4)
        found_by_model = (layers.small, layers.log_shading()) if layers else None
        photograph = Photograph(pixels, mask, blend, self.max_size, found_by_model)
        relit, light = photograph.relit(sample(self.degradation, self.light_sampling, rng))
        degraded = relit.whole()

        background = "whole" if mask is None else self.background
        output, behind, subject = degraded, None, None
        if mask is not None and background != "whole":
            behind, subject = pixels if background == "keep" else np.full_like(pixels, self.grey or GREY), mask
            output = composite(degraded, behind, subject)
        with showing_rejects(item, pixels, output):
            if behind is not None and subject is not None:
                self.quality.check_background(behind, output, subject)
            self.quality.check(pixels, output, subject)

        fields: dict[str, Any] = {
            **said_of_mask,
            "background": background,
            "albedo_method": self.method,
            "blend_ratio": blend,
            **light.as_dict(),
            "seed": self.seed,
            "psnr": round(psnr(pixels, output), 3),
            "ssim": round(ssim(pixels, output), 4),
            "width": pixels.shape[1],
            "height": pixels.shape[0],
        }
        suffix = f".{self.image_format}"
        target = target_of(item, pixels, source.stored, source.is_smaller, suffix)
        keep = [name for name in self.keep if name != "input" or not target]  # it is the target already
        files: dict[str, Any] = dict(files_of(item, keep, photograph, layers, degraded, suffix))
        if "metadata" in keep:
            files |= file_of(item, "metadata", json.dumps(fields, indent=2).encode() + b"\n", ".json")
        files |= {**fields, **file_of(item, "output", output, suffix)}
        return {**target, **files, **thumbnail_of(item, pixels, output)}

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.exports.per_split import write_split_tables

        write_split_tables(step, rows, "albedo_csv_files/{split}images_with_albedo.csv", DEGRADE_COLUMNS)
        write_split_tables(step, rows, "{split}images_with_relighting_outputs.csv", DEGRADE_COLUMNS)
        return None


if __name__ == "__main__":
    run(Degrade)
