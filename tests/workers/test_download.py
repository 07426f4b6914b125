"""configs/download.yaml: from a table of addresses to the folder that img2dataset would write."""

import csv
import json
import os
import signal

import pytest
from PIL import Image
from pyarrow import parquet

from shared.dataset import Source
from shared.errors import DatasetError
from tests.conftest import ROOT, wait_until
from tests.fake_hub import FakeHub
from tests.web_server import WebServer, photograph, slowly

COLUMNS = ["key", "url", "caption", "md5", "tags", "merged_tags"]
RUN = ["run", "--set", "allow_private=true"]


def write_table(project, addresses: list[str]) -> None:
    with open(project.folder / "urls.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number, address in enumerate(addresses):
            writer.writerow([f"source-{number}", address, f"words, {number}", f"md5-{number}", "['oil']", "oil, light"])


@pytest.fixture
def variables(project):
    return {"CONFIG": ROOT / "configs" / "download.yaml", "INPUT": project.folder / "urls.csv"}


class Site:
    """Photographs good and bad; `is_mended`: what can be mended is."""

    is_mended = False

    def __call__(self, path):
        name = path.strip("/")
        if name.startswith("good"):
            return 200, photograph(len(name))
        if name == "moved":
            return 301, b"", {"Location": "/good-moved"}
        if self.is_mended:
            return (200, photograph(7)) if name in ("busy", "text", "torn") else (404, b"")
        return {
            "png.jpg": (200, photograph(1, "PNG")),
            "gone": (410, b""),
            "busy": (503, b""),
            "text": (200, b"<html>no picture</html>"),
            "torn": (200, photograph(2)[:300]),
            "noai": (200, photograph(3), {"X-Robots-Tag": "noai"}),
        }.get(name, (404, b""))


def test_every_address_is_a_file_or_a_line_with_the_reason(project, variables):
    site = Site()
    with WebServer(site) as server:
        names = ["good-0", "png.jpg", "missing", "gone", "busy", "text", "torn", "noai", "moved", "good-9"]
        addresses = [*(f"{server.url}/{name}" for name in names), "file:///etc/hostname", ""]
        write_table(project, addresses)
        done = project.run(*RUN, "--set", "tries=1", **variables)
        assert done.returncode == 3, done.stdout
        check_tables(project, addresses)
        before = dict(server.asked)
        site.is_mended = True
        done = project.run(*RUN, "--set", "tries=1", **variables)
        again = {
            path: count - before.get(path, 0) for path, count in server.asked.items() if count > before.get(path, 0)
        }
    assert done.returncode == 3, done.stdout
    assert again == {"/busy": 1, "/text": 1, "/torn": 1, "/noai": 1}  # what was had, or is gone, is not asked for
    found = parquet.read_table(project.output / "full_metadata.parquet").to_pylist()
    assert [row["status"] for row in found].count("success") == 7


def check_tables(project, addresses: list[str]) -> None:
    full = parquet.read_table(project.output / "full_metadata.parquet")
    measured = [
        "key",
        "status",
        "error_message",
        "width",
        "height",
        "original_width",
        "original_height",
        "exif",
        "sha256",
    ]
    assert full.schema.names == ["original_key", "md5", "tags", "merged_tags", "caption", "url", *measured]
    assert full.equals(parquet.read_table(project.output / "images" / "00000.parquet"))
    rows = {row["key"]: row for row in full.to_pylist()}
    assert list(rows) == [f"{number:09d}" for number in range(12)]
    good = [key for key, row in rows.items() if row["status"] == "success"]
    assert good == ["000000000", "000000001", "000000008", "000000009"]
    first = rows["000000000"]
    assert (first["original_key"], first["md5"], first["caption"]) == ("source-0", "md5-0", "words, 0")
    assert (first["width"], first["height"], first["original_width"], len(first["sha256"])) == (48, 32, 48, 64)
    urls = parquet.read_table(project.output / "urls.parquet")
    assert urls.schema.names == ["url", "caption", "original_key", "md5", "tags", "merged_tags"]
    assert urls["url"].to_pylist()[:11] == addresses[:11]
    with open(project.output / "unavailable.csv", newline="") as file:
        lost = {row["key"]: row for row in csv.DictReader(file)}
    assert sorted([*lost, *good]) == sorted(rows)
    assert [lost[f"{number:09d}"]["http_status"] for number in (2, 3, 4, 5)] == ["404", "410", "503", ""]
    assert "is a web page" in lost["000000005"]["reason"] and "X-Robots-Tag" in lost["000000007"]["reason"]
    assert "not an address of the web" in lost["000000010"]["reason"]
    check_files(project, good)


def check_files(project, good: list[str]) -> None:
    folder = project.output / "images" / "00000"
    suffixes = {"000000001": ".png"}
    expected = {f"{key}{suffix}" for key in good for suffix in (suffixes.get(key, ".jpg"), ".json", ".txt")}
    assert {path.name for path in folder.iterdir()} == expected
    with Image.open(folder / "000000001.png") as image:
        assert image.format == "PNG"
    assert (folder / "000000009.txt").read_text() == "words, 9"
    sidecar = json.loads((folder / "000000009.json").read_text())
    assert (sidecar["key"], sidecar["original_key"], sidecar["merged_tags"]) == ("000000009", "source-9", "oil, light")
    with open(project.output / "metadata.csv", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[:3] == [
        ["video", "prompt"],
        ["images/00000/000000000.jpg", "words, 0"],
        ["images/00000/000000001.png", "words, 1"],
    ]
    items = list(Source(str(project.output)).items())  # what reads it next
    assert [item["key"] for item in items] == good and items[0]["original_key"] == "source-0"


@pytest.mark.slow
def test_killed_and_run_again_it_asks_for_no_file_that_it_has(project, variables):
    with WebServer(lambda path: slowly(0.02, (200, photograph(1)))) as server:
        addresses = [f"{server.url}/{number}" for number in range(600)]
        write_table(project, addresses)
        launcher = project.launch(*RUN, **variables)
        wait_until(lambda: len(list((project.output / "records").glob("*"))) > 100)
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        wait_until(lambda: not project.processes())
        had = {json.loads(path.read_text())["key"] for path in (project.output / "records").iterdir()}
        before = dict(server.asked)
        done = project.run(*RUN, GPU_COUNT=3, **variables)
    assert done.returncode == 0, done.stdout
    asked_again = {f"source-{path[1:]}" for path, count in server.asked.items() if count > before.get(path, 0)}
    assert not asked_again & had and len(had) > 100
    rows = parquet.read_table(project.output / "full_metadata.parquet").to_pylist()
    assert [row["url"] for row in rows] == addresses and {row["status"] for row in rows} == {"success"}
    assert len(list((project.output / "images" / "00000").iterdir())) == 3 * 600


@pytest.mark.slow
def test_rows_that_have_moved_do_not_overwrite_each_other(project, variables):
    with WebServer() as server:
        write_table(project, [f"{server.url}/a", f"{server.url}/b"])
        assert project.run(*RUN, **variables).returncode == 0
        text = (project.folder / "urls.csv").read_text().splitlines()
        (project.folder / "urls.csv").write_text("\n".join([text[0], f"new,{server.url}/c,words,m,t,t", *text[1:]]))
        done = project.run(*RUN, **variables)
    assert done.returncode == 3, done.stdout
    [failure] = (project.output / "failures").iterdir()
    assert "the place of row 1 holds the file of " in json.loads(failure.read_text())["message"]


@pytest.mark.slow
def test_an_input_that_is_nowhere_is_said_with_both_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(
        DatasetError, match=r"there is no .*nobody/nothing.* and no dataset of that name on the Hub that can"
    ):
        list(Source("nobody/nothing", config_folder=tmp_path).items())


@pytest.mark.slow
def test_a_dataset_on_the_hub_is_an_input_by_its_name(project, variables):
    import io

    import pyarrow as pa

    pytest.importorskip("datasets")
    with WebServer() as server, FakeHub() as hub:
        rows = [
            dict(zip(COLUMNS, [f"source-{n}", f"{server.url}/{n}", f"words {n}", "m", "t", "t"], strict=True))
            for n in range(3)
        ]
        stream = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(rows), stream)
        hub.add("tomg-group-umd/ContraStyles", "data/train-00000-of-00001.parquet", stream.getvalue())
        given = {"INPUT": "", **hub.environment(project.folder / "hub")}
        done = project.run(*RUN, **variables | given)
    assert done.returncode == 0, done.stdout
    full = parquet.read_table(project.output / "full_metadata.parquet").to_pylist()
    assert [row["original_key"] for row in full] == ["source-0", "source-1", "source-2"]
    assert parquet.read_schema(project.output / "urls.parquet").names == [
        "url",
        "caption",
        "original_key",
        "md5",
        "tags",
        "merged_tags",
    ]
