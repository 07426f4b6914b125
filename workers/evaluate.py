"""Measure how near relit photographs come to what they should be, beside what a model scores that changes nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from shared.start import run
from shared.triplets.roles import Columns
from shared.worker import Loaded, Worker

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.relighter.evaluation.clip_direction import Views
    from shared.run.run import Step


class MeasuredImage(NamedTuple):
    """A triplet's three images, and what the CPU has measured of them."""

    source: np.ndarray
    output: np.ndarray
    target: np.ndarray
    found: dict
    views: "Views | None"  # for CLIP


@dataclass
class Evaluate(Worker):
    """Measure relit photographs: PSNR, SSIM, LPIPS and CLIP's directional similarity, each beside the identity floor, and
    whether pixels have moved and faces have changed."""

    columns: Annotated[Columns, Field(description="which fields of the rows are what")] = field(default_factory=Columns)
    lpips: Annotated[
        Literal["", "alex", "squeeze", "vgg"], Field(description="network by which LPIPS is measured; empty: it is not")
    ] = ""
    checkpoint: Annotated[
        str,
        Field(description="of CLIP: a tag of open_clip, a file or a folder; nothing: the direction is not measured"),
    ] = ""
    model_name: Annotated[str, Field(description="architecture of CLIP, as open_clip names it")] = "ViT-L/14"
    identity: Annotated[
        Literal["", "dlib"],
        Field(description="network by which faces are compared, with packages of its own; empty: they are not"),
    ] = ""
    directions: Annotated[
        bool, Field(description="measure, where an instruction names a side, whether the light comes from there")
    ] = False

    perceptual: Any = field(init=False, default=None)  # these are made by setup()
    clip: Any = field(init=False, default=None)
    faces: Any = field(init=False, default=None)

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        packages = ("torch", "open_clip_torch")
        return Forecast(
            [Model(self.model_name, "model_name", "clip", packages, tag=self.checkpoint)] if self.checkpoint else []
        )

    def setup(self) -> None:
        if self.identity:
            from shared.relighter.evaluation.identity import FACE_NETWORKS

            self.faces = FACE_NETWORKS[self.identity]()
        if not (self.lpips or self.checkpoint):
            return
        from shared.models.device import find_device

        device = find_device("what measures relit photographs")
        if self.lpips:
            from shared.relighter.evaluation.perceptual import Perceptual

            self.perceptual = Perceptual(self.lpips, device)
        if self.checkpoint:
            from shared.relighter.evaluation.clip_direction import ClipDirection

            self.clip = ClipDirection(self.model_name, self.checkpoint, device)

    def load(self, item: dict) -> MeasuredImage:
        """The images in the size of the relit one, and what is measured without a model."""
        images = self.images(item)
        source, output, target = (np.asarray(image) for image in images)
        found = fidelity_of(source, output, target) | movement_of(source, output)
        if self.directions:
            from shared.relighter.evaluation.obedience import obedience

            found |= obedience(item, self.text_of(item), source, output)
        views = None
        if self.clip:
            from shared.relighter.evaluation.clip_direction import Views

            views = Views(*(self.clip.prepare(image) for image in images))
        return MeasuredImage(source, output, target, found, views)

    def text_of(self, item: dict) -> str:
        return str(item.get("relit_instruction") or item.get(self.columns.instruction) or "")

    def images(self, item: dict) -> list:
        """Degraded, relit, target, in one size. Raises ValueError."""
        from PIL import Image

        from shared.images import image_of, open_image
        from shared.relighter.training.examples import same_shape

        fields = (self.columns.input_image, "relit_image_path", self.columns.output_image)
        missing = [name for name in fields if not item.get(name)]
        if missing:
            raise ValueError(
                f"no field {missing[0]} in the row; it has {', '.join(item)}; name the fields in `columns:`"
            )
        images = [open_image(image_of(item, name)) for name in fields]
        size = images[1].size
        for name, image in zip(fields, images, strict=True):
            if not same_shape(image.size, size):
                raise ValueError(
                    f"{name} is {image.width} x {image.height} pixels, the relit image {size[0]} x {size[1]}: another shape"
                )
        return [image if image.size == size else image.resize(size, Image.Resampling.LANCZOS) for image in images]

    def process(self, batch: list[Loaded]) -> list[dict]:
        fields_of_all = [dict(one.found) for _, one in batch]
        if self.faces:
            from shared.relighter.evaluation.identity import face_distances

            for fields, (_, one) in zip(fields_of_all, batch, strict=True):
                fields |= face_distances(self.faces, one.source, one.output, one.target)
        if self.perceptual:
            for fields, (_, one) in zip(fields_of_all, batch, strict=True):
                fields["lpips"] = round(self.perceptual.distance(one.output, one.target), 4)
                fields["lpips_floor"] = round(self.perceptual.distance(one.source, one.target), 4)
        if self.clip:
            texts = [self.text_of(item) for item, _ in batch]
            directions = self.clip.measure([one.views for _, one in batch], texts)
            for fields, (reached, possible) in zip(fields_of_all, directions, strict=True):
                fields["clip_direction"] = round(reached, 4)
                fields["clip_direction_target"] = round(possible, 4)
        return fields_of_all

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.relighter.evaluation.scores import write_scores

        write_scores(step, rows, self.columns)
        return None


def fidelity_of(source: np.ndarray, output: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM of output and source, as they are and under the target's exposure and white balance."""
    from shared.light.fidelity import exposed_like, psnr, ssim

    found: dict[str, float] = {}
    for suffix, image in (("", output), ("_floor", source)):
        matched = exposed_like(image, target)
        found |= {f"psnr{suffix}": round(psnr(image, target), 3), f"ssim{suffix}": round(ssim(image, target), 4)}
        found |= {
            f"psnr_exposed{suffix}": round(psnr(matched, target), 3),
            f"ssim_exposed{suffix}": round(ssim(matched, target), 4),
        }
    return found | {"psnr_gain": round(found["psnr"] - found["psnr_floor"], 3)}


def movement_of(source: np.ndarray, output: np.ndarray) -> dict[str, float]:
    """By how many pixels what is drawn has moved, and by how much it was enlarged; nothing where that cannot be told."""
    from shared.light.alignment import alignment

    moved = alignment(source, output)
    return {} if moved is None else {"shift_pixels": round(moved.pixels, 3), "zoom": round(moved.zoom, 5)}


if __name__ == "__main__":
    run(Evaluate)
