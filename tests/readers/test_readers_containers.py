"""Photographs inside Parquet, Arrow, tars, and folders of datasets and img2dataset, as real libraries write them."""

import datetime
import decimal
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import datasets
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shared.containers import read_member
from shared.dataset import DatasetError, Source
from shared.files.table import Table
from tests.conftest import ROOT


def items(path: Path | str, **options) -> list[dict]:
    found = list(Source(str(path), **options).items())
    orjson.dumps(found)  # JSON values only: never bytes
    return found


def png(grey: int, size: int = 4) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (size, size), grey).save(buffer, "PNG")
    return buffer.getvalue()


def key(written: str) -> str:
    return f"{Path(written).stem}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"


def write_arrow(path: Path, table: pa.Table, form: str, rows: int) -> None:
    with (
        pa.OSFile(str(path), "wb") as sink,
        (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=rows)


def write_table(path: Path, table: pa.Table, form: str = "stream", rows: int = 3) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    else:
        write_arrow(path, table, form, rows)
    return path


KINDS = [("rows.parquet", ""), ("rows.arrow", "stream"), ("rows.arrow", "file")]


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
        {"bytes": None, "path": "https://a.org/a.png"},
        {"bytes": None, "path": None},
    ]
    table = pa.table(
        {"key": list("abcd"), "image": pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))}
    )
    found = items(write_table(tmp_path / name, table, form))
    assert read_member(found[0]) == png(3)
    for row, sentence in [
        (1, "the path ../far.png leaves the folder"),
        (2, "is an address and no path"),
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


# What the datasets library saves


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


# WebDataset and img2dataset


def write_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_gives_an_item_for_each_name(tmp_path, form):
    deep = "d" * 90 + "/" + "n" * 60
    members = {
        "a/001.jpg": b"first",
        "a/001.json": b'{"width": 3, "caption": "from json", "key": "else", "score": NaN}',
        "a/001.txt": b"from text",
        "a/001.cls": b"7",
        "a.b/002.png": b"",
        "a.b/002.caption": "schön\n".encode(),
        "words.txt": b"no photograph",
        ".hidden.jpg": b"no",
        f"{deep}.seg.PNG": b"mask",
        f"{deep}.JPEG": b"third",
    }
    path = write_tar(tmp_path / "shard.tar", members, form)
    found = items(path)
    assert [{**row, "image_member": None} for row in found] == [
        {
            "key": "a/001",
            "caption": "from json",
            "width": 3,
            "score": None,
            "image_path": str(path),
            "image_member": None,
        },
        {"key": "a.b/002", "caption": "schön", "image_path": str(path), "image_member": None},
        {"key": deep, "image_path": str(path), "image_member": None},
    ]
    assert [read_member(row) for row in found] == [b"first", b"", b"mask"]
    assert read_member(items(path, image_key="JPEG")[-1]) == b"third"
    assert [row["key"] for row in items(path, image_key=None)] == ["a/001", "a.b/002", "words", deep]


def test_a_folder_of_tars_is_read_tar_by_tar(tmp_path):
    for number in (1, 0):
        write_tar(tmp_path / f"0000{number}.tar", {f"{number}{n}.jpg": bytes([number, n]) for n in range(3)})
    found = items(tmp_path)
    assert [(row["key"], read_member(row)) for row in found] == [
        (f"{number}{n}", bytes([number, n])) for number in (0, 1) for n in range(3)
    ]


def test_damaged_words_in_a_tar_are_that_items_failure(tmp_path):
    members = {"a.jpg": b"1", "a.json": b"{", "b.jpg": b"2", "b.txt": b"\xff", "c.jpg": b"3", "c.json": b"[1]"}
    found = items(write_tar(tmp_path / "shard.tar", members))
    assert [row["key"] for row in found] == ["a", "b", "c"]
    assert found[0]["unreadable"].startswith("the member a.json of shard.tar is not JSON")
    assert "utf-8" in found[1]["unreadable"]
    assert "unreadable" not in found[2]


@pytest.mark.parametrize("keep", [0, 100, 512, 700, 1024, 1536, 2000, 2048])
def test_a_tar_that_is_cut_off_is_refused_wherever_the_cut_is(tmp_path, keep):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400, "b.jpg": b"2" * 400})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"shard\.tar is (not a whole, uncompressed tar|cut off)"):
        items(path)


def test_a_tar_with_a_damaged_head_or_another_archive_behind_it_is_refused(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400, "b.jpg": b"2" * 400})
    whole = path.read_bytes()
    for content in (whole[:1024] + b"garbage" + whole[1031:], whole + whole):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"shard\.tar is cut off or damaged at byte"):
            items(path)


def test_a_compressed_tar_under_a_plain_name_is_refused(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w:gz") as tar:
        tar.add(__file__, "a.jpg")
    with pytest.raises(DatasetError, match=r"shard\.tar is not a whole, uncompressed tar"):
        items(tmp_path / "shard.tar")


def test_a_tar_that_shrinks_after_it_was_read_gives_no_half_photograph(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400})
    found = items(path)
    os.truncate(path, 600)
    with pytest.raises(DatasetError, match=r"shard\.tar ends before the photograph at byte 512 does"):
        read_member(found[0])


def memory_grown(script: str, *arguments: Path) -> int:
    """How much more memory of its own, in kB, a process has at its end than where it calls start()."""
    frame = (
        "import sys\n"
        "from shared.dataset import Source\n"
        "from shared.containers import read_member\n"
        "own = lambda: int(open('/proc/self/status').read().split('RssAnon:')[1].split()[0])\n"
    )
    command = [sys.executable, "-c", frame + script, *map(str, arguments)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)


def test_a_tar_is_read_in_bounded_memory(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {f"{number}.jpg": b"" for number in range(10_000)})
    script = (
        "items = Source(sys.argv[1]).items()\nfor _ in range(100): next(items)\n"
        "before = own()\nfor _ in range(9_800): next(items)\nprint(own() - before)"
    )
    assert memory_grown(script, path) < 2_000


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_stored_photographs_are_read_in_bounded_memory(tmp_path, name, form):
    noise = np.random.default_rng(0).bytes(200_000)
    photographs = [noise[number:] + noise[:number] for number in range(500)]
    table = pa.table({"key": [str(number) for number in range(500)], "image": photographs})
    path = write_table(tmp_path / name, table, form, rows=250 if name.endswith("parquet") else 10)
    script = (
        "items = list(Source(sys.argv[1]).items())\nfor item in items[:3]: read_member(item)\n"
        "before = own()\nfor item in items: read_member(item)\nprint(own() - before)"
    )
    assert memory_grown(script, path) < 40_000  # the photographs are 100,000


def test_links_and_folders_in_a_tar_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name, kind in [("a.jpg", tarfile.SYMTYPE), ("d.jpg", tarfile.DIRTYPE), ("p.jpg", tarfile.FIFOTYPE)]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("./b.jpg"))
    assert [row["key"] for row in items(tmp_path / "shard.tar")] == ["b"]


def downloaded(number: int) -> dict:
    return {"url": f"http://a.org/{number}", "caption": f"c{number}", "key": f"0000000{number:02}", "status": "success"}


def test_what_img2dataset_downloads_to_files_is_read_with_its_metadata(tmp_path):
    for shard, numbers in (("00000", (0, 2)), ("00001", (10,))):
        (tmp_path / shard).mkdir()
        rows = [downloaded(number) for number in range(numbers[0], numbers[0] + 3)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{shard}.parquet")
        (tmp_path / f"{shard}_stats.json").write_text("{}")
        for number in numbers:  # the others' downloads failed
            base = tmp_path / shard / f"0000000{number:02}"
            base.with_suffix(".jpg").write_bytes(bytes([number]))
            base.with_suffix(".json").write_text(json.dumps(downloaded(number)))
            base.with_suffix(".txt").write_text("the text")
    found = items(tmp_path)
    assert found == [
        {**downloaded(number), "image_path": f"{tmp_path}/{shard}/0000000{number:02}.jpg"}
        for shard, number in (("00000", 0), ("00000", 2), ("00001", 10))
    ]
    assert [read_member(row) for row in found] == [bytes([0]), bytes([2]), bytes([10])]
    digest = Source(str(tmp_path)).digest()
    (tmp_path / "00000" / "000000002.jpg").unlink()
    assert Source(str(tmp_path)).digest() != digest
    (tmp_path / "00000" / "000000000.json").write_text("{")
    assert items(tmp_path)[0]["unreadable"].startswith("000000000.json is not JSON")
    assert items(tmp_path)[0]["key"] == "000000000"


def test_what_img2dataset_downloads_to_tars_is_read_from_the_tars(tmp_path):
    members = {}
    for number in (0, 2):
        members[f"0000000{number:02}.jpg"] = bytes([number])
        members[f"0000000{number:02}.json"] = json.dumps(downloaded(number)).encode()
    write_tar(tmp_path / "00000.tar", members)
    pq.write_table(pa.Table.from_pylist([downloaded(n) for n in range(3)]), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")
    found = items(tmp_path)
    assert [{field: value for field, value in row.items() if "image" not in field} for row in found] == [
        downloaded(0),
        downloaded(2),
    ]
    assert [read_member(row) for row in found] == [bytes([0]), bytes([2])]


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
