"""Step 2 of relighting: put each photograph's subject into another light; that is the training input."""

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, PositiveInt

from shared.light.quality import Quality
from shared.light.sampling import Degradation, LightSampling, ShareRange, sample
from shared.names import file_name
from shared.records import ImageFile
from shared.seeding import item_rng
from shared.splits import SPLITS
from shared.worker import Loaded, Worker, run

if TYPE_CHECKING:
    from shared.light.develop import Photograph
    from shared.run import Step
    from shared.table import Table

MASK_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
COLUMNS = {"image_path": "image_path", "lighting_score": "lighting_score", "output_image_path": "output_image_path"}
Kept = Literal["input", "albedo", "mask", "foreground", "background", "shading", "degraded_fg", "metadata"]


class Source(NamedTuple):
    """What load() reads of an item: the photograph, the person's mask, and the bytes when they lie in a container."""

    pixels: np.ndarray  # HxWx3 uint8, upright
    mask: np.ndarray | None  # HxW uint8
    stored: bytes | None


@dataclass
class Degrade(Worker):
    """Put each photograph's subject into another light: flatten, relight, cast a shadow, recombine."""

    method: Literal["flatten"] = "flatten"  # how the light is taken out
    mask: Literal["face", "user", "none"] = "face"  # people found by their faces, masks from mask_folder, or none
    mask_folder: Path | None = None  # masks under the photographs' relative names, with any image suffix
    background: Literal["keep", "grey", "whole"] = "keep"  # behind the subject; whole: everything is relit
    blend_with_original: ShareRange = (0.15, 0.25)  # share of the photograph left in the flattened image
    degradation: Degradation = field(default_factory=Degradation)
    light_sampling: LightSampling = field(default_factory=LightSampling)
    quality: Quality = field(default_factory=Quality)
    keep: tuple[Kept, ...] = ()  # files to write beside the output
    max_size: Annotated[PositiveInt, Field(ge=64)] = 768  # long side at which the new light is computed, in pixels

    def check(self, label: str) -> None:
        from shared.config import ConfigError

        if self.mask == "user" and self.mask_folder is None:
            raise ConfigError(f"{label}: mask is user; mask_folder must say where the masks are")
        if self.mask != "user" and self.mask_folder is not None:
            raise ConfigError(f"{label}: mask_folder is used with mask: user only, and mask is {self.mask}")
        if self.mask_folder is not None and not self.mask_folder.is_dir():
            raise ConfigError(f"{label}: mask_folder {self.mask_folder} is not a folder")
        if self.mask == "none" and self.background == "grey":
            raise ConfigError(f"{label}: background is grey; without a mask (mask: none) there is nothing to put before it")

    def setup(self) -> None:
        import shared.light.develop
        import shared.light.mask  # noqa: F401

    def load(self, item: dict) -> Source:
        from shared.images import open_image, read_bytes

        split_of(item)
        pixels = np.asarray(open_image(item))
        mask = self.read_mask(item["key"], pixels) if self.mask == "user" else None
        return Source(pixels, mask, read_bytes(item) if item.get("image_member") else None)

    def process(self, batch: list[Loaded]) -> list[dict]:
        return [self.degrade(item, source) for item, source in batch]

    def degrade(self, item: dict, source: Source) -> dict:
        from shared.light.develop import GREY, Photograph, composite
        from shared.light.fidelity import psnr, ssim
        from shared.light.mask import people

        pixels, mask = source.pixels, source.mask
        if self.mask == "face":
            mask = people(pixels)
        if mask is not None:
            self.quality.check_mask(mask)
        rng = item_rng(self.seed, item["key"], "degrade")
        blend = round(float(rng.uniform(*self.blend_with_original)), 4)
        photograph = Photograph(pixels, mask, blend, self.max_size)
        relit, light = photograph.relit(sample(self.degradation, self.light_sampling, rng))
        degraded = relit.whole()

        background = "whole" if mask is None else self.background
        output = degraded
        if mask is not None and background != "whole":
            behind = pixels if background == "keep" else np.full_like(pixels, GREY)
            output = composite(degraded, behind, mask)
        self.quality.check(pixels, output, mask if background != "whole" else None)

        found: dict[str, Any] = {
            "mask": "none" if mask is None else self.mask,
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
        return {**self.files(item, source, photograph, degraded, found), **found, **self.file(item, "output", output)}

    def files(self, item: dict, source: Source, photograph: "Photograph", degraded: np.ndarray, found: dict) -> dict:
        """The files that the config asks for, and the photograph itself where it has no file of its own."""
        made: dict[str, Any] = {}
        pixels, mask = photograph.pixels, photograph.mask
        if source.stored is not None:
            # Later tables name a file, so the bytes come out of the container, as they were stored.
            original = self.file(item, "input", source.stored, image_suffix(source.stored))
            made = {"image_path": original["input_path"], "image_member": None}
        opaque = mask if mask is not None else np.full(photograph.size, 255, np.uint8)
        for name in self.keep:
            if name == "input" and source.stored is None:
                made |= self.file(item, name, pixels)
            elif name == "albedo":
                made |= self.file(item, name, photograph.flattened())
            elif name == "mask":
                made |= self.file(item, name, opaque)
            elif name == "foreground":
                made |= self.file(item, name, cut(pixels, opaque))
            elif name == "background":
                made |= self.file(item, name, cut(pixels, 255 - opaque))
            elif name == "shading":
                made |= self.file(item, name, photograph.shading())
            elif name == "degraded_fg":
                made |= self.file(item, name, cut(degraded, opaque))
            elif name == "metadata":
                text = json.dumps(found, indent=2) + "\n"
                made |= self.file(item, name, text.encode(), ".json")
        return made

    def file(self, item: dict, name: str, content: Any, suffix: str = ".png") -> dict[str, ImageFile]:
        """One file of an item: data-train/indoor/a.jpg_output.png, under the field output_image_path or <name>_path."""
        split = split_of(item)
        folder = f"data-{split}" if split else "data"
        path = f"{folder}/{file_name(item['key'], f'_{name}{suffix}')}"
        return {"output_image_path" if name == "output" else f"{name}_path": ImageFile(path, content)}

    def read_mask(self, key: str, pixels: np.ndarray) -> np.ndarray:
        """The person's mask of this photograph, HxW uint8. Raises ValueError where there is none or it does not fit."""
        import cv2

        from shared.images import open_image

        assert self.mask_folder is not None
        path = find_mask(self.mask_folder, key)
        mask = np.asarray(open_image(path).convert("L"))
        height, width = pixels.shape[:2]
        if abs(mask.shape[1] * height - mask.shape[0] * width) > max(height, width, *mask.shape):
            raise ValueError(
                f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} pixels; its photograph is {width} x {height}"
            )
        if mask.shape != (height, width):
            mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR)
        return mask

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.split_tables import write_split_tables

        write_split_tables(step, rows, "albedo_csv_files/{split}images_with_albedo.csv", COLUMNS)
        write_split_tables(step, rows, "{split}images_with_relighting_outputs.csv", COLUMNS)
        return None


def split_of(item: dict) -> str | None:
    """The item's split, or None where nothing has split the items. Raises ValueError for an unknown one."""
    split = item.get("split")
    if split is not None and split not in SPLITS:
        raise ValueError(f"the split is {split!r}; it should be one of {', '.join(SPLITS)}")
    return split


def find_mask(folder: Path, key: str) -> Path:
    """The mask whose name is the photograph's, its suffix exchanged for or followed by that of an image."""
    place = folder / key
    if not place.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"the key {key!r} leaves the folder of masks {folder}")
    stem = place.stem if place.suffix.lower() in MASK_SUFFIXES else place.name
    for suffix in MASK_SUFFIXES:
        for path in (place.with_name(stem + suffix), place.with_name(place.name + suffix)):
            if path.is_file():
                return path
    raise ValueError(f"there is no mask for {key} in {folder}; it would be named {stem}.png")


def image_suffix(stored: bytes) -> str:
    """The usual suffix of these bytes' format."""
    from PIL import Image

    with Image.open(io.BytesIO(stored)) as image:
        return {"JPEG": ".jpg", "TIFF": ".tif"}.get(image.format or "", f".{(image.format or 'bin').lower()}")


def cut(pixels: np.ndarray, opacity: np.ndarray) -> Any:
    """An RGBA picture of the pixels, transparent where `opacity` (HxW uint8) is 0."""
    from PIL import Image

    return Image.fromarray(np.dstack([pixels, opacity]))


if __name__ == "__main__":
    run(Degrade)
