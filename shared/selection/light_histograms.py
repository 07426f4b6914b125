"""Histograms of the light that was measured: what is kept of all that there is."""

from typing import TYPE_CHECKING

import numpy as np

from shared.light.direction import WORDS
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
        # By their words, as the report and the gallery count them, in the order of the angles.
        counts, own = _counts(np.minimum(light.direction, len(DIRECTIONS)), kept, len(DIRECTIONS) + 1)
        around = [DIRECTIONS.index(word) for word in WORDS]
        label = f"direction; {counts[DIRECTIONS.index('front')]:,} from the front, {counts[-1]:,} not told"
        draw_rose(axes, label, counts[around], own[around])

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
