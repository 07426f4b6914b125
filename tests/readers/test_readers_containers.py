"""Photographs inside Parquet, Arrow, tars, and folders of datasets and img2dataset, as real libraries write them."""

import datetime
import decimal
import hashlib
import io
import os
import threading
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shared.containers import read_member
from shared.dataset import DatasetError, Source
from shared.files.table import Table
from tests.readers.stored import KINDS, items, key, write_table, write_tar


def png(grey: int, size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), grey).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_columns_of_any_type_become_plain_json(tmp_path, name, form):
    table = pa.table(
        {
            "image": ["a.jpg", "/b.jpg"],
            "score": pa.array([0.5, float("nan")]),
            "count": pa.array([2**63 + 1, 3], pa.uint64()),
            "day": pa.array([datetime.date(2024, 2, 29), None]),
            "time": pa.array([1, 2_000_000_001], pa.timestamp("ns")),
            "price": pa.array([decimal.Decimal("1.50"), decimal.Decimal("3.00")]),
            "length": pa.array([datetime.timedelta(seconds=1.5), None]),
            "thumbnail": pa.array([b"bytes", b"more"]),
            "other": pa.array([{"bytes": b"x", "path": "p", "n": 1}, None]),
            "lists": pa.array([[{"n": 1, "b": b"x"}], []]),
            "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    assert items(write_table(tmp_path / name, table, form)) == [
        {
            "key": key("a.jpg"),
            "image": "a.jpg",
            "score": 0.5,
            "count": 2**63 + 1,
            "day": "2024-02-29",
            "time": "1970-01-01T00:00:00",
            "price": 1.5,
            "length": 1.5,
            "other": {"path": "p", "n": 1},
            "lists": [{"n": 1}],
            "vector": [1.0, 2.0],
            "kind": "x",
            "image_path": f"{tmp_path}/a.jpg",
        },
        {
            "key": key("/b.jpg"),
            "image": "/b.jpg",
            "score": None,
            "count": 3,
            "day": None,
            "time": "1970-01-01T00:00:02",
            "price": 3,
            "length": None,
            "other": None,
            "lists": [],
            "vector": [3.0, 4.0],
            "kind": "y",
            "image_path": "/b.jpg",
        },
    ]


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_stored_photographs_are_named_by_row_and_read_in_any_order(tmp_path, name, form):
    photographs = [png(grey) for grey in range(20)]
    table = pa.table({"new_key": [f"k{n}" for n in range(20)], "png": photographs, "caption": ["c"] * 20})
    path = write_table(tmp_path / name, table, form)
    found = items(path, image_key="png", key_column="new_key")
    assert found[7] == {
        "key": "k7",
        "new_key": "k7",
        "caption": "c",
        "image_path": str(path),
        "image_member": {"row": 7, "column": "png"},
    }
    for order in (range(20), range(19, -1, -1), (3, 18, 0, 19, 4, 4)):
        assert [read_member(found[row]) for row in order] == [photographs[row] for row in order]


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_threads_read_stored_photographs_side_by_side(tmp_path, name, form):
    photographs = [bytes([n % 256]) * 2000 for n in range(400)]
    table = pa.table({"key": [str(n) for n in range(400)], "image": photographs})
    found = items(write_table(tmp_path / name, table, form, rows=37))
    wrong: list[int] = []

    def read(start: int) -> None:
        wrong.extend(row for row in range(start, 400, 3) if read_member(found[row]) != photographs[row])

    threads = [threading.Thread(target=read, args=(start,)) for start in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_the_key_is_of_the_stored_name_or_else_of_the_photograph(tmp_path, name, form):
    images = pa.array([{"bytes": png(1), "path": "x/a.png"}, {"bytes": png(2), "path": None}])
    found = items(write_table(tmp_path / name, pa.table({"image": images}), form))
    assert [row["key"] for row in found] == [key("x/a.png"), hashlib.sha256(png(2)).hexdigest()[:16]]
    assert [row.get("image") for row in found] == ["x/a.png", None]
    assert [read_member(row) for row in found] == [png(1), png(2)]


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_a_row_without_its_photograph_fails_when_it_is_opened(tmp_path, name, form):
    (tmp_path / "near.png").write_bytes(png(3))
    images = [
        {"bytes": None, "path": "near.png"},
        {"bytes": None, "path": "../far.png"},
        {"bytes": None, "path": "ftp://a.org/a.png"},
        {"bytes": None, "path": None},
    ]
    table = pa.table(
        {"key": list("abcd"), "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))}
    )
    found = items(write_table(tmp_path / name, table, form))
    assert read_member(found[0]) == png(3)
    for row, sentence in [
        (1, "the path ../far.png leaves the folder"),
        (2, "is an address of no kind we read"),
        (3, f"row 4 of {tmp_path}/{name} has no photograph"),
    ]:
        with pytest.raises(DatasetError, match=sentence):
            read_member(found[row])


def test_a_replaced_container_is_opened_anew(tmp_path):
    for grey in (1, 2):
        path = write_table(tmp_path / "rows.parquet", pa.table({"key": ["a"], "image": [png(grey, 4 + grey)]}))
        assert read_member(items(path)[0]) == png(grey, 4 + grey)


def test_a_member_that_is_not_there_is_an_error(tmp_path):
    path = write_table(tmp_path / "rows.parquet", pa.table({"key": ["a"], "image": [b"x"]}))
    with pytest.raises(DatasetError, match="has no row 5"):
        read_member({"image_path": str(path), "image_member": {"row": 5, "column": "image"}})
    with pytest.raises(DatasetError, match='no column "photo"'):
        read_member({"image_path": str(path), "image_member": {"row": 0, "column": "photo"}})
    (tmp_path / "plain.jpg").write_bytes(b"plain")
    assert read_member({"image_path": str(tmp_path / "plain.jpg")}) == b"plain"


def test_a_folder_of_parquet_files_is_read_file_by_file(tmp_path):
    for number in (1, 0):
        table = pa.table({"key": [f"{number}-{row}" for row in range(2)], "image": [b"a", b"b"]})
        write_table(tmp_path / f"train-0000{number}.parquet", table)
    found = items(tmp_path)
    assert [(row["key"], Path(row["image_path"]).name, row["image_member"]["row"]) for row in found] == [
        ("0-0", "train-00000.parquet", 0),
        ("0-1", "train-00000.parquet", 1),
        ("1-0", "train-00001.parquet", 0),
        ("1-1", "train-00001.parquet", 1),
    ]


@pytest.mark.parametrize(("name", "kind"), [("rows.parquet", "Parquet"), ("rows.arrow", "Arrow")])
def test_a_torn_file_is_refused(tmp_path, name, kind):
    path = write_table(tmp_path / name, pa.table({"key": ["a"] * 3000, "image": ["b"] * 3000}))
    path.write_bytes(path.read_bytes()[:-50000] if kind == "Arrow" else path.read_bytes()[:-20])
    with pytest.raises(DatasetError, match=rf"rows\.\w+ cannot be read as {kind}: "):
        items(path)


def test_an_arrow_stream_that_ends_between_two_batches_is_refused(tmp_path):
    path = write_table(tmp_path / "rows.arrow", pa.table({"key": list("abcdef")}))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DatasetError, match=r"rows\.arrow is cut off: it has no end mark"):
        items(path, image_key=None)


def test_a_missing_column_is_named_with_the_nearest(tmp_path):
    path = write_table(tmp_path / "rows.parquet", pa.table({"images": [b"a"], "key": ["a"]}))
    with pytest.raises(DatasetError) as caught:
        items(path)
    assert str(caught.value) == f'no column "image" in {path}; did you mean "images"? (images, key)'


def saved_dataset(names: list[str], folder: Path) -> datasets.Dataset:
    for number, name in enumerate(names):
        (folder / name).write_bytes(png(number))
    rows = {"image": [str(folder / name) for name in names], "caption": [f"c {name}" for name in names]}
    return datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image())


def test_a_saved_dataset_is_read_from_its_arrow_files(tmp_path):
    dataset = saved_dataset(["a.png", "b.png", "c.png"], tmp_path)
    dataset.save_to_disk(tmp_path / "saved", num_shards=2)
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).unlink()
    found = items(tmp_path / "saved")
    assert [(row["key"].split("-")[0], row["caption"], row["image_member"]) for row in found] == [
        ("a", "c a.png", {"row": 0, "column": "image"}),
        ("b", "c b.png", {"row": 1, "column": "image"}),
        ("c", "c c.png", {"row": 0, "column": "image"}),
    ]
    assert [read_member(row) for row in found] == [png(0), png(1), png(2)]
    assert Source(str(tmp_path / "saved")).digest() == Source(str(tmp_path / "saved")).digest()


def test_a_filtered_dataset_keeps_its_selection(tmp_path):
    dataset = datasets.Dataset.from_dict({"key": list("abcd"), "png": [b"0", b"1", b"2", b"3"]})
    dataset.select([3, 1]).save_to_disk(tmp_path / "saved")
    found = items(tmp_path / "saved", image_key="png")
    assert [(row["key"], read_member(row)) for row in found] == [("d", b"3"), ("b", b"1")]


def test_a_saved_dataset_dict_gives_its_splits_one_after_another(tmp_path):
    parts = {
        split: datasets.Dataset.from_dict({"key": keys}) for split, keys in [("train", ["a", "b"]), ("test", ["c"])]
    }
    datasets.DatasetDict(parts).save_to_disk(tmp_path / "saved")
    assert items(tmp_path / "saved", image_key=None) == [
        {"key": "a", "dataset_split": "train"},
        {"key": "b", "dataset_split": "train"},
        {"key": "c", "dataset_split": "test"},
    ]


def test_a_saved_dataset_that_lost_a_file_is_refused(tmp_path):
    datasets.Dataset.from_dict({"key": ["a"]}).save_to_disk(tmp_path / "saved")
    next((tmp_path / "saved").glob("*.arrow")).unlink()
    with pytest.raises(DatasetError, match=r"data-00000-of-00001\.arrow"):
        items(tmp_path / "saved", image_key=None)
    (tmp_path / "saved" / "state.json").write_text("{")
    with pytest.raises(DatasetError, match=f"the datasets folder {tmp_path}/saved is not whole"):
        items(tmp_path / "saved", image_key=None)


def test_items_of_containers_survive_a_table(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"first"})
    table = Table.write(tmp_path / "result.jsonl", items(path), tmp_path)
    assert read_member(table[0]) == b"first"
    again = items(tmp_path / "result.jsonl", image_key="image_path")
    assert read_member(again[0]) == b"first"


def test_photographs_are_not_read_while_items_are(tmp_path):
    """A file of large photographs gives its items with the photographs' pages torn out."""
    noise = np.random.default_rng(0).bytes(1 << 20)
    table = pa.table({"key": ["a", "b"], "image": [noise, noise[::-1]], "n": [1, 2]})
    path = tmp_path / "rows.parquet"
    pq.write_table(table, path, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    start = column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    assert [(row["key"], row["n"]) for row in items(path)] == [("a", 1), ("b", 2)]
    assert os.path.getsize(path) > 2 << 20
