"""Relight photographs with a trained model: the rows of a table, or one photograph from the command line."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from shared.errors import RunError
from shared.files.names import file_name
from shared.images import ImageFile
from shared.seeding import item_rng
from shared.start import run
from shared.triplets.roles import Columns
from shared.worker import ImageMaker, Loaded

if TYPE_CHECKING:
    from PIL import Image

    from shared.files.table import Table
    from shared.forecast import Forecast
    from shared.run.run import Step

RELIGHT_PACKAGES = ("torch", "transformers", "diffusers")


class Wish(NamedTuple):
    """A photograph, the light that it should have, and where."""

    image: "Image.Image"
    instruction: str
    mask: np.ndarray | None


@dataclass
class Relight(ImageMaker):
    """Relight photographs with a trained model."""

    model_path: Annotated[
        str,
        Field(
            description="a train step's model/, or a pipeline in a folder or on the Hub; nothing: of the step before"
        ),
    ] = ""
    instruction: Annotated[str, Field(description="for all photographs; nothing: each row's own")] = ""
    columns: Annotated[Columns, Field(description="which fields of the rows are what")] = field(default_factory=Columns)
    split: Annotated[
        Literal["", "train", "val", "test"], Field(description="only the rows of this one; nothing: all")
    ] = ""
    num_images: Annotated[PositiveInt, Field(description="images of each photograph, all of them different")] = 1
    num_inference_steps: Annotated[
        PositiveInt | None, Field(description="steps of the diffusion; null is the family's own number")
    ] = None
    image_guidance_scale: Annotated[
        NonNegativeFloat | None,
        Field(description="how closely to keep to the photograph; null is the family's own, and some have none"),
    ] = None
    guidance_scale: Annotated[
        NonNegativeFloat | None, Field(description="how closely to follow the instruction; null is the family's own")
    ] = None
    resolution: Annotated[
        Annotated[PositiveInt, Field(ge=64)] | None,
        Field(description="larger ones are relit at this shorter side, and enlarged"),
    ] = None
    mask_folder: Annotated[
        Path | None, Field(description="masks under the photographs' names: outside them the photograph stays as it is")
    ] = None
    mask_field: Annotated[
        str, Field(description="or the field of the rows that says where the mask is, such as mask_path")
    ] = ""

    relighter: Any = field(init=False, default=None)  # made by setup()

    def check(self, label: str) -> None:
        from shared.errors import ConfigError

        if self.mask_folder and self.mask_field:
            raise ConfigError(
                f"{label}: mask_folder and mask_field both say where the masks are; leave one of them out"
            )

    def forecast(self) -> "Forecast":
        from shared.forecast import Forecast, Model

        is_ours = (Path(self.model_path) / "model.json").is_file()
        if not self.model_path or is_ours:
            return Forecast(images=self.num_images)
        model = Model(self.model_path, "model_path", "diffusers", RELIGHT_PACKAGES, is_halved=True)
        return Forecast([model], images=self.num_images)

    def made_with(self) -> str:
        """So that a model that was trained on relights everything anew."""
        from shared.relighter.inference.model_identity import identity_of

        return identity_of(Path(self.model_path) if self.model_path else self.trained_before())

    def setup(self) -> None:
        from shared.models.device import find_device
        from shared.models.loading import loading

        model = self.model_path or str(self.trained_before())
        with loading(model, "model_path"):  # which also says what is not installed
            from shared.relighter.inference.relighter import Relighter

            self.relighter = Relighter.load(model, find_device("the relighting model"))

    def trained_before(self) -> Path:
        """The model of the nearest train step before this one. Raises RunError."""
        for step in reversed(self.earlier):
            if step.module == "train":
                return step.model_folder
        raise RunError("model_path is empty and no step before this one trains a model; name a model's folder")

    def load(self, item: dict) -> Wish | None:
        """None for a row of another split."""
        from shared.images import image_of, open_image

        if self.split and item.get("split") != self.split:
            return None
        instruction = self.instruction or self.text_of(item)
        if not item.get(self.columns.input_image):
            raise ValueError(f"no field {self.columns.input_image} in the row; {known_fields(item)}")
        image = open_image(image_of(item, self.columns.input_image))
        return Wish(image, instruction, self.mask_of(item, np.asarray(image)))

    def text_of(self, item: dict) -> str:
        text = item.get(self.columns.instruction)
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"no text in the row's field {self.columns.instruction}; {known_fields(item)}")
        return text

    def mask_of(self, item: dict, photograph: np.ndarray) -> np.ndarray | None:
        from shared.masks.folder import fitted_mask, read_mask

        if self.mask_folder:
            return read_mask(self.mask_folder, item["key"], photograph)
        if self.mask_field:
            if not item.get(self.mask_field):
                raise ValueError(f"no mask in the row's field {self.mask_field}")
            return fitted_mask(Path(item[self.mask_field]), photograph)
        return None

    def stream(self, loaded: Iterator[Loaded]) -> Iterator[tuple[dict, dict | Exception]]:
        """Rows of other splits are recorded as passed over at once, and take no place in a batch."""
        batch: list[Loaded] = []
        for one in loaded:
            if one.data is None:
                yield one.item, {"passed_over": f"not of the split {self.split}"}
                continue
            batch.append(one)
            if len(batch) >= self.batch_size:
                yield from self.settle(batch)
                batch = []
        if batch:
            yield from self.settle(batch)

    def process(self, batch: list[Loaded]) -> list[dict]:
        seeds = [int(item_rng(self.seed, item["key"], "relight").integers(2**32)) for item, _ in batch]
        fields_of_all: list[dict] = [
            {"relit_instruction": wish.instruction, "relit_seed": seed}
            for (_, wish), seed in zip(batch, seeds, strict=True)
        ]
        for number in range(self.num_images):
            relit = self.relit([wish for _, wish in batch], [seed + number for seed in seeds])
            field_name = f"relit_image_{number}_path" if number else "relit_image_path"
            ending = f"_{number}.png" if self.num_images > 1 else ".png"
            for (item, _), fields, image in zip(batch, fields_of_all, relit, strict=True):
                fields[field_name] = ImageFile("relit/" + file_name(item["key"], ending), image)
        return fields_of_all

    def relit(self, wishes: list[Wish], seeds: list[int]) -> list[np.ndarray]:
        from shared.relighter.inference.background import keep_background

        made = self.relighter.relight(
            [wish.image for wish in wishes],
            [wish.instruction for wish in wishes],
            seeds,
            num_inference_steps=self.num_inference_steps,
            image_guidance_scale=self.image_guidance_scale,
            guidance_scale=self.guidance_scale,
            resolution=self.resolution,
        )
        arrays = [np.asarray(image) for image in made]
        return [
            array if wish.mask is None else keep_background(array, np.asarray(wish.image), wish.mask)
            for array, wish in zip(arrays, wishes, strict=True)
        ]

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        if not self.split:
            return None
        places = [place for place, row in enumerate(rows) if "relit_image_path" in row]
        if len(rows) and not places:
            raise RunError(
                f"{step.label}: none of {len(rows)} rows is of the split {self.split}; leave split out for all"
            )
        return (rows[place] for place in places)


def known_fields(item: dict) -> str:
    return f"it has {', '.join(item)}; name the fields in `columns:`"


if __name__ == "__main__":
    if not any(word.startswith("--config") for word in sys.argv):
        from shared.relighter.inference.command_line import main

        main(Relight)
    run(Relight)
