"""Inputs in S3, from a real server of it."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.dataset import Source
from shared.errors import ImageError
from shared.far import reading
from shared.far.cache import cache_folder
from shared.images import open_image, read_bytes
from shared.reporting.thumbnails import link_of
from shared.run.sources import file_at
from shared.triplets.pictures import picture_of
from tests.far.made import parquet, table, tar
from tests.readers.reading import items, key
from tests.web_server import photograph


def copies() -> list[bytes]:
    return sorted(path.read_bytes() for path in cache_folder().glob("??/*"))


def test_a_folder_of_photographs_has_the_keys_that_it_has_on_a_disk(bucket, tmp_path):
    said: list[str] = []
    odd = [
        "odd name+%20 ü.jpg",
        "@eaDir/b.jpg",
        "a/.x/c.jpg",
        ".hidden.jpg",
        "note.txt",
        "run/step_0_preprocess_format/a.jpg",
        "run/b.jpg",
    ]
    for name in ["b.jpg", "a/2.JPG", "a/1.jpg", "a-b.jpg", *odd]:
        bucket.put(f"in/{name}", photograph(len(name)))
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photograph(len(name)))
    far, near = list(Source(f"{bucket.url}/in/").items(said.append)), items(tmp_path / "in")
    assert (
        [item["key"] for item in far]
        == [item["key"] for item in near]
        == ["a-b.jpg", "a/1.jpg", "a/2.JPG", "b.jpg", odd[0]]
    )
    assert [item["image_path"] for item in far] == [f"{bucket.url}/in/{item['key']}" for item in far]
    assert [read_bytes(item) for item in far] == [read_bytes(item) for item in near]
    assert said == [f"1 file passed over in {bucket.url}/in: 1 .txt, the folders @eaDir, run/ (of a run)"]


def test_an_input_is_listed_once_and_its_digest_changes_with_what_lies_there(bucket):
    bucket.put("a.jpg", photograph(1))
    source = Source(bucket.url)
    before = source.digest()
    assert len(list(source.items())) == 1 and bucket.asked("GET") == 1
    assert Source(bucket.url).digest() == before
    bucket.put("a.jpg", photograph(2))
    changed = Source(bucket.url).digest()
    bucket.put("b.jpg", photograph(2))
    assert len({before, changed, Source(bucket.url).digest()}) == 3


def test_a_table_names_photographs_anywhere(bucket, tmp_path):
    (tmp_path / "here.jpg").write_bytes(photograph(1))
    elsewhere = bucket.put("other/far.jpg", photograph(2))
    bucket.put("in/near.jpg", photograph(3))
    paths = [str(tmp_path / "here.jpg"), elsewhere, "near.jpg", "../secret.jpg"]
    far = bucket.put("in/rows.csv", table([["image", "mask_path"], *([path, "masks/1.png"] for path in paths)]))
    found = items(far)
    assert [item.get("image_path") for item in found] == [*paths[:2], f"{bucket.url}/in/near.jpg", None]
    assert [item["key"] for item in found[:3]] == [key(path) for path in paths[:3]]
    assert {item["mask_path"] for item in found} == {f"{bucket.url}/in/masks/1.png"}
    assert found[3]["unreadable"] == f"the path ../secret.jpg leaves the folder {bucket.url}/in"
    assert [read_bytes(item) for item in found[:3]] == [photograph(number) for number in (1, 2, 3)]
    (tmp_path / "rows.jsonl").write_text(json.dumps({"key": "a", "image": "near.jpg"}))
    [item] = items(tmp_path / "rows.jsonl", meta_folder=f"{bucket.url}/in/")
    assert open_image(item).size == (48, 32)


def test_parquet_is_read_by_ranges_and_never_as_a_whole(bucket):
    rows = [
        {
            "key": f"k{number}",
            "image": {"bytes": photograph(number, "PNG", (200, 100)), "path": f"{number}.png"},
            "caption": "text",
        }
        for number in range(40)
    ]
    address = bucket.put("in/train-00000.parquet", parquet(rows, 10))
    for path in (address, f"{bucket.url}/in"):
        assert [(item["key"], item["caption"]) for item in items(path)] == [(row["key"], "text") for row in rows]
    found = items(address)
    assert found[3]["image_path"] == address and found[3]["image_member"] == {"row": 3, "column": "image"}
    assert [read_bytes(found[place]) for place in (0, 39, 12, 13)] == [
        rows[place]["image"]["bytes"] for place in (0, 39, 12, 13)
    ]
    assert [item["split"] for item in items(f"{bucket.url}/in")] == ["train"] * 40
    assert not list(cache_folder().glob("??/*"))


def test_plain_parquet_takes_the_quick_way_to_the_same_table(bucket, tmp_path):
    rows = [
        {"key": f"k{number}", "image": {"bytes": photograph(number), "path": None}, "caption": "text"}
        for number in range(5)
    ]
    fields = pa.schema({"key": pa.string(), "image": pa.binary()})
    stream = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist([{"key": row["key"], "image": row["image"]["bytes"]} for row in rows], fields), stream
    )
    source = Source(bucket.put("rows.parquet", stream.getvalue()))
    blocks = source.encoded(str(tmp_path), str(tmp_path))
    assert blocks is not None
    lines = b"".join(block.block for block in blocks).splitlines()
    assert list(map(json.loads, lines)) == list(source.items())


def test_a_row_without_bytes_is_read_where_its_path_says(bucket):
    bucket.put("in/near.jpg", photograph(1))
    elsewhere = bucket.put("far.jpg", photograph(2))
    rows = [{"key": path, "image": {"bytes": None, "path": path}} for path in ("near.jpg", elsewhere)]
    found = items(bucket.put("in/rows.parquet", parquet(rows)))
    assert [read_bytes(item) for item in found] == [photograph(1), photograph(2)]


def test_members_of_tars_come_from_the_copy_or_by_their_range(bucket, monkeypatch):
    shards = [
        tar(
            {
                f"{shard}{number}.{kind}": data
                for number in range(3)
                for kind, data in (("jpg", photograph(number)), ("txt", b"a cat"))
            }
        )
        for shard in "ab"
    ]
    for number, shard in enumerate(shards):
        bucket.put(f"in/{number:05d}.tar", shard)
        bucket.put(f"in/{number:05d}.parquet", b"of img2dataset")
    found = items(f"{bucket.url}/in")
    assert [item["key"] for item in found] == ["a0", "a1", "a2", "b0", "b1", "b2"] and {
        item["caption"] for item in found
    } == {"a cat"}
    assert copies() == sorted(shards)
    before = bucket.asked("GET", "in/00000.tar")
    assert [read_bytes(item) for item in found] == [photograph(number) for number in (0, 1, 2, 0, 1, 2)]
    assert bucket.asked("GET", "in/00000.tar") == before
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_folder() / "another machine"))
    monkeypatch.setattr(reading, "_states", {})
    assert [read_bytes(item) for item in found] == [photograph(number) for number in (0, 1, 2, 0, 1, 2)]
    assert copies() == []


def test_a_folder_as_the_datasets_library_has_it(bucket):
    bucket.put("in/train/metadata.csv", table([["file_name", "text"], ["a.jpg", "a cat"]]))
    bucket.put("in/train/a.jpg", photograph(1))
    [item] = items(f"{bucket.url}/in")
    assert item == {
        "key": "train/a.jpg",
        "image": "train/a.jpg",
        "text": "a cat",
        "image_path": f"{bucket.url}/in/train/a.jpg",
        "split": "train",
    }
    bucket.put(
        "parquet/data/test-00000.parquet", parquet([{"key": "a", "image": {"bytes": photograph(2)}, "caption": None}])
    )
    bucket.put("parquet/README.md", b"# A dataset")
    [item] = items(f"{bucket.url}/parquet")
    assert (item["split"], read_bytes(item)) == ("test", photograph(2))


def test_a_photograph_is_fetched_once_and_anew_when_it_was_replaced(bucket):
    address = bucket.put("a.jpg", photograph(1))
    assert [read_bytes(address) for _ in range(3)] == [photograph(1)] * 3
    assert bucket.asked("GET", "a.jpg") == 1
    bucket.put("a.jpg", photograph(2))
    assert read_bytes(address) == photograph(2)
    bucket.remove("a.jpg")
    with pytest.raises(ImageError, match=rf"^{address} does not exist$"):
        read_bytes(address)


def test_trainers_get_the_file_as_it_is_stored(bucket):
    address = bucket.put("a.jpg", photograph(1))
    picture = picture_of({"image_path": address})
    assert (picture.suffix, picture.read()) == (".jpg", photograph(1))


def test_a_far_file_is_never_taken_for_one_of_this_disk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    (tmp_path / "s3:" / "bucket" / "a.jpg").write_bytes(photograph(1))
    assert file_at("s3:/bucket/a.jpg") != file_at("s3://bucket/a.jpg") == (-1, -1)
    assert link_of("s3://bucket/a.jpg", tmp_path) is None
    assert link_of("https://a.org/a.jpg?sig=x", tmp_path) == "https://a.org/a.jpg"
