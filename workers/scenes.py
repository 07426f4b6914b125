"""Render scenes with known light, and make triplets of them: a dataset on which learning to relight can be proved."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import Field

from shared.files.names import file_name
from shared.images import ImageFile
from shared.seeding import item_rng
from shared.splits import SPLITS, assign_by_ratios, split_draw
from shared.start import run
from shared.worker import ImageMaker, Loaded

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step

SceneFamily = Literal["patches", "relief", "solids"]
LightSide = Literal["right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right"]
SplitShare = Annotated[float, Field(ge=0, le=1)]
EVERY_FAMILY: tuple[SceneFamily, ...] = ("patches", "relief", "solids")
EVERY_SIDE: tuple[LightSide, ...] = (
    "right", "upper right", "above", "upper left", "left", "lower left", "below", "lower right",
)  # fmt: skip


@dataclass
class Scenes(ImageMaker):
    """Render each item as a scene of its own: in light from the front, and in light from each side."""

    families: Annotated[
        tuple[SceneFamily, ...],
        Field(min_length=1, description="kinds of scenes; each scene is of one of them, by chance"),
    ] = EVERY_FAMILY
    sides: Annotated[
        tuple[LightSide, ...],
        Field(min_length=1, description="where the light comes from; each side gives a triplet of every scene"),
    ] = EVERY_SIDE
    size: Annotated[int, Field(ge=32, description="width and height of the pictures, in pixels")] = 64
    split_ratios: Annotated[
        tuple[SplitShare, SplitShare, SplitShare],
        Field(description="shares of train, val and test; all triplets of a scene are in one"),
    ] = (0.8, 0.1, 0.1)

    def load(self, item: dict) -> dict[str, Any]:
        """Rendered on the threads that load ahead."""
        from shared.light.scenes.sides import draw_surface

        rng = item_rng(self.seed, item["key"], "scene")
        family = self.families[int(rng.integers(len(self.families)))]
        surface = draw_surface(family, rng, self.size)
        fields: dict[str, Any] = {
            "family": family,
            "input_image_path": image_file(item, "front", surface.lit("front")),
            "normals_path": image_file(item, "normals", np.rint((surface.normals + 1) * 127.5).astype(np.uint8)),
        }
        for side in self.sides:
            fields[field_of(side)] = image_file(item, side, surface.lit(side))
        return fields

    def process(self, batch: list[Loaded]) -> list[dict]:
        return [fields for _, fields in batch]

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        """A row for each triplet."""
        draws = np.array([split_draw(step.seed, row["key"]) for row in rows], np.uint64)
        splits = assign_by_ratios(draws, np.arange(len(draws)), self.split_ratios)
        step.tell(f"{len(rows)} scenes, {len(rows) * len(self.sides)} triplets")
        return self.triplets(rows, splits)

    def triplets(self, rows: "Table", splits: np.ndarray) -> Iterator[dict]:
        for row, split in zip(rows, splits, strict=True):
            for side in self.sides:
                yield {
                    "key": f"{row['key']}-{side.replace(' ', '-')}",
                    "scene": row["key"],
                    "family": row["family"],
                    "input_image_path": row["input_image_path"],
                    "edit_prompt": instruction(side),
                    "image_path": row[field_of(side)],
                    "normals_path": row["normals_path"],
                    "split": SPLITS[split],
                }


def image_file(item: dict, name: str, image: np.ndarray) -> ImageFile:
    return ImageFile("images/" + file_name(item["key"], f"_{name.replace(' ', '_')}.png"), image)


def field_of(side: str) -> str:
    return f"{side.replace(' ', '_')}_path"


def instruction(side: str) -> str:
    from shared.light.words import FROM_A_SIDE

    return f"light {FROM_A_SIDE[side][0]}"


if __name__ == "__main__":
    run(Scenes)
