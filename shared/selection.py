"""Rank scored photographs and say what a cut through the ranking keeps and loses."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from shared.images import ImageError, open_image
from shared.plots import Picture, Row, draw_histogram, draw_ranking, figure, one_line, photograph_sheet
from shared.seeding import item_rng
from shared.table import Table
from shared.tables import write_bytes, write_text

SMALL_GAP = 0.001  # below this, the photographs on both sides of the cut are about as good
_TILE = 200  # pixels; photographs are opened no larger


def rank(scores: np.ndarray, key_of: Callable[[int], str]) -> np.ndarray:
    """Indices of (n,) scores, best first; equal ones by their key, which is asked for only then."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, dtype=int)
    ends = np.r_[starts[1:], len(ranked)]
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        order[start:end] = sorted(order[start:end], key=lambda index: key_of(int(index)))
    return order


def statistics(scores: np.ndarray) -> dict[str, float | int | None]:
    """Count, mean, standard deviation (of a whole, not of a sample), extremes and quartiles of (n,) scores."""
    names = ("mean", "std", "min", "max", "median", "q25", "q75")
    if not len(scores):
        return {"count": 0, **dict.fromkeys(names)}
    low, q25, median, q75, high = np.percentile(scores, (0, 25, 50, 75, 100))
    values = (scores.mean(), scores.std(), low, high, median, q25, q75)
    return {"count": len(scores), **{name: float(value) for name, value in zip(names, values, strict=True)}}


class Verification:
    """What a person needs to judge a cut: numbers, curves, and the photographs on both sides of it.

    `ranking`: indices of rows, best first, of which the first `cut` are kept; `scores`: of all rows, in their order.
    A few dozen photographs are opened, each once, small.
    """

    def __init__(self, rows: Table, scores: np.ndarray, ranking: np.ndarray, cut: int, seed: int):
        self.rows, self.scores, self.ranking, self.seed = rows, scores, ranking, seed
        self.cut = min(cut, len(ranking))
        self.ranked = scores[ranking]
        self._tiles: dict[int, Picture] = {}

    def write(self, folder: Path) -> None:
        """Write verification.txt and the four pictures into the step's folder."""
        cut, ranks = self.cut, range(len(self.ranking))
        last = ranks[max(0, cut - 20) : cut]
        random = item_rng(self.seed, "", "verification")
        chosen = np.sort(random.choice(cut, min(20, cut), replace=False)).tolist() if cut else []
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
        """Ranges, the gap at the cut, the first and last ten kept, and the rows around the cut."""
        cut, count = self.cut, len(self.ranked)
        kept, rejected = self.ranked[:cut], self.ranked[cut:]
        lines = [f"{count} photographs in the ranking, {len(kept)} kept and {len(rejected)} rejected", ""]
        lines.append(f"{'':<10}{'count':>10}{'lowest':>10}{'highest':>10}{'mean':>10}{'median':>10}")
        for name, part in (("kept", kept), ("rejected", rejected)):
            found = statistics(part)
            columns = [found[column] for column in ("min", "max", "mean", "median")]
            shown = "".join(f"{'-':>10}" if value is None else f"{value:>10.4f}" for value in columns)
            lines.append(f"{name:<10}{len(part):>10}{shown}")
        lines += ["", self._gap(kept, rejected)]
        lines += ["", "the 10 best kept", *self._lines(range(min(10, cut)))]
        lines += ["", "the 10 last kept", *self._lines(range(max(0, cut - 10), cut))]
        lines += ["", "around the cut", *self._lines(range(max(0, cut - 5), cut)), "        ---- cut ----"]
        lines += self._lines(range(cut, min(cut + 6, count)))
        return "\n".join(lines) + "\n"

    def curves(self) -> bytes:
        """PNG: the distribution, all scores by rank, and the 50 ranks around the cut."""
        label = "lighting score"
        is_kept = np.arange(len(self.ranked)) < self.cut
        first = max(0, self.cut - 25)
        near = self.ranked[first : self.cut + 25]
        return figure(
            [
                lambda axes: draw_histogram(axes, self.ranked, label, is_kept),
                lambda axes: draw_ranking(axes, self.ranked, self.cut, label),
                lambda axes: draw_ranking(axes, near, self.cut, label, first),
            ],
            f"{self.cut:,} of {len(self.ranked):,} photographs kept: all scores, by rank, and around the cut",
            panel=(5.5, 4.0),
        )

    def sheet(self, title: str, parts: Mapping[str, Sequence[int]], columns: int) -> bytes:
        """PNG of the photographs at some ranks, counted from 0: `parts` maps a heading to its ranks."""
        rows = [Row(heading, [self._picture(rank) for rank in ranks]) for heading, ranks in parts.items() if ranks]
        return photograph_sheet(title, rows, columns, _TILE)

    def _picture(self, rank: int) -> Picture:
        if rank not in self._tiles:
            row = self.rows[int(self.ranking[rank])]
            try:
                image = open_image(row, _TILE)
            except ImageError:  # it went away since it was scored; the others are worth showing all the same
                image = None
            self._tiles[rank] = Picture(image, f"{self.ranked[rank]:.4f}  {row['key']}")
        return self._tiles[rank]

    def _lines(self, ranks: range) -> list[str]:
        return [
            f"{rank + 1:>8}  {self.ranked[rank]:.4f}  {one_line(self.rows[int(self.ranking[rank])]['key'])}"
            for rank in ranks
        ]

    def _gap(self, kept: np.ndarray, rejected: np.ndarray) -> str:
        if not len(kept) or not len(rejected):
            return "nothing was rejected" if len(kept) else "nothing was kept"
        gap = float(kept[-1] - rejected[0])
        judgement = "; a small gap: those just below the cut are about as good" if gap < SMALL_GAP else ""
        return f"gap at the cut: {gap:.4f}, from {kept[-1]:.4f} to {rejected[0]:.4f}{judgement}"
