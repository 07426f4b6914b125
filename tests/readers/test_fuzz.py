"""Damaged inputs, seeded: no error without a sentence, nothing lost in silence, and no row that pays for another's fault.

items in = items that are whole + items that fail with a reason + what is passed over and said; or the input is refused by name.
"""

import csv
import io
import json
import os
import random
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image
from pyarrow import parquet

from shared.dataset import Source
from shared.errors import DatasetError, ImageError
from shared.files.table import Table
from shared.images import read_bytes
from tests.conftest import ROOT
from tests.run.small_runs import read_step_0

COUNTS = [60, pytest.param(700, marks=pytest.mark.slow)]  # of each of four kinds: 720 and 8,400 in three tests
ROWS = 6


def photograph(number: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "JPEG")
    return stream.getvalue()


PHOTOGRAPHS = {f"p{number}": photograph(number) for number in range(ROWS)}


def read(path: Path) -> tuple[list[dict], list[str], str]:
    """The items, what was passed over, and the sentence with which the input was refused."""
    said: list[str] = []
    try:
        return list(Source(str(path)).items(said.append)), said, ""
    except DatasetError as error:
        return [], said, str(error)


# ---- the structure of containers ----


def table() -> arrow.Table:
    return arrow.table({"key": list(PHOTOGRAPHS), "image": list(PHOTOGRAPHS.values()), "text": ["words"] * ROWS})


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for key, content in PHOTOGRAPHS.items():
            for name, data in ((f"{key}.jpg", content), (f"{key}.txt", b"words")):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                file.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def stream_of(new_writer: Callable) -> bytes:
    stream = io.BytesIO()
    with new_writer(stream, table().schema) as writer:
        writer.write_table(table(), max_chunksize=3)
    return stream.getvalue()


def parquet_file() -> bytes:
    stream = io.BytesIO()
    # Statistics would hold copies of photographs, and pyarrow 25 ends the process where those of a footer are damaged.
    parquet.write_table(
        table(), stream, compression="none", row_group_size=3, use_dictionary=False, write_statistics=False
    )
    return stream.getvalue()


CONTAINERS = {
    "a.tar": tar(),
    "a.parquet": parquet_file(),
    "file.arrow": stream_of(arrow.ipc.new_file),
    "stream.arrow": stream_of(arrow.ipc.new_stream),
}


def places_of(data: bytes) -> np.ndarray:
    """All bytes but those of the photographs, which no container has a checksum of."""
    is_structure = np.ones(len(data), bool)
    for content in PHOTOGRAPHS.values():
        start = data.index(content)
        is_structure[start : start + len(content)] = False
    return np.flatnonzero(is_structure)


def with_valid_checksums(data: bytearray) -> bytearray:
    """Headers as a program would write them that means what they now say."""
    for start in range(0, len(data) - 512, 512):
        header = data[start : start + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            data[start + 148 : start + 156] = b"%06o\0 " % sum(header)
    return data


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("name", CONTAINERS)
def test_of_a_damaged_container_every_photograph_is_there_or_missed_in_words(tmp_path, name, count):
    """In a process of its own: pyarrow ends it where some sizes in a Parquet file are damaged. The launcher then says so."""
    seed, ended = 0, 0
    while seed < count:
        code = f"from tests.readers.test_fuzz import check_seeds; check_seeds({str(tmp_path)!r}, {name!r}, {seed}, {count})"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode <= 0, done.stderr[-3000:]
        seed = int(done.stdout.split()[-1]) + 1
        ended += done.returncode < 0
    assert ended <= (count // 200 if name.endswith(".parquet") else 0)


def check_seeds(folder: str, name: str, first: int, end: int) -> None:
    data, path = CONTAINERS[name], Path(folder, name)
    places = places_of(data)
    for seed in range(first, end):
        print(seed, flush=True)
        dice = np.random.default_rng(seed)
        damaged = bytearray(data)
        for place in dice.choice(places, int(dice.integers(1, 4))):
            damaged[place] = int(dice.integers(256))
        path.write_bytes(with_valid_checksums(damaged) if name.endswith(".tar") and seed % 2 else damaged)
        os.utime(path, ns=(seed, seed))  # else an earlier one is still open
        check_container(path, seed)


def check_container(path: Path, seed: int) -> None:
    items, said, refused = read(path)
    check_lines(path, items, refused, seed)
    if refused:
        assert path.name in refused, seed
        return
    whole = sum(is_whole(item) for item in items)
    failed = sum("unreadable" in item for item in items)
    assert whole + failed == len(items), seed
    # A name that was damaged may part a photograph from its words, or put two under one name; then that is said.
    assert len(items) == ROWS or said or failed, (seed, [item["key"] for item in items])


def check_lines(path: Path, items: list[dict], refused: str, seed: int) -> None:
    """Column by column it is the same, or refused in words."""
    target = path.with_name("quick.jsonl")
    try:
        blocks = Source(str(path)).encoded(str(path.parent), str(path.parent))
        if blocks is not None:
            found = [row["key"] for row in Table.write_encoded(target, blocks)]
            assert refused or found == [item["key"] for item in items], seed
    except DatasetError as error:
        assert path.name in str(error), seed  # noqa: PT017


def is_whole(item: dict) -> bool:
    """Or wrong in a way that a worker finds when it decodes the photograph, and says of this item."""
    if "unreadable" in item:
        return False
    try:
        read_bytes(item)
    except (ImageError, DatasetError) as error:
        return bool(str(error))
    return True


# ---- the cells of tables ----

ODD = [
    "", " ", "\t", "NaN", "nan", "null", "None", "-", "0", "-1", "1e400", "true", "é", "\u202e", "\ud800", "a\0b", "a\nb", "a\r\nb",
    '"', '""', "'", ",", ";", "=1+1", "../../etc/passwd", "/etc/passwd", "http://x/y.jpg", "C:\\a.jpg", "a" * 5000, "[1, 2]", "{}",
    "p1.jpg", "./p1.jpg", "P1.JPG", "p1.jpg ", "%2e%2e", "\N{SNOWMAN}.jpg", "-rf", "~", "$HOME", "con", ".", "..",
]  # fmt: skip
VALUES = [
    None,
    True,
    0,
    -1,
    1.5,
    1 << 80,
    float("nan"),
    float("inf"),
    [],
    [None],
    {},
    {"path": "p1.jpg"},
    {"bytes": 7},
    *ODD,
]
FIELDS = ("image", "key", "text", "score")


def rows() -> list[dict]:
    return [{"image": f"p{n}.jpg", "key": f"k{n}", "text": f"words {n}", "score": n / 8} for n in range(ROWS)]


def as_csv(made: list[dict], delimiter: str = ",") -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, delimiter=delimiter)
    writer.writerow(FIELDS)
    writer.writerows([row.get(field) for field in FIELDS] for row in made)
    return stream.getvalue().encode("utf-8", "replace")


def as_json_lines(made: list[dict]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in made)


WRITERS = {
    "csv": as_csv,
    "tsv": lambda made: as_csv(made, "\t"),
    "jsonl": as_json_lines,
    "json": lambda made: json.dumps(made).encode(),
}


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ending", WRITERS)
def test_a_cell_that_is_odd_costs_its_row_at_most(tmp_path, ending, count):
    dice, path = random.Random(count), tmp_path / f"rows.{ending}"
    for seed in range(count // 4):  # four rows of each table are odd in a cell; the first and the last are not
        made = rows()
        for row in made[1:-1]:
            field = dice.choice(FIELDS)
            if ending.startswith("json") and dice.random() < 0.1:
                del row[field]
            else:
                row[field] = dice.choice(ODD if ending in ("csv", "tsv") else VALUES)
        path.write_bytes(WRITERS[ending](made))
        given = [str(row.get("key")) for row in made]
        if len(set(given)) < ROWS:  # a key that two rows give stops the run, by design
            continue
        found = list(read_step_0(tmp_path / f"run {seed}", path))
        assert len(found) == ROWS, made
        assert len({item["key"] for item in found}) == ROWS, made
        for place in (0, ROWS - 1):
            assert found[place]["key"] == f"k{place}" and found[place]["image_path"] == f"{tmp_path}/p{place}.jpg", made
            assert found[place]["text"] == f"words {place}" and "unreadable" not in found[place], made
        for item in found:
            assert "image_path" in item or path.name in item["unreadable"] or "path" in item["unreadable"], made


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_bytes_of_a_row_that_are_damaged_cost_that_row_or_are_said(tmp_path, ending, count):
    path = tmp_path / f"rows.{ending}"
    for seed in range(count):
        dice = np.random.default_rng(seed)
        lines = WRITERS[ending](rows()).splitlines(keepends=True)
        number = int(dice.integers(1 if ending == "csv" else 0, len(lines)))
        line = bytearray(lines[number])
        line[int(dice.integers(len(line.rstrip())))] = int(dice.choice([*range(32), *range(127, 256), *b'",:{}[]\\']))
        lines[number] = bytes(line)
        path.write_bytes(b"".join(lines))
        items, _, refused = read(path)
        if refused:
            assert path.name in refused, seed
            continue
        others = [f"k{place}" for place in range(ROWS) if place != number - (ending == "csv")]
        keys = [item["key"] for item in items if "unreadable" not in item]
        assert set(others) <= set(keys), (seed, bytes(line))
        assert len(items) in ((ROWS, ROWS + 1) if set(line.rstrip()) & set(b"\r\n") else (ROWS,)), (seed, bytes(line))
