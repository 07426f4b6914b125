"""Histograms between round numbers, ready to be drawn: places and heights in percent."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

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


@dataclass(frozen=True)
class Spread:
    """Numbers about a measured quantity, with its histogram."""

    count: int
    mean: float
    median: float
    low: float  # 5th percentile
    high: float  # 95th percentile
    histogram: Histogram


def spread(values: Iterable[float]) -> Spread | None:
    """None where nothing was measured."""
    measured = np.asarray(values, dtype=np.float64)
    if not len(measured):
        return None
    low, median, high = np.percentile(measured, (5, 50, 95))
    return Spread(len(measured), float(measured.mean()), float(median), float(low), float(high), bars_of(measured))


def bars_of(values: np.ndarray, kept: np.ndarray | None = None, limits: tuple[float, float] | None = None) -> Histogram:
    """Bars of equal width between round numbers; `kept` are those of the values (a part of them) that are in colour.

    With `kept` fewer than the values there is a cut, at the lowest of them.
    """
    low, high = limits or (float(values.min()), float(values.max()))
    ticks = round_numbers(low, high)
    intervals = len(ticks) - 1
    wanted = min(max(4 * math.sqrt(len(values)), 12), 48)
    edges = np.linspace(ticks[0], ticks[-1], intervals * max(1, round(wanted / intervals)) + 1)
    # A value that lies beyond the last tick by a rounding error belongs to the last bar.
    everything = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    coloured = everything if kept is None else np.histogram(np.clip(kept, edges[0], edges[-1]), edges)[0]
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
        Bin(
            position * width,
            width,
            100 * count / highest,
            100 * count / highest,
            f"{low} to {high} K: {count:,}",
            colour,
        )
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
