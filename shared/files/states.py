"""What became of each item of a table, told from the names of the files in a step's folder and the indexes of its packs."""

from collections.abc import Iterable

import numpy as np

from shared.files.json_files import name_hashes
from shared.files.pack import Lines, PackReader
from shared.files.records import Records
from shared.files.table import Table

OPEN, RECORDED, FAILED = 0, 1, 2


def item_states(table: Table, records: Records) -> np.ndarray:
    """OPEN, RECORDED or FAILED for every item of the table (uint8), from one listing of each folder."""
    return ItemStates(table, records).states


def count_states(states: np.ndarray) -> tuple[int, int, int]:
    """How many are open, recorded and failed. Takes a byte of memory for each, however many there are."""
    recorded, failed = (int(np.count_nonzero(states == state)) for state in (RECORDED, FAILED))
    return len(states) - recorded - failed, recorded, failed


class ItemStates:
    """The state of every item of a table, `states` (uint8), as it was when this was made, and on request as it is now."""

    def __init__(self, table: Table, records: Records):
        self.table, self.records = table, records
        self.states = np.zeros(len(table), np.uint8)
        self._failed, self._recorded = PackReader(records.packed_failures), PackReader(records.packed)
        for folder, state in ((records.failures, FAILED), (records.records, RECORDED)):
            self._set(name_hashes(folder), state)
        self.look_at_packs()

    def look_at_packs(self) -> None:
        """Take note of the lines that have come since."""
        for reader, state in ((self._failed, FAILED), (self._recorded, RECORDED)):
            self._set_lines(reader.new(), state)

    def look_for_files(self) -> bool:
        """Whether any item may have a file of its own, see look_at_files(): where all is packed there are no folders for them."""
        return self.records.records.exists() or self.records.failures.exists()

    def look_at_files(self, index: int, item: dict) -> int:
        """Whether one item has a file of its own by now; returns its state."""
        if self.records.has_record_file(item["key"]):
            self.states[index] = RECORDED
        elif self.records.has_failure_file(item["key"]):
            self.states[index] = FAILED
        return int(self.states[index])

    def _set_lines(self, new: Iterable[Lines], state: int) -> None:
        """The lines of a pack know their rows; where the table is another one by now their hashes tell."""
        others = []
        for lines in new:
            rows = np.minimum(lines.entries["row"], max(len(self.table) - 1, 0))
            hashes = lines.entries["hash"]
            is_known = self.table.hashes[rows] == hashes if len(self.table) else np.zeros(len(hashes), bool)
            self._set_rows(rows[is_known], state)
            others.append(hashes[~is_known & (hashes != 0)])
        self._set(np.concatenate([np.zeros(0, np.uint64), *others]), state)

    def _set(self, hashes: np.ndarray, state: int) -> None:
        if len(hashes) and len(self.table):
            order = np.argsort(self.table.hashes)
            hashes = np.sort(hashes)
            place = np.searchsorted(self.table.hashes, hashes, sorter=order)
            place = order[np.minimum(place, len(order) - 1)]
            self._set_rows(place[self.table.hashes[place] == hashes], state)

    def _set_rows(self, rows: np.ndarray, state: int) -> None:
        """A record counts more than a failure."""
        self.states[rows if state == RECORDED else rows[self.states[rows] != RECORDED]] = state
