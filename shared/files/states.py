"""What became of each item of a table, told from the names of the files in a step's folder."""

import numpy as np

from shared.files.records import Records
from shared.files.table import Table

OPEN, RECORDED, FAILED = 0, 1, 2


def item_states(table: Table, records: Records) -> np.ndarray:
    """OPEN, RECORDED or FAILED for every item of the table (uint8), from one listing of each folder."""
    state = np.zeros(len(table), np.uint8)
    order = np.argsort(table.hashes)
    for folder, value in ((records.failures, FAILED), (records.records, RECORDED)):
        names = records.name_hashes(folder)
        if len(names) and len(order):
            place = np.searchsorted(table.hashes, names, sorter=order)
            place = order[np.minimum(place, len(order) - 1)]
            state[place[table.hashes[place] == names]] = value
    return state
