"""Find photographs that are the same picture twice, re-encoded, resized, re-exposed or mirrored."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np

MAX_DISTANCE = 8  # bits; finds re-encoded, resized and re-exposed copies, and crops of a few per cent
Pairs = Iterator[tuple[np.ndarray, np.ndarray]]

# Three bands of the 64 bits: if two hashes differ in at most 8 bits, they differ in at most 2 of one of the
# bands (3 + 3 + 3 > 8), so looking up each band with up to two bits flipped finds every pair
# (multi-index hashing: Norouzi, Punjani and Fleet, "Fast search in Hamming space", 2012, section 3).
_BANDS = ((0, 22), (22, 21), (43, 21))
_FLIPPED_BITS = 2
_QUERIES_AT_ONCE = 1 << 18
_PAIRS_AT_ONCE = 1 << 21


def near_duplicate_groups(hashes: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Group items whose pHash (Zauner, 2010) is within MAX_DISTANCE bits of another's, as it is or mirrored.

    hashes, mirrored: (n,) uint64, the pHash of each photograph and of its mirror image. Returns (n,) int64:
    the lowest index in the item's group, its own where it has no duplicate. Groups are connected components:
    a copy of a copy belongs. Time grows about linearly as long as most pictures are unlike (a million take
    half a minute), and memory stays near 200 bytes an item.
    """
    count = len(hashes)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    # Equal hashes are one entry, so ten thousand copies of one picture cost as much as one.
    entries, entry_of_item = np.unique(np.asarray(hashes, dtype=np.uint64), return_inverse=True)
    mirrors, owners = _distinct_pairs(np.asarray(mirrored, dtype=np.uint64), entry_of_item)
    queries = np.concatenate([entries, mirrors])
    owners = np.concatenate([np.arange(len(entries)), owners])
    labels = _join(np.arange(len(entries)), _near_pairs(queries, owners, entries))
    _, group_of_item = np.unique(labels[entry_of_item], return_inverse=True)
    first_of_group = np.full(count, count, dtype=np.int64)
    np.minimum.at(first_of_group, group_of_item, np.arange(count))
    return first_of_group[group_of_item]


def _distinct_pairs(values: np.ndarray, owners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different (value, owner) pairs."""
    order = np.lexsort((values, owners))
    values, owners = values[order], owners[order]
    is_new = np.ones(len(values), dtype=bool)
    is_new[1:] = (values[1:] != values[:-1]) | (owners[1:] != owners[:-1])
    return values[is_new], owners[is_new]


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


def _near_pairs(queries: np.ndarray, owners: np.ndarray, entries: np.ndarray) -> Pairs:
    """Pairs (owner of the query, index of the entry) at most MAX_DISTANCE bits apart, in bounded parts.

    A pair comes as often as bands and probes find it.
    """
    for shift, width in _BANDS:
        bucket_of_entry = _band(entries, shift, width)
        by_bucket = np.argsort(bucket_of_entry, kind="stable")
        sizes = np.bincount(bucket_of_entry, minlength=1 << width)
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        for begin in range(0, len(queries), _QUERIES_AT_ONCE):
            part = slice(begin, begin + _QUERIES_AT_ONCE)
            bucket_of_query = _band(queries[part], shift, width)
            for probe in _probes(width):
                bucket = bucket_of_query ^ probe
                filled = np.flatnonzero(sizes[bucket])
                bucket = bucket[filled]
                for query, slot in _spread(filled, starts[bucket], sizes[bucket]):
                    entry = by_bucket[slot]
                    distance = np.bitwise_count(queries[part][query] ^ entries[entry])
                    near = distance <= MAX_DISTANCE
                    if near.any():
                        yield owners[part][query[near]], entry[near]


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
