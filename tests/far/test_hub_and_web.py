"""Inputs on the Hub and behind web servers."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from shared.dataset import Source
from shared.errors import DatasetError, ImageError
from shared.images import name_of_photograph, read_bytes
from tests.fake_hub import FakeHub
from tests.far.made import parquet, table, tar
from tests.readers.reading import items, key
from tests.web_server import WebServer, photograph

FOLDER = "hf://datasets/ann/streets"


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Iterator[FakeHub]:
    with FakeHub() as hub:
        for name, value in hub.environment(tmp_path / "hub").items():
            monkeypatch.setenv(name, value)
        yield hub


@pytest.fixture
def web() -> Iterator[dict]:
    """path -> bytes, or a status, or answers one after the other."""
    files: dict = {}

    def script(path: str):
        found = files.get(unquote(path.partition("?")[0]), 404)
        answer = found.pop(0) if isinstance(found, list) else found
        return (answer, b"") if isinstance(answer, int) else (200, answer, {"ETag": f'"{hash(answer)}"'})

    with WebServer(script) as server:
        files["server"] = server
        yield files


def test_a_folder_of_the_hub_is_a_folder(hub):
    for number in range(3):
        hub.add("ann/streets", f"in/{number}.jpg", photograph(number))
    hub.add("ann/streets", "README.md", b"# Streets")
    found = items(f"{FOLDER}/in")
    assert [(item["key"], item["image_path"]) for item in found] == [
        (f"{n}.jpg", f"{FOLDER}/in/{n}.jpg") for n in range(3)
    ]
    assert [read_bytes(item) for item in found] == [photograph(number) for number in range(3)]
    assert [item["key"] for item in items(FOLDER)] == [f"in/{number}.jpg" for number in range(3)]


def test_tables_parquet_and_tars_of_the_hub(hub):
    rows = [{"key": f"k{number}", "image": {"bytes": photograph(number)}, "caption": "text"} for number in range(4)]
    hub.add("ann/streets", "data/train-00000.parquet", parquet(rows, 2))
    hub.add("ann/streets", "0.tar", tar({"a.jpg": photograph(9)}))
    hub.add("ann/streets", "a.jpg", photograph(8))
    hub.add("ann/streets", "rows.csv", table([["image"], ["a.jpg"], [f"{FOLDER}/a.jpg"], [f"{FOLDER}/gone.jpg"]]))
    found = items(f"{FOLDER}/data")
    assert [(item["split"], read_bytes(item)) for item in found] == [
        ("train", photograph(number)) for number in range(4)
    ]
    assert [read_bytes(item) for item in items(f"{FOLDER}/0.tar")] == [photograph(9)]
    *there, gone = items(f"{FOLDER}/rows.csv")
    assert [read_bytes(item) for item in there] == [photograph(8)] * 2
    with pytest.raises(ImageError, match=rf"^{FOLDER}/gone.jpg does not exist$"):
        read_bytes(gone)


def test_a_dataset_that_is_not_there_is_said_to_be(hub):
    with pytest.raises(
        DatasetError, match=r"^hf://datasets/ann/none (does not exist|may not be read, or is not there: HF_TOKEN)"
    ):
        items("hf://datasets/ann/none")


def test_tables_and_what_they_name_come_from_a_web_server(web):
    url = web["server"].url
    web |= {"/in/a b.jpg": photograph(1), "/other.jpg": photograph(2)}
    web["/in/rows.csv"] = table([["image"], ["a b.jpg"], [f"{url}/other.jpg"], [f"{url}/gone.jpg"]])
    *there, gone = items(f"{url}/in/rows.csv")
    assert [item["key"] for item in there] == [key("a b.jpg"), key(f"{url}/other.jpg")]
    assert [read_bytes(item) for item in there] == [photograph(1), photograph(2)]
    with pytest.raises(ImageError, match=rf"^{url}/gone.jpg does not exist$"):
        read_bytes(gone)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.tar"])
def test_a_container_of_a_web_server_that_knows_no_ranges_is_fetched_once(web, name):
    rows = [{"key": f"k{number}", "image": {"bytes": photograph(number)}, "caption": "text"} for number in range(4)]
    made = {
        "rows.parquet": parquet(rows),
        "rows.tar": tar({f"k{number}.jpg": photograph(number) for number in range(4)}),
    }
    web[f"/{name}"] = made[name]
    found = items(f"{web['server'].url}/{name}")
    assert [(item["key"], read_bytes(item)) for item in found] == [
        (f"k{number}", photograph(number)) for number in range(4)
    ]


def test_a_server_that_is_busy_is_asked_again_and_a_refusal_is_none(web):
    url = web["server"].url
    web["/a.jpg"] = [503, 500, photograph(1), photograph(1)]
    assert read_bytes(f"{url}/a.jpg") == photograph(1)
    web["/b.jpg"] = 403
    with pytest.raises(ImageError, match=rf"^{url}/b.jpg may not be read, or is not there: ~/.netrc says who asks"):
        read_bytes(f"{url}/b.jpg")
    web["/c.jpg"] = 503
    with pytest.raises(ImageError, match=rf"^{url}/c.jpg could not be read in 5 tries: 503 Service Unavailable$"):
        read_bytes(f"{url}/c.jpg")


def test_signatures_are_shown_nowhere_and_change_no_key(web):
    url = web["server"].url
    web["/a.jpg"] = photograph(1)
    signed = [f"{url}/a.jpg?X-Amz-Signature={secret}" for secret in ("abc", "def")]
    keys = []
    for address in signed:
        web["/rows.csv"] = table([["image"], [address], [f"{url}/gone.jpg?sig=abc"]])
        source = Source(f"{url}/rows.csv?sig=abc")
        assert str(source.path) == f"{url}/rows.csv"
        found, gone = source.items()
        assert read_bytes(found) == photograph(1)
        assert name_of_photograph(found) == f"{url}/a.jpg"
        keys.append(found["key"])
        with pytest.raises(ImageError) as caught:
            read_bytes(gone)
        assert str(caught.value) == f"{url}/gone.jpg does not exist" and caught.value.__cause__ is None
    assert keys[0] == keys[1] == key(f"{url}/a.jpg")
    with pytest.raises(DatasetError, match="has a query, which files would keep"):
        items(f"{url}/rows.parquet?sig=abc")


@pytest.mark.parametrize(
    "address",
    ["https://ann:hidden@a.org/rows.csv", "s3://AKIA:hidden@bucket/in", "https://ann:hidden@a.org/rows.parquet"],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(tmp_path, address):
    sentence = "is written with a user or a password, which files would keep; the environment or ~/.netrc says them"
    with pytest.raises(DatasetError, match=sentence) as caught:
        Source(address).digest()
    (tmp_path / "rows.jsonl").write_text(json.dumps({"key": "a", "image": address}))
    [item] = items(tmp_path / "rows.jsonl")
    with pytest.raises(ImageError) as of_photograph:
        read_bytes(address)
    for said in (str(caught.value), item["unreadable"], str(of_photograph.value)):
        assert sentence in said and "hidden" not in said


def test_a_web_server_lists_no_folders(web):
    with pytest.raises(
        DatasetError, match=r"is no table, and a web server lists no folders; name a .csv, .jsonl, .parquet or .tar"
    ):
        items(f"{web['server'].url}/in/")


@pytest.mark.parametrize(
    ("module", "address", "package"),
    [
        ("gcsfs", "gs://bucket/a.jpg", "gcsfs"),
        ("s3fs", "s3://bucket/a.jpg", "s3fs"),
        ("fsspec", "https://a.org/a.jpg?sig=abc", "fsspec"),
    ],
)
def test_a_package_that_is_missing_is_named(monkeypatch, module, address, package):
    known = importlib.import_module("fsspec.registry")._registry
    monkeypatch.delitem(known, address.partition(":")[0], raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    name = address.partition("?")[0]
    with pytest.raises(ImageError, match=rf"^to read {name} takes the package {package}: uv pip install --group far$"):
        read_bytes(address)


def test_what_reads_far_files_is_imported_when_one_is_read():
    code = "import sys, shared.dataset, shared.images; print({'fsspec', 's3fs', 'aiohttp', 'botocore', 'huggingface_hub'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
