"""What every so many ranks add: where the scores fall off, and what the light and the photographs are like there."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from shared.selection.measured import KEYS, Measured

if TYPE_CHECKING:
    from shared.selection.cut import Cut

INTERVAL_COLUMNS = (
    "first_rank", "last_rank", "photographs", "kept", "highest_score", "lowest_score", "mean_score", "direction_told",
    "mean_hardness", "mean_cct_kelvin", "low_key", "mid_key", "high_key", "mean_contrast", "mean_exposure_ev",
)  # fmt: skip
MOST_SHOWN = 20  # intervals in the picture
PHOTOGRAPHS = 5  # of each


def length_of(count: int, wanted: int | None) -> int:
    """Ranks in an interval: as wanted, else a tenth of all."""
    return wanted or max(1, -(-count // 10))


def intervals(measured: Measured, ranking: np.ndarray, is_kept: np.ndarray, length: int) -> Iterator[dict]:
    """A row of numbers for each `length` ranks; `is_kept`: (n,) bool, of all rows. Shares are from 0 to 1."""
    for first in range(0, len(ranking), length):
        rows = ranking[first : first + length]
        scores, light = measured.scores[rows], type(measured.light)(*(column[rows] for column in measured.light))
        told = light.is_measured
        numbers = {
            "highest_score": scores.max(),
            "lowest_score": scores.min(),
            "mean_score": scores.mean(),
            "direction_told": _mean(light.direction[told] < 255),
            "mean_hardness": _mean(light.hardness[told]),
            "mean_cct_kelvin": _mean(light.cct_kelvin[told]),
            **{f"{word}_key": _mean(light.key[told] == place) for place, word in enumerate(KEYS)},
            "mean_contrast": _mean(light.contrast[told]),
            "mean_exposure_ev": _mean(light.exposure_ev[told]),
        }
        yield {
            "first_rank": first + 1,
            "last_rank": first + len(rows),
            "photographs": len(rows),
            "kept": int(is_kept[rows].sum()),
            **{name: None if value is None else round(float(value), 4) for name, value in numbers.items()},
        }


def interval_sheet(verification: "Cut", length: int) -> bytes:
    """PNG of some photographs of each interval, evenly from its first rank to its last."""
    count = len(verification.ranking)
    starts = np.arange(0, count, length)
    shown = starts[np.unique(np.linspace(0, max(0, len(starts) - 1), min(MOST_SHOWN, len(starts))).astype(int))]
    parts = {}
    for first in shown.tolist():
        last = min(first + length, count) - 1
        ranks = np.unique(np.linspace(first, last, min(PHOTOGRAPHS, last - first + 1)).astype(int)).tolist()
        scores = f"{verification.ranked[first]:.4f} to {verification.ranked[last]:.4f}"
        parts[f"ranks {first + 1:,} to {last + 1:,}: scores {scores}"] = ranks
    return verification.sheet(f"Some of every {length:,} ranks", parts, PHOTOGRAPHS)


def _mean(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean(dtype=np.float64)) if len(known) else None
