"""Kinds of light, and a choice among scored photographs that keeps as many of them as there are."""

import numpy as np

from shared.selection.measured import DIRECTIONS, KEYS, MeasuredLight
from shared.selection.scoring.entropy import entropy_of_counts

HARDNESS_EDGES = (1 / 3, 2 / 3)  # soft, between, hard
KELVIN_EDGES = (4300, 7500)  # warm, neutral, cool
SHAPE = (len(DIRECTIONS) + 1, len(HARDNESS_EDGES) + 1, len(KELVIN_EDGES) + 1, len(KEYS))


def kinds_of(light: MeasuredLight) -> np.ndarray:
    """(n,) int16: direction (ten: the nine words, and not told) x hardness (3) x colour temperature (3) x key (3).

    Photographs without a measured light are of one more kind.
    """
    direction = np.minimum(light.direction, len(DIRECTIONS)).astype(np.int16)
    hardness = np.searchsorted(HARDNESS_EDGES, light.hardness, side="right")
    kelvin = np.searchsorted(KELVIN_EDGES, light.cct_kelvin, side="right")
    kinds = np.ravel_multi_index(
        (direction, np.minimum(hardness, 2), np.minimum(kelvin, 2), light.key % len(KEYS)), SHAPE
    )
    return np.where(light.is_measured, kinds, np.prod(SHAPE)).astype(np.int16)


def entropy(kinds: np.ndarray) -> float:
    """Shannon's, in bits, of how photographs (their (n,) kinds) spread over the kinds."""
    return entropy_of_counts(np.unique(kinds, return_counts=True)[1])


def choose_diverse(kinds: np.ndarray, count: int) -> np.ndarray:
    """Positions, ascending, of `count` photographs that are as varied as all are; kinds: (n,), best photograph first.

    In turns each kind gives its best photograph, then its next best; the rest is taken by rank alone. Each kind gives one at
    least, and so many are taken in turns that the entropy over the kinds is that of all photographs, and no more: rank
    counts as much as variety allows. Where `count` is too small for that entropy, all are taken in turns, and none can
    be more varied.
    """
    count = min(count, len(kinds))
    _, kind_of, sizes = np.unique(kinds, return_inverse=True, return_counts=True)
    wanted = entropy_of_counts(sizes) - 1e-9
    in_turns = np.argsort(_place_in_kind(kind_of, sizes), kind="stable")

    def chosen(turns: int) -> np.ndarray:
        is_chosen = np.zeros(len(kinds), dtype=bool)
        is_chosen[in_turns[:turns]] = True
        is_chosen[np.flatnonzero(~is_chosen)[: count - turns]] = True
        return np.flatnonzero(is_chosen)

    # Another turn takes one from a kind that has more to a kind that has fewer, which never lowers the entropy; so it can
    # be found by halving.
    least, most = min(len(sizes), count), count
    while least < most:
        middle = (least + most) // 2
        if entropy_of_counts(np.bincount(kind_of[chosen(middle)])) >= wanted:
            most = middle
        else:
            least = middle + 1
    return chosen(least)


def _place_in_kind(kind_of: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """For each photograph, how many of its kind come before it."""
    order = np.argsort(kind_of, kind="stable")
    starts = np.cumsum(sizes) - sizes
    place = np.empty(len(kind_of), dtype=np.int64)
    place[order] = np.arange(len(kind_of)) - np.repeat(starts, sizes)
    return place
