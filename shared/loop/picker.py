"""Which items a worker takes next: its own shard from the front, then the others' from the back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.dataset import IndexedDataset
from shared.files.leases import AnyClaims
from shared.files.records import Records
from shared.files.states import OPEN, ItemStates, count_states
from shared.files.table import Table
from shared.seeding import name_hash

LOOK_AT_ONCE = 1 << 16  # items of the state array that are searched in one numpy call


@dataclass
class Block:
    """A claimed range of items, and those in it that are this worker's to do."""

    start: int
    stop: int
    items: list[tuple[int, dict]]
    left: int = 0  # items not settled yet; the claim is released at zero


class Picker:
    """The state of every item of the table, and the claims by which workers keep out of each other's way.

    Memory is one byte an item. The folders are listed once; after a claim of items that another worker may have had, the records
    are looked for once more.
    """

    def __init__(self, table: Table, records: Records, claims: AnyClaims, rank: int, world_size: int, alone: set[str]):
        self.table, self.records, self.claims = table, records, claims
        self.states = ItemStates(table, records)
        self.state = self.states.states
        shards = [IndexedDataset.shard(table, number, world_size) for number in range(world_size)]
        self.own = range(shards[rank].start, shards[rank].stop)
        order = [*shards[rank + 1 :], *shards[:rank]]
        self.workers = world_size
        self.others = [range(shard.start, shard.stop) for shard in order]
        self.alone = {self.index_of(key): key for key in alone}
        self.alone.pop(-1, None)
        self.restart()

    def restart(self) -> None:
        """Look from the beginning again: what others had claimed may be free."""
        self.front = self.own.start
        self.backs = [shard.stop for shard in self.others]

    def take(self, count: int) -> Block | None:
        """Claim up to `count` items; None when nothing is free at the moment."""
        while self.front < self.own.stop:
            first = self._first_open(self.front, self.own.stop, count)
            if not first:
                self.front = self.own.stop
                break
            self.front = first[-1] + 1
            block = self._claim(first[0], first[-1] + 1)
            if block:
                return block
        for number, shard in enumerate(self.others):
            while self.backs[number] > shard.start:
                # A share of what is left, ever smaller, so that all end together and not one with a full hand.
                left = self._count_open(shard.start, self.backs[number], 2 * self.workers * count)
                first = self._last_open(shard.start, self.backs[number], min(count, left // (2 * self.workers) + 1))
                if not first:
                    self.backs[number] = shard.start
                    break
                self.backs[number] = first[0]
                block = self._claim(first[0], first[-1] + 1)
                if block:
                    return block
        return None

    def take_alone(self) -> Iterator[Block]:
        """Claim, one at a time, the items that were in flight when workers died."""
        for index in sorted(self.alone):
            if self.state[index] == OPEN and self.claims.take(index, index + 1):
                item = self.table[index]
                self.claims.touch(index, index + 1)
                self.states.look_at_packs()
                if self.states.look_at_files(index, item) == OPEN:
                    yield Block(index, index + 1, [(index, item)], left=1)
                else:
                    self.claims.release(index, index + 1)

    def settle(self, index: int, state: int) -> None:
        self.state[index] = state

    def look_again(self) -> bool:
        """Look for what others have finished meanwhile; True when every item of the table is settled."""
        self.states.look_at_packs()
        if self.states.look_for_files():
            for index in np.flatnonzero(self.state == OPEN):
                self.states.look_at_files(int(index), self.table[int(index)])
        return bool((self.state != OPEN).all())

    def shard_counts(self) -> tuple[int, int, int]:
        """Open, recorded and failed items of the own shard."""
        return count_states(self.state[self.own.start : self.own.stop])

    def index_of(self, key: str) -> int:
        places = np.flatnonzero(self.table.hashes == np.uint64(name_hash(key)))
        return int(places[0]) if len(places) else -1

    def _claim(self, start: int, stop: int) -> Block | None:
        if not self.claims.take(start, stop):
            return None
        has_files = False
        if self.claims.touch(start, stop):
            self.states.look_at_packs()
            has_files = self.states.look_for_files()
        wanted = [index for index in (start + np.flatnonzero(self.state[start:stop] == OPEN)).tolist()
                  if index not in self.alone]  # fmt: skip
        items = []
        for index, item in zip(wanted, self.table.rows(wanted), strict=True):
            if not has_files or self.states.look_at_files(index, item) == OPEN:
                items.append((index, item))
        if not items:
            self.claims.release(start, stop)
            return None
        return Block(start, stop, items, left=len(items))

    def _count_open(self, start: int, stop: int, most: int) -> int:
        """How many are open, as far as `most`: to count more of millions would take longer than the work."""
        found = 0
        for high in range(stop, start, -LOOK_AT_ONCE):
            found += int(np.count_nonzero(self.state[max(start, high - LOOK_AT_ONCE) : high] == OPEN))
            if found >= most:
                break
        return found

    def _first_open(self, start: int, stop: int, count: int) -> list[int]:
        for low in range(start, stop, LOOK_AT_ONCE):
            places = np.flatnonzero(self.state[low : min(stop, low + LOOK_AT_ONCE)] == OPEN)
            if len(places):
                return near(low + places[:count], first=True, widest=self.claims.widest)
        return []

    def _last_open(self, start: int, stop: int, count: int) -> list[int]:
        for high in range(stop, start, -LOOK_AT_ONCE):
            low = max(start, high - LOOK_AT_ONCE)
            places = np.flatnonzero(self.state[low:high] == OPEN)
            if len(places):
                return near(low + places[-count:], first=False, widest=self.claims.widest)
        return []


def near(places: np.ndarray, first: bool, widest: int) -> list[int]:
    """Those of some places that lie within reach of the first, or of the last."""
    distance = places - places[0] if first else places[-1] - places
    return places[distance < widest].tolist()
