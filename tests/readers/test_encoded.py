"""Rows that become lines column by column are the bytes that they are by way of items."""

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from shared import containers
from shared.dataset import Source
from shared.errors import DatasetError
from shared.files.table import Table
from shared.readers import encoded as module
from tests.run.small_runs import read_step_0
from tests.workers.describing import save_download

TEXTS = [
    "plain",
    'a "quoted" word',
    "back\\slash",
    "tab\there",
    "nul\0",
    "new\nline",
    "ümlaut 画像 🌳",
    "",
    None,
    "\x7f \u2028 </b>",
    '\\"',
]


def rows(count: int, seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)
    text = lambda: [TEXTS[place] for place in draw.integers(0, len(TEXTS), count)]  # noqa: E731
    return pa.table({
        "other": pa.array([int(one) for one in draw.integers(-(2**62), 2**62, count)]),
        "key": [f"k{number:05d} {TEXTS[number % 3]}" for number in range(count)],
        "image": pa.array([b"x" * int(size) for size in draw.integers(1, 9, count)], pa.binary()),
        "caption": pa.array(text(), pa.string()),
        "large": pa.array(text(), pa.large_string()),
        "is it": pa.array([None if one > 1 else bool(one) for one in draw.integers(0, 3, count)]),
        "unsigned": pa.array([2**64 - 1] * count, pa.uint64()),
        "nothing": pa.nulls(count),
    })  # fmt: skip


def save(table: pa.Table, path, batch: int) -> None:
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=batch)
        return
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        for one in table.to_batches(max_chunksize=batch):
            writer.write_batch(one)


@pytest.mark.parametrize("suffix", [".arrow", ".parquet"])
@pytest.mark.parametrize("key_column", ["key", "caption"])
def test_the_bytes_are_those_of_the_items(tmp_path, monkeypatch, suffix, key_column):
    monkeypatch.setattr(module, "ROWS_TOGETHER", 50)
    table = rows(400, 1)
    if key_column == "caption":  # a column of its own, and another that is called key
        table = table.set_column(3, "caption", pa.array([f"own {number}" for number in range(400)]))
    save(table, tmp_path / f"a{suffix}", 7)
    source = Source(str(tmp_path / f"a{suffix}"), key_column=key_column)
    blocks = source.encoded(str(tmp_path), str(tmp_path))
    assert blocks is not None
    Table.write_encoded(tmp_path / "quick.jsonl", blocks)
    Table.write(tmp_path / "slow.jsonl", source.items(), tmp_path)
    assert (tmp_path / "quick.jsonl").read_bytes() == (tmp_path / "slow.jsonl").read_bytes()
    assert (tmp_path / "quick.jsonl.index").read_bytes()[24:] == (tmp_path / "slow.jsonl.index").read_bytes()[24:]
    assert len(Table(tmp_path / "quick.jsonl")) == 400


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("score", pa.array([0.5] * 4)), ("when", pa.array([0] * 4, pa.timestamp("us"))), ("mask_path", pa.array(["a.png"] * 4)),
        ("tags", pa.array([["a"]] * 4)), ("unreadable", pa.array(["a"] * 4)), ("key", pa.array([1, 2, 3, 4])),
    ],
)  # fmt: skip
def test_what_items_say_otherwise_goes_by_way_of_them(tmp_path, column, values):
    table = rows(4, 2)
    table = table.set_column(1, "key", values) if column == "key" else table.append_column(column, values)
    save(table, tmp_path / "a.arrow", 2)
    assert Source(str(tmp_path / "a.arrow")).encoded(str(tmp_path), str(tmp_path)) is None


def test_a_row_without_a_key_fails_alone(tmp_path):
    table = rows(30, 3)
    keys = table["key"].to_pylist()
    keys[4], keys[17] = None, ""
    save(table.set_column(1, "key", pa.array(keys)), tmp_path / "a.arrow", 10)
    found = list(read_step_0(tmp_path / "out", tmp_path / "a.arrow"))
    assert [row["key"] for row in found if "unreadable" in row] == ["row-5", "row-18"] and len(found) == 30


def test_two_rows_with_one_key_are_said_and_so_is_an_empty_table(tmp_path):
    table = rows(30, 3)
    keys = table["key"].to_pylist()
    keys[9] = keys[2]
    save(table.set_column(1, "key", pa.array(keys)), tmp_path / "a.arrow", 10)
    with pytest.raises(DatasetError, match=r"rows 3 and 10 of a\.arrow both have the key"):
        read_step_0(tmp_path / "out", tmp_path / "a.arrow")
    save(table.slice(0, 0), tmp_path / "a.arrow", 10)
    with pytest.raises(DatasetError, match=r"there is nothing in .*a\.arrow"):
        read_step_0(tmp_path / "out", tmp_path / "a.arrow")


def test_a_file_that_is_cut_off_is_said(tmp_path):
    save(rows(300, 4), tmp_path / "a.arrow", 10)
    data = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(data[: len(data) // 2])
    with pytest.raises(DatasetError, match=r"a\.arrow"):
        Table.write_encoded(
            tmp_path / "t.jsonl", Source(str(tmp_path / "a.arrow")).encoded(str(tmp_path), str(tmp_path))
        )
    assert not (tmp_path / "t.jsonl").exists()


def test_the_parquet_files_of_a_download_are_not_its_photographs(tmp_path):
    save_download(tmp_path / "download", 3)
    source = Source(str(tmp_path / "download"))
    assert source.encoded(str(tmp_path), str(tmp_path)) is None and len(list(source.items())) == 3


def test_what_was_read_of_a_file_may_leave_the_memory_and_is_there_again(tmp_path, monkeypatch):
    monkeypatch.setattr(containers, "_MAPPED_BYTES", 1 << 12)
    table = rows(20_000, 5)
    save(table, tmp_path / "a.arrow", 100)
    items = list(Source(str(tmp_path / "a.arrow")).items())
    assert [item["caption"] for item in items] == table["caption"].to_pylist()
    images = table["image"].to_pylist()
    assert all(containers.read_member(items[place]) == images[place] for place in (0, 19_999, 3, 10_000))
