"""In which form could a worker append durable records: python -m tests.benchmarks.record_forms [items]"""

import argparse
import hashlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson

from shared.files.pack import NO_ROW, Pack
from shared.files.pack_lookup import Lookup
from shared.files.pack_writer import Line, PackWriter
from shared.files.part_file import sync_folder
from shared.seeding import name_hash
from tests.benchmarks.coordination import write_durably
from tests.benchmarks.machine import heading, table

GROUP = 256  # records that are made durable together


def record(number: int) -> dict:
    sha256 = hashlib.sha256(b"%d" % number).hexdigest()
    return {
        "key": f"part{number // 10000:03d}/{number:08d}.jpg",
        "bytes": 1000,
        "sha256": sha256,
        "fingerprint": "0" * 16,
    }


def groups(count: int) -> Iterator[list[dict]]:
    for start in range(0, count, GROUP):
        yield [record(number) for number in range(start, min(count, start + GROUP))]


def as_files(folder: Path, made: list[list[dict]]) -> None:
    for group in made:
        for one in group:
            write_durably(folder, one["key"].replace("/", "-"), orjson.dumps(one))


def as_lines(folder: Path, made: list[list[dict]]) -> None:
    writer = PackWriter(Pack(folder / "records", folder), "0")
    for group in made:
        writer.append(
            [Line(name_hash(one["key"]), NO_ROW, orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE)) for one in group]
        )
    writer.close()


def as_arrow(folder: Path, made: list[list[dict]]) -> None:
    import pyarrow as pa

    schema = pa.Table.from_pylist(made[0]).schema
    with open(folder / "0.arrows", "wb") as file, pa.ipc.new_stream(file, schema) as stream:
        for group in made:
            stream.write_table(pa.Table.from_pylist(group, schema))
            file.flush()
            os.fdatasync(file.fileno())


def as_parquet(folder: Path, made: list[list[dict]]) -> None:
    """A file a group: one that has no end yet cannot be read."""
    import pyarrow as pa
    from pyarrow import parquet

    for number, group in enumerate(made):
        with open(folder / f"{number}.part", "wb") as file:
            parquet.write_table(pa.Table.from_pylist(group), file)
            file.flush()
            os.fdatasync(file.fileno())
        os.replace(folder / f"{number}.part", folder / f"{number}.parquet")
        sync_folder(folder)


def as_database(folder: Path, made: list[list[dict]]) -> None:
    database = sqlite3.connect(folder / "records.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE records (key TEXT PRIMARY KEY, record BLOB) WITHOUT ROWID")
    for group in made:
        database.execute("BEGIN")
        database.executemany("INSERT INTO records VALUES (?, ?)", [(one["key"], orjson.dumps(one)) for one in group])
        database.execute("COMMIT")
    database.close()


def keys_of_files(folder: Path) -> int:
    return sum(1 for _ in os.scandir(folder))


def keys_of_lines(folder: Path) -> int:
    return len(Pack(folder / "records", folder).hashes())


def keys_of_arrow(folder: Path) -> int:
    import pyarrow as pa

    with pa.ipc.open_stream(pa.memory_map(str(folder / "0.arrows"))) as stream:
        return sum(len({*batch.column("key").to_pylist()}) for batch in stream)


def keys_of_parquet(folder: Path) -> int:
    from pyarrow import parquet

    return sum(len(parquet.read_table(path, columns=["key"])["key"].to_pylist()) for path in folder.iterdir())


def keys_of_database(folder: Path) -> int:
    return sum(1 for _ in sqlite3.connect(folder / "records.db").execute("SELECT key FROM records"))


def reads_of_files(folder: Path, keys: list[str]) -> None:
    for key in keys:
        orjson.loads((folder / key.replace("/", "-")).read_bytes())


def reads_of_lines(folder: Path, keys: list[str]) -> None:
    lookup = Lookup(Pack(folder / "records", folder))
    for key in keys:
        orjson.loads(lookup.read(key) or b"")


def reads_of_database(folder: Path, keys: list[str]) -> None:
    database = sqlite3.connect(folder / "records.db")
    for key in keys:
        orjson.loads(database.execute("SELECT record FROM records WHERE key = ?", (key,)).fetchone()[0])


Read = Callable[[Path, list[str]], None] | None
FORMS: dict[str, tuple[Callable, Callable, Read]] = {
    "a JSON file each": (as_files, keys_of_files, reads_of_files),
    "JSON lines with an index": (as_lines, keys_of_lines, reads_of_lines),
    "Arrow IPC stream": (as_arrow, keys_of_arrow, None),
    "Parquet, a file a group": (as_parquet, keys_of_parquet, None),
    "SQLite, WAL": (as_database, keys_of_database, reads_of_database),
}


def measure_forms(items: int, place: str | None) -> None:
    made = list(groups(items))
    rows = []
    for name, (write, list_keys, read) in FORMS.items():
        some = made if write is not as_files else made[: max(1, len(made) // 10)]
        count = sum(map(len, some))
        with tempfile.TemporaryDirectory(dir=place) as folder_name:
            folder = Path(folder_name)
            written = timed(write, folder, some)
            listed = timed(list_keys, folder)
            keys = [one["key"] for group in some for one in group]
            np.random.default_rng(0).shuffle(keys)
            keys = keys[:20_000]
            found = timed(read, folder, keys) if read else None
            files = [path for path in folder.rglob("*") if path.is_file()]
            size = sum(path.stat().st_blocks * 512 for path in files) / count
        per_read = f"{1e6 * found / len(keys):.0f}" if found is not None else "-"
        rows.append(
            [name, f"{count / written:,.0f}", f"{count / listed:,.0f}", per_read, f"{size:.0f}", f"{len(files):,}"]
        )
    print(heading("The forms of records", ["orjson", "pyarrow", "numpy"]))
    columns = ["form", "durable records/s", "keys listed/s", "one by its key, us", "bytes each", f"files of {items:,}"]
    print(table(columns, rows))


def timed(function: Callable, *arguments: object) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", type=int, nargs="?", default=100_000)
    parser.add_argument("--place", help="a folder on the disk to measure; else the temporary one")
    arguments = parser.parse_args()
    measure_forms(arguments.items, arguments.place)
