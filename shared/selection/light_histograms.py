"""Histograms of the light that was measured: what is kept of all that there is."""

from typing import TYPE_CHECKING

import numpy as np

from shared.selection.measured import DIRECTIONS, KEYS, MeasuredLight
from shared.selection.plots import Drawing, draw_bars, draw_histogram, draw_rose, figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def light_histograms(light: MeasuredLight, is_kept: np.ndarray) -> bytes:
    """PNG of six panels: azimuth, hardness, colour temperature, key, contrast and exposure; `is_kept`: (n,) bool."""
    measured = light.is_measured
    light, kept = MeasuredLight(*(column[measured] for column in light)), is_kept[measured]

    def of(values: np.ndarray, label: str) -> Drawing:
        known = ~np.isnan(values)
        return lambda axes: draw_histogram(axes, values[known], label, kept[known], 30, has_cut=False)

    def keys(axes: "Axes") -> None:
        draw_bars(axes, [f"{word} key" for word in KEYS], *_counts(light.key, kept, len(KEYS)))

    def rose(axes: "Axes") -> None:
        told = ~np.isnan(light.azimuth_degrees)
        front = int((light.direction == DIRECTIONS.index("front")).sum())
        words = f"azimuth; {front:,} from the front, {int((~told).sum()) - front:,} not told"
        eighths = np.rint(light.azimuth_degrees[told] / 45).astype(int) % 8
        draw_rose(axes, words, *_counts(eighths, kept[told], 8))

    drawings = [
        rose,
        of(light.hardness, "hardness, soft to hard"),
        of(light.cct_kelvin, "colour temperature in kelvin, warm to cool"),
        keys,
        of(light.contrast, "contrast in stops"),
        of(light.exposure_ev, "exposure in stops from middle grey"),
    ]
    title = f"The light in {int(kept.sum()):,} kept of {len(kept):,} photographs"
    return figure(drawings, title, panel=(5.5, 4.0), columns=3)


def _counts(places: np.ndarray, kept: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    return np.bincount(places, minlength=length), np.bincount(places[kept], minlength=length)
