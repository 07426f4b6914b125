"""Records that are lines of packs made into JSON files, one for each item."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import orjson

from shared.errors import RunError, disk_error
from shared.files.crashes import remove_parts
from shared.files.names import file_name
from shared.files.pack import lines_of_file
from shared.files.pack_writer import remove_file
from shared.files.placer import Placer
from shared.files.records import JSON_OPTIONS
from shared.files.small_files import write_synced
from shared.run.run import Run, Step

FILES_TOGETHER = 1024  # files that are made durable together
THREADS = 8


def unpack_run(run: Run, selector: str | None, say: Callable[[str], None]) -> int:
    """Of all steps, or of the one named so. Killed on the way it goes on where it was. Raises RunError, DiskError."""
    for step in [run.find(selector)] if selector else run.steps:
        if not step.worker.has_records or not step.folder.is_dir():
            continue
        if step.is_alive():
            raise RunError(f"{step.label} is being worked on; stop that run first, then unpack")
        count = unpack_step(step)
        if count:
            say(f"{step.label}: {count} records and failures are files now, in {step.records.records.parent}")
        else:
            say(f"{step.label}: nothing is packed")
    return 0


def unpack_step(step: Step) -> int:
    """Returns how many files were written; each pack goes when all of its lines are files."""
    records, count = step.records, 0
    parts = step.parts / "unpack"
    parts.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="unpack") as pool:
        placer = Placer(step.folder, pool)
        for pack, folder in (
            (records.packed, records.records),
            (records.packed_failures, records.failures),
            (records.packed_retries, records.retries),
        ):
            try:
                for path in pack.files():
                    lines = lines_of_file(path)
                    while group := list(islice(lines, FILES_TOGETHER)):
                        written = pool.map(write_part, group, (parts / str(number) for number in range(len(group))))
                        placed = [(part, folder / name) for part, name in written if name]
                        placer.place(placed)
                        count += len(placed)
                    remove_file(path)
            except OSError as error:
                raise disk_error(error, step.folder) from error
    shutil.rmtree(records.packed.folder.parent, ignore_errors=True)
    remove_parts(parts)
    return count


def write_part(line: bytes, part: Path) -> tuple[Path, str]:
    """Returns the part, and the name that its file is to have; of a line that is not whole none, its item is done again."""
    try:
        record = orjson.loads(line)
        name = file_name(record["key"], ".json")
    except (ValueError, KeyError, TypeError, AttributeError):
        return part, ""
    write_synced(part, orjson.dumps(record, option=JSON_OPTIONS))
    return part, name
