"""Rank scored photographs, best first, and say what their scores are like."""

from collections.abc import Callable

import numpy as np


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
