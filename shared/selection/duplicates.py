"""Find photographs that are the same picture twice, re-encoded, resized, re-exposed or mirrored."""

from collections.abc import Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from shared.selection.scoring.hashes import MIRROR_FLIPS

MAX_DISTANCE = 8  # bits of pHash; finds re-encoded, resized and re-exposed copies, and crops of a few per cent
MAX_FINE_DISTANCE = 12  # bits of the fine hash: 32 lie between two pictures by chance, 10 at most between most copies
Pairs = Iterator[tuple[np.ndarray, np.ndarray]]

# Three bands of the 64 bits: if two hashes differ in at most 8 bits, they differ in at most 2 of one of the
# bands (3 + 3 + 3 > 8), so looking up each band with up to two bits flipped finds every pair
# (multi-index hashing: Norouzi, Punjani and Fleet, "Fast search in Hamming space", 2012, section 3).
_BANDS = ((0, 22), (22, 21), (43, 21))
_FLIPPED_BITS = 2
_QUERIES_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 1 << 21


def near_duplicate_groups(hashes: np.ndarray, mirrored: np.ndarray, fine: np.ndarray) -> np.ndarray:
    """Group items that are near to another, as they are or mirrored, by both of their hashes.

    hashes, mirrored: (n,) uint64, the pHash (Zauner, 2010) of each photograph and of its mirror image, within
    MAX_DISTANCE bits; fine: (n,) uint64 of `fine_hash`, within MAX_FINE_DISTANCE, which keeps two portraits on the same
    plain ground apart. Returns (n,) int64: the lowest index in the item's group, its own where it has no duplicate.
    Groups are connected components: a copy of a copy belongs. Time grows about linearly as long as most pictures are
    unlike (a million take half a minute), and memory stays near 250 bytes an item.
    """
    count = len(hashes)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    # Equal pictures are one entry, so ten thousand copies of one file cost as much as one.
    coarse, fine, entry_of_item = _distinct(hashes, fine)
    mirrors, owners, _ = _distinct(mirrored, entry_of_item.astype(np.uint64))
    owners = owners.astype(np.int64)
    entries = _Pictures(coarse, fine, np.arange(len(coarse)))
    queries = _Pictures(
        np.concatenate([coarse, mirrors]),
        np.concatenate([fine, fine[owners] ^ MIRROR_FLIPS]),
        np.concatenate([entries.entry, owners]),
    )
    labels = _join(entries.entry, _near_pairs(queries, entries))
    _, group_of_item = np.unique(labels[entry_of_item], return_inverse=True)
    first_of_group = np.full(count, count, dtype=np.int64)
    np.minimum.at(first_of_group, group_of_item, np.arange(count))
    return first_of_group[group_of_item]


class _Pictures(NamedTuple):
    coarse: np.ndarray  # uint64, pHash
    fine: np.ndarray  # uint64
    entry: np.ndarray  # int64: which entry it is, or is the mirror image of


def _distinct(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The different pairs of two (n,) uint64, as two arrays, and for each of the n the position of its pair there."""
    order = np.lexsort((other, one))
    one, other = one[order], other[order]
    is_new = np.ones(len(one), dtype=bool)
    is_new[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    position = np.empty(len(one), dtype=np.int64)
    position[order] = np.cumsum(is_new) - 1
    return one[is_new], other[is_new], position


def _join(labels: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Labels of the connected components after joining each pair of entries."""
    waiting: list[tuple[np.ndarray, np.ndarray]] = []
    size = 0
    for first, second in pairs:
        differ = labels[first] != labels[second]
        waiting.append((first[differ], second[differ]))
        size += int(differ.sum())
        if size > _PAIRS_AT_ONCE:
            labels, waiting, size = _components(labels, waiting), [], 0
    return _components(labels, waiting) if size else labels


def _components(labels: np.ndarray, edges: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    first = labels[np.concatenate([edge[0] for edge in edges])]
    second = labels[np.concatenate([edge[1] for edge in edges])]
    shape = (len(labels), len(labels))
    graph = coo_matrix((np.ones(len(first), dtype=bool), (first, second)), shape=shape)
    component: np.ndarray = connected_components(graph, directed=False)[1]
    return component[labels]


def _near_pairs(queries: _Pictures, entries: _Pictures) -> Pairs:
    """Pairs (entry of the query, entry) that are near by both hashes, in bounded parts.

    A pair comes as often as bands and probes find it.
    """
    for shift, width in _BANDS:
        bucket_of_entry = _band(entries.coarse, shift, width)
        by_bucket = np.argsort(bucket_of_entry, kind="stable")
        sizes = np.bincount(bucket_of_entry, minlength=1 << width)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        for begin in range(0, len(queries.coarse), _QUERIES_AT_ONCE):
            part = _Pictures(*(column[begin : begin + _QUERIES_AT_ONCE] for column in queries))
            bucket_of_query = _band(part.coarse, shift, width)
            for probe in _probes(width):
                bucket = bucket_of_query ^ probe
                filled = np.flatnonzero(sizes[bucket])
                bucket = bucket[filled]
                for query, slot in _spread(filled, starts[bucket], sizes[bucket]):
                    entry = by_bucket[slot]
                    near = np.bitwise_count(part.coarse[query] ^ entries.coarse[entry]) <= MAX_DISTANCE
                    query, entry = query[near], entry[near]
                    near = np.bitwise_count(part.fine[query] ^ entries.fine[entry]) <= MAX_FINE_DISTANCE
                    if near.any():
                        yield part.entry[query[near]], entry[near]


def _band(hashes: np.ndarray, shift: int, width: int) -> np.ndarray:
    return ((hashes >> np.uint64(shift)) & np.uint64((1 << width) - 1)).astype(np.int64)


def _probes(width: int) -> list[int]:
    """Every number of this many bits with at most _FLIPPED_BITS of them set."""
    return [
        sum(1 << bit for bit in bits)
        for flipped in range(_FLIPPED_BITS + 1)
        for bits in combinations(range(width), flipped)
    ]


def _spread(names: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> Pairs:
    """Pair each name with the slots from its start on, as many as its size; about _PAIRS_AT_ONCE together."""
    ends = np.cumsum(sizes)
    begin = 0
    while begin < len(names):
        before = ends[begin - 1] if begin else 0
        stop = max(begin + 1, int(np.searchsorted(ends, before + _PAIRS_AT_ONCE, side="right")))
        part = slice(begin, stop)
        counts = sizes[part]
        first_slots = starts[part] - (ends[part] - counts - before)
        slots = np.repeat(first_slots, counts) + np.arange(ends[stop - 1] - before)
        yield np.repeat(names[part], counts), slots
        begin = stop
