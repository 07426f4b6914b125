"""A contact sheet of the images that a step has drawn, each with the words that it was drawn from."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from shared.files.table import Table
from shared.reporting.thumbnails import Thumbnail, in_threads, thumbnail
from shared.run.run import Run, Step

MOST_DRAWN = 120
SHEET_SIDE = 200  # pixels, of the longer side


class DrawnImage(NamedTuple):
    key: str
    prompt: str
    picture: Thumbnail | None


class ImageSheet(NamedTuple):
    step: Step
    total: int
    images: list[DrawnImage]


def contact_sheets_of(run: Run) -> list[ImageSheet]:
    """Of the steps that draw and have a result; evenly chosen where there are many."""
    steps = [step for step in run.steps if step.module == "generate" and step.result_path.exists()]
    return [sheet_of(run, step) for step in steps]


def sheet_of(run: Run, step: Step) -> ImageSheet:
    table = Table(step.result_path)
    places = np.linspace(0, len(table) - 1, min(MOST_DRAWN, len(table))).round().astype(int)
    rows = [row for row in (table[int(place)] for place in places) if row.get("generated_path")]

    def drawn(row: dict) -> DrawnImage:
        picture = thumbnail(Path(row["generated_path"]), SHEET_SIDE, run.folder)
        return DrawnImage(row["key"], str(row.get("prompt") or ""), picture)

    return ImageSheet(step, len(table), in_threads(drawn, rows))
