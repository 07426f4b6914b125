"""What a run's rows are like as a whole: one pass over the table, then bars."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from shared.splits import SPLITS
from shared.table import name_hash

MOST_PHRASES = 200_000  # different ones that are counted at once; beyond, the rare ones are let go
SHOWN_PHRASES = 24
KELVIN_BANDS = (  # edges as photographers know them, and about the colour that such light has beside daylight
    (1800, 2500, "#ff9a3c"),
    (2500, 3200, "#ffae5e"),
    (3200, 4000, "#ffc68a"),
    (4000, 5000, "#ffdcb8"),
    (5000, 5800, "#f6e7d3"),
    (5800, 6500, "#e6e6ea"),
    (6500, 8000, "#c9d8f5"),
    (8000, 10000, "#a9c4f7"),
    (10000, 15000, "#86acf5"),
)


class Bin(NamedTuple):
    """A bar of a histogram: `left` and `width` in percent of the axis, heights in percent of the highest bar."""

    left: float
    width: float
    height: float
    kept_height: float
    title: str
    colour: str | None = None


class Tick(NamedTuple):
    left: float
    label: str


class Histogram(NamedTuple):
    bins: list[Bin]
    ticks: list[Tick]
    highest: int  # items in the highest bar
    cut: Tick | None = None


class Spread(NamedTuple):
    """Numbers about a measured quantity, with its histogram."""

    count: int
    mean: float
    median: float
    low: float  # 5th percentile
    high: float  # 95th percentile
    histogram: Histogram


class Share(NamedTuple):
    label: str
    count: int
    percent: float  # of all
    height: float  # percent of the most frequent


class Profile:
    """One pass over the rows: 9 bytes a row for each quantity, and counts."""

    def __init__(self, rows: Iterable[dict]):
        self.scores, self.splits = array("d"), array("b")
        self.psnr, self.ssim, self.kelvin, self.hardness = array("d"), array("d"), array("d"), array("d")
        self.directions: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.phrases: Counter[str] = Counter()
        self.wordings = array("Q")
        for row in rows:
            self.add(row)

    def add(self, row: dict) -> None:
        self.scores.append(number(row.get("lighting_score")))
        self.splits.append(SPLITS.index(row["split"]) if row.get("split") in SPLITS else -1)
        for values, value in ((self.psnr, row.get("psnr")), (self.ssim, row.get("ssim"))):
            if not math.isnan(number(value)):
                values.append(number(value))
        light = row.get("light")
        if isinstance(light, dict):
            self.directions[light.get("direction") or "not told"] += 1
            self.keys[str(light.get("key"))] += 1
            for values, value in ((self.kelvin, light.get("cct_kelvin")), (self.hardness, light.get("hardness"))):
                if not math.isnan(number(value)):
                    values.append(number(value))
        keywords = row.get("lighting_keywords")
        if isinstance(keywords, str) and keywords.strip():
            self.wordings.append(name_hash(keywords))
            self.phrases.update(phrase for part in keywords.split(",") if (phrase := " ".join(part.split())[:80]))
            if len(self.phrases) > MOST_PHRASES:
                self.phrases = Counter(dict(self.phrases.most_common(MOST_PHRASES // 2)))

    @property
    def split_counts(self) -> dict[str, int]:
        counts = np.bincount(np.frombuffer(self.splits, np.int8) + 1, minlength=4) if self.splits else np.zeros(4)
        return dict(zip(SPLITS, map(int, counts[1:]), strict=True))

    @property
    def different_wordings(self) -> int:
        return len(np.unique(np.frombuffer(self.wordings, np.uint64))) if self.wordings else 0

    def frequent_phrases(self) -> list[Share]:
        """The most frequent ones; equal counts by the alphabet, so that the order says nothing about the machine."""
        ranked = sorted(self.phrases.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_PHRASES]
        return shares(dict(ranked), len(self.wordings))


def number(value: object) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]


def shares(counts: dict[str, int], total: int) -> list[Share]:
    highest = max(counts.values(), default=0)
    return [Share(label, count, 100 * count / max(total, 1), 100 * count / highest) for label, count in counts.items()]


def spread(values: Iterable[float]) -> Spread | None:
    """None where nothing was measured."""
    measured = np.asarray(values, dtype=np.float64)
    if not len(measured):
        return None
    low, median, high = np.percentile(measured, (5, 50, 95))
    return Spread(len(measured), float(measured.mean()), float(median), float(low), float(high), histogram(measured))


def histogram(values: np.ndarray, kept: np.ndarray | None = None, limits: tuple[float, float] | None = None) -> Histogram:
    """Bars of equal width between round numbers; `kept` are those of the values (a part of them) that are in colour.

    With `kept` fewer than the values there is a cut, at the lowest of them.
    """
    low, high = limits or (float(values.min()), float(values.max()))
    ticks = round_numbers(low, high)
    intervals = len(ticks) - 1
    wanted = min(max(4 * math.sqrt(len(values)), 12), 48)
    edges = np.linspace(ticks[0], ticks[-1], intervals * max(1, round(wanted / intervals)) + 1)
    everything = np.histogram(values, edges)[0]
    coloured = everything if kept is None else np.histogram(kept, edges)[0]
    highest, width = int(everything.max()), 100 / len(everything)
    digits = max(0, 2 - math.floor(math.log10(edges[1] - edges[0])) - 1)
    bins = [
        Bin(
            position * width,
            width,
            100 * count / highest,
            100 * min(chosen, count) / highest,
            f"{edges[position]:.{digits}f} to {edges[position + 1]:.{digits}f}: {count:,}"
            + ("" if kept is None else f", {chosen:,} kept"),
        )
        for position, (count, chosen) in enumerate(zip(everything.tolist(), coloured.tolist(), strict=True))
    ]

    def place(value: float) -> float:
        return 100 * (value - ticks[0]) / (ticks[-1] - ticks[0])

    cut = None
    if kept is not None and 0 < len(kept) < len(values):
        cut = Tick(place(float(kept.min())), f"{kept.min():.4g}")
    return Histogram(bins, [Tick(place(tick), f"{tick:.6g}") for tick in ticks], highest, cut)


def kelvin_histogram(values: Iterable[float]) -> Histogram:
    """Bars over the bands of colour temperature, in their colours."""
    edges = [low for low, _, _ in KELVIN_BANDS[1:]]
    placed = np.searchsorted(edges, np.asarray(values, dtype=np.float64), side="right")
    counts = np.bincount(placed, minlength=len(KELVIN_BANDS)).tolist()
    highest, width = max(counts), 100 / len(counts)
    bins = [
        Bin(position * width, width, 100 * count / highest, 100 * count / highest, f"{low} to {high} K: {count:,}", colour)
        for position, (count, (low, high, colour)) in enumerate(zip(counts, KELVIN_BANDS, strict=True))
    ]
    ticks = [Tick((position + 1) * width, str(edge)) for position, edge in enumerate(edges) if position % 2 == 0]
    return Histogram(bins, ticks, highest)


def round_numbers(low: float, high: float) -> list[float]:
    """Three to eight round numbers, evenly spaced, the first at or below `low` and the last at or above `high`."""
    if high - low < 1e-9:
        room = max(abs(low) * 0.05, 0.05)
        low, high = low - room, high + room
    size = 10 ** math.floor(math.log10((high - low) / 4))
    step = next(size * factor for factor in (1, 2, 2.5, 5, 10, 20) if (high - low) / (size * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(position * step, 12) for position in range(first, max(last, first + 1) + 1)]
