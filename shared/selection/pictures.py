"""Everything by which a person verifies a choice: histograms, sheets of photographs and tables, in the step's folder."""

from pathlib import Path
from typing import TYPE_CHECKING

from shared.exports.writers import write_csv
from shared.files.small_files import write_bytes
from shared.selection.choice import Choice
from shared.selection.cut import Cut, Tiles
from shared.selection.intervals import INTERVAL_COLUMNS, interval_sheet, intervals, length_of
from shared.selection.light_histograms import light_histograms
from shared.selection.plots import histogram

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step


def write_pictures(
    rows: "Table", choice: Choice, step: "Step", cutoff: int | None, interval: int | None, grid: tuple[int, int] | None
) -> None:
    """Write them for a choice among `rows`; a `grid` (rows, columns) of None is not drawn."""
    folder, tiles = step.folder, Tiles(rows)
    write_histograms(choice, folder)
    # What is kept for its variety is not the head of the ranking; it is shown before the others.
    kept_first = Cut(tiles, choice.measured.scores, choice.kept_first, len(choice.kept), step.seed)
    by_score = Cut(tiles, choice.measured.scores, choice.ranking, cutoff or len(choice.kept), step.seed)
    (by_score if cutoff else kept_first).write(folder)
    length = length_of(len(choice.ranking), interval)
    numbers = intervals(choice.measured, choice.ranking, choice.is_kept, length)
    write_csv(
        folder / "threshold_analysis.csv", {name: name for name in INTERVAL_COLUMNS}, numbers, step.run.relative_within
    )
    write_bytes(folder / "threshold_analysis.png", interval_sheet(by_score, length))
    if grid:
        best = range(min(grid[0] * grid[1], len(choice.kept)))
        title = f"The {len(best)} best of {len(rows):,} photographs"
        write_bytes(folder / "top_images_grid.png", kept_first.sheet(title, {"": best}, grid[1]))


def write_histograms(choice: Choice, folder: Path) -> None:
    scores, light = choice.measured.scores, choice.measured.light
    title = f"Lighting scores of {len(scores):,} photographs"
    write_bytes(folder / "score_distribution.png", histogram(scores, title, "lighting score", choice.is_kept))
    if light.is_measured.any():
        write_bytes(folder / "light_histograms.png", light_histograms(light, choice.is_kept))
