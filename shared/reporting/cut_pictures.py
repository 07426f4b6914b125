"""What the filter leaves in its folder to verify its choice: the numbers at the cut, the intervals, the pictures."""

import csv
from dataclasses import dataclass

import numpy as np

from shared.reporting.funnel import lines_in
from shared.reporting.thumbnails import Thumbnail, in_threads, link_to, thumbnail
from shared.run.run import Step

CUT_PICTURE_SIDE = 1400  # pixels of a picture's longer side, at most; the file itself is a click away
MOST_INTERVALS = 20
# Those that take the whole page.
WIDE = ("filtering_verification.png", "light_histograms.png", "top_vs_bottom_comparison.png")
SHOWN_AS = {
    **dict.fromkeys(("direction_told", "low_key", "mid_key", "high_key"), ".0%"),
    **dict.fromkeys(("mean_hardness", "mean_contrast", "mean_exposure_ev"), ".2f"),
    "mean_cct_kelvin": ".0f",
}
PICTURES = {
    "filtering_verification.png": "all scores, by rank, and around the cut",
    "light_histograms.png": "the light in what is kept of all there is",
    "top_vs_bottom_comparison.png": "the best and the last on both sides of the cut",
    "top_images_grid.png": "the best",
    "bottom_20_filtered.png": "the last kept",
    "random_20_filtered.png": "some of those kept, by chance",
    "threshold_analysis.png": "some of every interval of ranks",
}


@dataclass
class CutPictures:
    cutoff: int | None  # another cut than that of the selection
    at_the_cut: str  # lines of text
    link: str  # to all of them
    intervals: list[dict[str, str]]  # column: value
    is_every_interval: bool
    pictures: list[tuple[str, str, Thumbnail]]  # file, what it shows
    wide: tuple[str, ...] = WIDE


def cut_pictures_of(step: Step) -> CutPictures | None:
    """None where the filter has left none."""
    path = step.folder / "verification.txt"
    if not path.exists():
        return None
    intervals, is_every_interval = intervals_of(step)
    names = [name for name in PICTURES if (step.folder / name).exists()]
    pictures = in_threads(lambda name: thumbnail(step.folder / name, CUT_PICTURE_SIDE, step.run.folder), names)
    return CutPictures(
        (step.settings | step.collect_settings).get("cutoff"),
        path.read_text(encoding="utf-8").partition("\n\nthe 10 best kept")[0],
        link_to(path, step.run.folder),
        intervals,
        is_every_interval,
        [(name, PICTURES[name], picture) for name, picture in zip(names, pictures, strict=True) if picture],
    )


def intervals_of(step: Step) -> tuple[list[dict[str, str]], bool]:
    """At most MOST_INTERVALS rows of the step's table, chosen evenly, and whether those are all."""
    path = step.folder / "threshold_analysis.csv"
    if not path.exists():
        return [], True
    count = lines_in(path) - 1
    places = set(np.linspace(0, count - 1, min(MOST_INTERVALS, count)).astype(int).tolist())
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for place, row in enumerate(csv.DictReader(file)) if place in places]
    intervals = [{"ranks": f"{row.pop('first_rank')} to {row.pop('last_rank')}", **rounded(row)} for row in rows]
    return intervals, len(intervals) == count


def rounded(row: dict[str, str]) -> dict[str, str]:
    """As many digits as a person reads; the table in the step's folder has all."""
    return {
        name: format(float(value), SHOWN_AS.get(name, ".3f")) if "." in value else value for name, value in row.items()
    }
