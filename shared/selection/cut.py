"""Show what a cut through the ranking keeps and loses: numbers, curves and the photographs on both sides of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL.Image import Image

from shared.errors import ImageError
from shared.files.small_files import write_bytes, write_text
from shared.files.table import Table
from shared.images import open_image
from shared.seeding import item_rng
from shared.selection.plots import Picture, Row, draw_histogram, draw_ranking, figure, one_line, photograph_sheet
from shared.selection.ranking import statistics

SMALL_GAP = 0.001  # below this, the photographs on both sides of the cut are about as good
_TILE = 200  # pixels; photographs are opened no larger


class Tiles:
    """Small copies of the photographs of some rows, each opened once."""

    def __init__(self, rows: Table):
        self.rows = rows
        self._opened: dict[int, Image | None] = {}

    def __getitem__(self, index: int) -> Image | None:
        """None where the photograph went away since it was scored; the others are worth showing all the same."""
        if index not in self._opened:
            try:
                self._opened[index] = open_image(self.rows[index], _TILE)
            except ImageError:
                self._opened[index] = None
        return self._opened[index]


class Cut:
    """What a person needs to judge a cut: numbers, curves, and the photographs on both sides of it.

    `ranking`: indices of rows of which the first `cut` are kept, best first, and the others not, best first too;
    `scores`: of all rows, in their order.
    A few dozen photographs are opened.
    """

    def __init__(self, tiles: Tiles, scores: np.ndarray, ranking: np.ndarray, cut: int, seed: int):
        self.tiles, self.rows, self.ranking = tiles, tiles.rows, ranking
        self.cut = min(cut, len(ranking))
        self.ranked = scores[ranking]
        random = item_rng(seed, "", "verification")
        self.chance = np.sort(random.choice(self.cut, min(20, self.cut), replace=False)).tolist() if self.cut else []

    def write(self, folder: Path) -> None:
        """Write verification.txt and the four pictures into the step's folder."""
        cut, ranks = self.cut, range(len(self.ranking))
        last, chosen = ranks[max(0, cut - 20) : cut], self.chance
        sides = {
            "the best kept": ranks[: min(10, cut)],
            "the last kept": ranks[min(cut, max(10, cut - 10)) : cut],
            "the first rejected": ranks[cut : cut + 10],
            "the last rejected": ranks[max(cut + 10, len(ranks) - 10) :],
        }
        sheets = {
            "bottom_20_filtered.png": self.sheet(f"The last {len(last)} kept", {"": last}, 5),
            "random_20_filtered.png": self.sheet(f"{len(chosen)} of those kept, by chance", {"": chosen}, 5),
            "top_vs_bottom_comparison.png": self.sheet("Best and last on both sides of the cut", sides, 10),
        }
        write_text(folder / "verification.txt", self.text())
        write_bytes(folder / "filtering_verification.png", self.curves())
        for name, data in sheets.items():
            write_bytes(folder / name, data)

    def text(self) -> str:
        """Ranges, the gap at the cut, and the best, the last, those around the cut and some by chance."""
        cut, count = self.cut, len(self.ranked)
        kept, rejected = self.ranked[:cut], self.ranked[cut:]
        lines = [f"{count} photographs in the ranking, {len(kept)} kept and {len(rejected)} rejected", ""]
        lines.append(f"{'':<10}{'count':>10}{'lowest':>10}{'highest':>10}{'mean':>10}{'median':>10}")
        for name, part in (("kept", kept), ("rejected", rejected)):
            numbers = statistics(part)
            columns = [numbers[column] for column in ("min", "max", "mean", "median")]
            shown = "".join(f"{'-':>10}" if value is None else f"{value:>10.4f}" for value in columns)
            lines.append(f"{name:<10}{len(part):>10}{shown}")
        lines += ["", self._gap(kept, rejected)]
        lines += ["", "the 10 best kept", *self._lines(range(min(10, cut)))]
        lines += ["", "the 20 last kept", *self._lines(range(max(0, cut - 20), cut))]
        lines += ["", "around the cut", *self._lines(range(max(0, cut - 5), cut)), "        ---- cut ----"]
        lines += self._lines(range(cut, min(cut + 6, count)))
        lines += ["", "the 10 last of all", *self._lines(range(max(0, count - 10), count))]
        lines += ["", f"{len(self.chance)} of those kept, by chance", *self._lines(self.chance)]
        return "\n".join(lines) + "\n"

    def curves(self) -> bytes:
        """PNG: the distribution, all scores by rank, and the 50 ranks around the cut."""
        label = "lighting score"
        is_kept = np.arange(len(self.ranked)) < self.cut
        first = max(0, self.cut - 25)
        near = self.ranked[first : self.cut + 25]
        is_by_score = bool((np.diff(self.ranked) <= 0).all())
        order = "by rank" if is_by_score else "those kept by rank and then the others"
        return figure(
            [
                lambda axes: draw_histogram(axes, self.ranked, label, is_kept),
                lambda axes: draw_ranking(axes, self.ranked, self.cut, label),
                lambda axes: draw_ranking(axes, near, self.cut, label, first),
            ],
            f"{self.cut:,} of {len(self.ranked):,} photographs kept: all scores, {order}, and around the cut",
            panel=(5.5, 4.0),
        )

    def sheet(self, title: str, parts: Mapping[str, Sequence[int]], columns: int) -> bytes:
        """PNG of the photographs at some ranks, counted from 0: `parts` maps a heading to its ranks."""
        rows = [Row(heading, [self._picture(rank) for rank in ranks]) for heading, ranks in parts.items() if ranks]
        return photograph_sheet(title, rows, columns, _TILE)

    def _picture(self, rank: int) -> Picture:
        index = int(self.ranking[rank])
        return Picture(self.tiles[index], f"{self.ranked[rank]:.4f}  {self.rows[index]['key']}")

    def _lines(self, ranks: Sequence[int]) -> list[str]:
        return [
            f"{rank + 1:>8}  {self.ranked[rank]:.4f}  {one_line(self.rows[int(self.ranking[rank])]['key'])}"
            for rank in ranks
        ]

    def _gap(self, kept: np.ndarray, rejected: np.ndarray) -> str:
        if not len(kept) or not len(rejected):
            return "nothing was rejected" if len(kept) else "nothing was kept"
        gap = float(kept[-1] - rejected[0])
        if gap < 0:
            above = int((rejected > kept[-1]).sum())
            return f"no cut by score: {above} of those rejected score higher than the last kept, {kept[-1]:.4f}"
        judgement = "; a small gap: those just below the cut are about as good" if gap < SMALL_GAP else ""
        return f"gap at the cut: {gap:.4f}, from {kept[-1]:.4f} to {rejected[0]:.4f}{judgement}"
