"""Step 2 of relighting: put each photograph's subject into another light; that is the training input."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from shared.light.degradation.files import Kept, file_of, files_of, showing_rejects, split_of, target_of, thumbnail_of
from shared.light.degradation.gates import Quality
from shared.light.degradation.light_models import NEEDS, LightModels
from shared.light.degradation.options import Degradation, LightSampling, ShareRange
from shared.masks.masking import SAM, Masking
from shared.seeding import item_rng
from shared.start import run
from shared.worker import ImageMaker, Loaded

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.light.degradation.marigold import Layers
    from shared.light.degradation.normals import Shaped
    from shared.masks.instance import Instance
    from shared.run.run import Step

DEGRADE_COLUMNS = {
    "image_path": "image_path",
    "lighting_score": "lighting_score",
    "output_image_path": "output_image_path",
}
Byte = Annotated[int, Field(ge=0, le=255)]
BELONGS_TO = {  # an option that is set where nothing reads it is a misunderstanding
    "mask_folder": ("mask", ("user",)),
    "mask_model": ("mask", (*SAM, "u2net", "person")),
    "prompt_file": ("mask", ("sam2",)),
    **NEEDS,
    "grey": ("background", ("grey",)),
}


class Opened(NamedTuple):
    """What load() reads of an item: the photograph, the person's mask, and the bytes when they lie in a container."""

    pixels: np.ndarray  # HxWx3 uint8, upright
    mask: np.ndarray | None  # HxW uint8
    stored: bytes | None
    is_smaller: bool = False  # than the photograph is stored
    for_segmenter: Any = None  # as the models want it
    for_light_models: tuple[Any, Any] = (None, None)


class Sight(NamedTuple):
    """What the models see in a photograph."""

    source: Opened
    instances: "list[Instance]"
    layers: "Layers | None"
    shaped: "Shaped | None" = None


@dataclass
class Degrade(Masking, LightModels, ImageMaker):
    """Put each photograph's subject into another light: flatten, relight, cast a shadow, recombine."""

    batch_size: Annotated[
        NonNegativeInt, Field(description="photographs that the models see together; 0 is 8, and 1 without models")
    ] = 0
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
    strength: Annotated[
        float,
        Field(
            ge=0.5,
            le=1.5,
            description="how far the new light is from even white light: its contrast, its colour, "
            "its pattern; 1 is as drawn",
        ),
    ] = 1.0
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

    aliases: ClassVar[dict[str, str]] = {"normal_estimation": "normals"}

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
        self.fill_in_models()
        if not self.batch_size:
            self.batch_size = 8 if self.mask in SAM or self.has_light_models() else 1

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast

        models = self.masking_models() + self.light_models()
        images = 1 + len(set(self.keep) - {"metadata"}) + (self.size is not None and "input" not in self.keep)
        return Forecast(models, images=images, longest_side=self.size)

    def setup(self) -> None:
        import shared.light.degradation.photograph
        import shared.masks.person  # noqa: F401

        device = None
        if self.mask in SAM or self.has_light_models():
            from shared.models.device import find_device

            device = find_device("what degrades photographs")
        self.load_segmenter(device)
        self.load_light_models(device, {"residual"} & set(self.keep))

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
            self.prepared(pixels),
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
        if self.segmenter:
            instances = self.segmenter.find([source.for_segmenter for source in sources])
        looked = self.look([item["key"] for item, _ in batch], [source.for_light_models for source in sources])
        return [Sight(source, found, *one) for source, found, one in zip(sources, instances, looked, strict=True)]

    def degrade(self, item: dict, sight: Sight) -> dict:
        """The CPU's part."""
        from shared.light.degradation.drawing import draw_light
        from shared.light.degradation.photograph import GREY, Photograph, composite
        from shared.light.fidelity import likeness_of

        source, layers = sight.source, sight.layers
        pixels = source.pixels
        mask, said_of_mask = self.find_mask(pixels, source.mask, sight.instances, source.for_segmenter)
        if mask is not None:
            with showing_rejects(item, pixels, mask):
                self.quality.check_mask(mask)
        rng = item_rng(self.seed, item["key"], "degrade")
        blend = round(float(rng.uniform(*self.blend_with_original)), 4)
        found_by_model = (layers.small, layers.log_shading()) if layers else None
        is_balloon = self.normals == "balloon"
        photograph = Photograph(pixels, mask, blend, self.max_size, found_by_model, sight.shaped, is_balloon)
        drawn = draw_light(photograph, self.degradation, self.light_sampling, self.strength, rng)
        degraded = drawn.relit.whole()

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
            "normals": self.normals,
            "blend_ratio": blend,
            **drawn.as_dict(),
            "seed": self.seed,
            **likeness_of(pixels, output, mask),
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
