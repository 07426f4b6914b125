"""Inputs in Google Cloud Storage, from a server that speaks like it."""

import json
from collections.abc import Callable, Iterator
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest
from gcp_storage_emulator.server import create_server

from shared.errors import DatasetError, ImageError
from shared.images import read_bytes
from tests.far.made import parquet, table, tar
from tests.readers.reading import items, key
from tests.web_server import photograph

BUCKET = "gs://photographs"
Put = Callable[[str, bytes], str]


@pytest.fixture
def put(monkeypatch) -> Iterator[Put]:
    """Puts a file into the bucket, and gives its address."""
    from gcsfs import GCSFileSystem

    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET.removeprefix("gs://"))
    server.start()
    host = f"http://127.0.0.1:{server._api._httpd.server_port}"
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", host)

    def put(name: str, data: bytes) -> str:
        place = f"{host}/upload/storage/v1/b/photographs/o?uploadType=media&name={quote(name, safe='')}"
        with urlopen(Request(place, data, {"Content-Type": "application/octet-stream"})):
            return f"{BUCKET}/{name}"

    GCSFileSystem.clear_instance_cache()
    yield put
    GCSFileSystem.clear_instance_cache()
    server.stop()


def test_a_folder_of_google_cloud_storage_is_a_folder(put):
    for name in ("b.jpg", "a/1.jpg", "odd name+%20 ü.jpg"):
        put(f"in/{name}", photograph(len(name)))
    put("other/c.jpg", photograph(9))
    found = items(f"{BUCKET}/in/")
    assert [item["key"] for item in found] == ["a/1.jpg", "b.jpg", "odd name+%20 ü.jpg"]
    assert [item["image_path"] for item in found] == [f"{BUCKET}/in/{item['key']}" for item in found]
    assert [read_bytes(item) for item in found] == [photograph(len(item["key"])) for item in found]


def test_tables_parquet_and_tars_of_google_cloud_storage(put):
    rows = [{"key": f"k{number}", "image": {"bytes": photograph(number)}, "caption": "text"} for number in range(4)]
    put("data/train-00000.parquet", parquet(rows, 2))
    put("0.tar", tar({"a.jpg": photograph(9)}))
    put("a.jpg", photograph(8))
    put("rows.csv", table([["image"], ["a.jpg"], [f"{BUCKET}/a.jpg"], [f"{BUCKET}/gone.jpg"]]))
    assert [read_bytes(item) for item in items(f"{BUCKET}/data")] == [photograph(number) for number in range(4)]
    assert [read_bytes(item) for item in items(f"{BUCKET}/0.tar")] == [photograph(9)]
    *there, gone = items(f"{BUCKET}/rows.csv")
    assert [item["key"] for item in there] == [key("a.jpg"), key(f"{BUCKET}/a.jpg")]
    assert [read_bytes(item) for item in there] == [photograph(8)] * 2
    with pytest.raises(ImageError, match=rf"^{BUCKET}/gone.jpg does not exist$"):
        read_bytes(gone)


def test_a_photograph_that_was_replaced_is_fetched_anew(put, tmp_path):
    address = put("a.jpg", photograph(1))
    (tmp_path / "rows.jsonl").write_text(json.dumps({"key": "a", "image": address}))
    [item] = items(tmp_path / "rows.jsonl")
    assert read_bytes(item) == photograph(1)
    put("a.jpg", photograph(2))
    assert read_bytes(item) == photograph(2)


def test_a_bucket_that_is_not_there_is_said_to_be(put):
    with pytest.raises(DatasetError, match=r"^(there is nothing at )?gs://none/in( does not exist|$)"):
        items("gs://none/in")
