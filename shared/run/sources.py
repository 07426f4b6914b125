"""Which file each item is made of, so that a photograph that was replaced under its name is noticed and done anew."""

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np

from shared.errors import ImageError
from shared.far.addresses import is_far
from shared.files.part_file import PartFile
from shared.files.table import Table
from shared.images import place_of, read_bytes
from shared.run.run import Run
from shared.seeding import name_hash

FILE_OF_ITEM = np.dtype([("key", "<u8"), ("place", "<u8"), ("bytes", "<i8"), ("time", "<i8")])
FILES_AT_ONCE = 4096
MOST_LOOKED_AT = 1_000_000  # items
NAMED = 5  # of the photographs that were replaced, in the launcher's line


def redo_replaced(run: Run, say: Callable[[str], None]) -> None:
    """Take away the records of items whose photograph is no longer the one they were made of, in all steps.

    Told by size, time and place, from one look at each file; where only the time or the place differs, by the checksum
    that the records have. Nothing is touched while any worker lives: the next launch looks again. Of more than MOST_LOOKED_AT
    items nothing is looked for, which takes a minute for ten million on a local disk and an hour on many others.
    """
    if any(step.is_alive() for step in run.steps):
        return
    table = Table(run.input.result_path)
    if len(table) > MOST_LOOKED_AT:
        if any(step.worker.has_records and step.records.has_any() for step in run.steps):
            say(f"{len(table):,} photographs: whether some were replaced is not looked at; ./launcher.sh verify does")
        return
    before = read_files(run.input.sources_path)
    with PartFile(run.input.sources_path) as part:
        for block in files_now(table):
            part.file.write(block.tobytes())
        part.sync()
        now = read_files(part.part)
        replaced = [item for row in may_be_replaced(before, now) if is_replaced(run, item := table[int(row)])]
        for step in reversed(run.steps):
            if step.worker.has_records:
                step.records.forget([item["key"] for item in replaced])
        part.replace()  # last, so that a kill on the way is made up for
    if replaced:
        names = ", ".join(item["key"] for item in replaced[:NAMED]) + (" ..." if len(replaced) > NAMED else "")
        say(f"{len(replaced)} photographs were replaced since their records were made, and are done anew: {names}")


def files_now(table: Table) -> Iterator[np.ndarray]:
    """The files of a table's items as they are now, some thousand rows at a time."""
    container = lru_cache(maxsize=16)(file_at)  # which many items share
    items = iter(table)
    for start in range(0, len(table), FILES_AT_ONCE):
        some = list(islice(items, FILES_AT_ONCE))
        places = [place_of(item) for item in some]
        looks = [container if item.get("image_member") else file_at for item in some]
        block = np.empty(len(some), FILE_OF_ITEM)
        block["key"] = table.hashes[start : start + len(some)]
        block["place"] = [name_hash(f"{path}\0{member}") for path, member in places]
        found = [look(path) for look, (path, _) in zip(looks, places, strict=True)]
        block["bytes"], block["time"] = np.array(found, np.int64).T
        yield block


def file_at(path: str) -> tuple[int, int]:
    """Its bytes, and when it was changed last (ns); -1 for both where there is none, or it is far away and was not asked for."""
    if is_far(path):
        return -1, -1
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return -1, -1
    return status.st_size, status.st_mtime_ns


def read_files(path: Path) -> np.ndarray:
    """(rows) of FILE_OF_ITEM, memory-mapped; none where nothing was noted, or not whole."""
    try:
        return np.memmap(path, FILE_OF_ITEM, mode="r").view(np.ndarray)
    except (OSError, ValueError):
        return np.empty(0, FILE_OF_ITEM)


def may_be_replaced(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """The rows of `now` whose item was there before, of another file. One that is gone is no other one."""
    if not len(before) or not len(now):
        return np.empty(0, np.intp)
    old = before
    if not np.array_equal(before["key"], now["key"]):
        order = np.argsort(before["key"])
        place = np.searchsorted(before["key"], now["key"], sorter=order)
        old = before[order[np.minimum(place, len(before) - 1)]]
    is_known = (old["key"] == now["key"]) & (old["bytes"] >= 0) & (now["bytes"] >= 0)
    differs = (old["place"] != now["place"]) | (old["bytes"] != now["bytes"]) | (old["time"] != now["time"])
    return np.flatnonzero(is_known & differs)


def is_replaced(run: Run, item: dict) -> bool:
    """Whether a record of the item was made of other bytes than its photograph has now."""
    sources = sources_of(run, item["key"])
    if not sources:
        return any(step.worker.has_records and step.records.is_settled(item["key"]) for step in run.steps)
    return any(is_other_content(source, item) for source in sources)


def is_other_file(source: dict, item: dict) -> bool:
    """Whether an item's photograph is no longer the file that a record states; one that is gone is no other one."""
    size, time = file_at(place_of(item)[0])
    if size < 0 or time == source["time"]:
        return False
    return (not item.get("image_member") and size != source["bytes"]) or is_other_content(source, item)


def is_other_content(source: dict, item: dict) -> bool:
    try:
        return hashlib.sha256(read_bytes(item)).hexdigest() != source["sha256"]
    except ImageError:
        return True


def find_replaced(run: Run) -> Iterator[str]:
    """The keys of the items whose photograph was replaced since a record of theirs was made; reads every record."""
    for item in Table(run.input.result_path):
        if any(is_other_file(source, item) for source in sources_of(run, item["key"])):
            yield item["key"]


def sources_of(run: Run, key: str) -> list[dict]:
    """What the records of an item say of the photograph that they were made of.

    Steps behind one that gave the item another image_path, as that of a smaller copy, were made of that.
    """
    found = []
    for step in run.steps:
        if not step.worker.has_records:
            continue
        try:
            record = step.records.read(key)
        except (OSError, ValueError):
            continue
        if record.get("source"):
            found.append(record["source"])
        if "image_path" in record:
            break
    return found
