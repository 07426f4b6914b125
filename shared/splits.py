"""Assign items to train, val and test so that they stay where they are when others are added."""

import hashlib
from collections.abc import Sequence

import numpy as np

SPLITS = ("train", "val", "test")


def split_draw(seed: int, key: str) -> int:
    """A number in [0, 2**64) that depends on the seed and the item's key alone, and on no other item."""
    text = f"{seed}/split/{key}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def assign_by_ratios(draws: np.ndarray, groups: np.ndarray, ratios: Sequence[float]) -> np.ndarray:
    """Split n items in the given ratios (train, val, test; they need not sum to one).

    draws: (n,) uint64 of `split_draw`; groups: (n,) integers, items with the same one stay together.
    Returns (n,) int8, an index into SPLITS.

    The draws' range is cut into the three shares, train lowest, so that an item's split is a matter of its own
    draw. A group goes where its lowest draw falls: what is in train never leaves it because a duplicate arrives.

    A few items can leave a split empty by chance (twelve items miss a tenth of the range in 28 of 100 cases).
    A split that should have half an item or more and has none borrows the group whose draw lies nearest to its
    share from a split that keeps another. Later additions move such borrowed groups and no others, and only
    when the split has members of its own or a nearer one to borrow.
    """
    shares = np.asarray(ratios, dtype=np.float64) / float(sum(ratios))
    leaders, members = _leading_draws(draws, groups)
    position = leaders / 2.0**64
    edges = np.cumsum(shares)
    split = np.searchsorted(edges[:-1], position, side="right").astype(np.int8)
    # A draw just below 2**64 rounds to position 1.0, and a share of nothing must stay empty.
    split = np.minimum(split, np.flatnonzero(shares > 0).max()).astype(np.int8)
    for index, share in enumerate(shares):
        if share * len(draws) >= 0.5 and not (split == index).any():
            counts = np.bincount(split, minlength=len(shares))
            lenders = np.flatnonzero(counts[split] > 1)
            if len(lenders):
                low, high = edges[index] - share, edges[index]
                distance = np.maximum(low - position[lenders], position[lenders] - high)
                split[lenders[np.argmin(distance)]] = index
    return split[members]


def assign_by_counts(draws: np.ndarray, groups: np.ndarray, counts: Sequence[float]) -> np.ndarray:
    """Split n items into these counts (train, val, test), or into their proportions where n is not their sum; also ratios.

    Arguments and result as for `assign_by_ratios`. Groups are ranked by their lowest draw; from the highest down
    they fill test and then val, a group that does not fit being passed over, and train takes the others.
    """
    wanted = scaled_counts(counts, len(draws))
    leaders, members = _leading_draws(draws, groups)
    sizes = np.bincount(members, minlength=len(leaders))
    split = np.zeros(len(leaders), dtype=np.int8)
    ranking = np.argsort(leaders, kind="stable")[::-1]
    for index in (2, 1):
        room = wanted[index]
        for group in ranking:
            if room == 0:
                break
            if split[group] == 0 and sizes[group] <= room:
                split[group] = index
                room -= int(sizes[group])
    return split[members]


def lowest_draws(draws: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(n,) uint64: for each item the lowest draw in its group."""
    leaders, members = _leading_draws(draws, groups)
    return leaders[members]


def scaled_counts(counts: Sequence[float], total: int) -> list[int]:
    """The counts in proportion, with this sum; what rounding down leaves goes to the largest remainders."""
    exact = np.asarray(counts, dtype=np.float64) * total / sum(counts)
    whole = np.floor(exact).astype(int)
    # Rounding the remainder makes equal fractions tie, and ties go to train, then val.
    order = np.argsort(-np.round(exact - whole, 9), kind="stable")
    whole[order[: total - whole.sum()]] += 1
    return [int(count) for count in whole]


def _leading_draws(draws: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lowest draw of each group, and for each item the position of its group there."""
    names, members = np.unique(groups, return_inverse=True)
    leaders = np.full(len(names), np.iinfo(np.uint64).max, dtype=np.uint64)
    np.minimum.at(leaders, members, draws.astype(np.uint64))
    return leaders, members
