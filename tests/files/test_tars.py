"""Images that are members of tars: read like files, in the form of WebDataset, whole or absent however their writer ended."""

import io
import tarfile

import numpy as np
import orjson
import pytest
from PIL import Image

from shared.errors import ImageError
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.tar_writer import TarWriter
from shared.images import ImageFile, may_be_there, open_image, read_bytes
from shared.tars.members import index_of_tar, inside_tar, member_size
from tests.files.killing import killed_at_each

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def records(tmp_path):
    (tmp_path / "parts").mkdir()
    return Records(tmp_path)


@pytest.fixture
def write(records):
    writers = []

    def settle(**found):
        writer = RecordWriter(records, records.folder / "parts", "f1", packer="0", in_tars=True)
        writers.append(writer)
        outcomes = [Outcome(key, value) for key, value in found.items()]
        writer.write(outcomes)
        writer.close()
        return outcomes

    return settle


def image(path: str, value: int = 0) -> ImageFile:
    return ImageFile(path, PIXELS + np.uint8(value))


def test_a_record_names_the_member_and_it_is_read_like_a_file(records, write):
    write(**{"in/a.jpg": {"output_image_path": image("data/a.png", 7), "mask_path": image("m/a.webp")}})
    record = records.read("in/a.jpg")
    assert record["output_image_path"] == "tars/0-0.tar/in/a%2Ejpg.output_image_path.png"
    records.check_files(record)
    path = records.folder / record["output_image_path"]
    assert np.array_equal(np.asarray(open_image(path)), PIXELS + 7)
    assert member_size(path) == record["files"][record["output_image_path"]]["bytes"] == len(read_bytes(path))
    assert may_be_there(str(path)) and not may_be_there(f"{path}x")
    with pytest.raises(ImageError, match="does not exist"):
        read_bytes(f"{path}x")
    with pytest.raises(ImageError, match="does not exist"):
        read_bytes(records.folder / "tars" / "9-9.tar" / "a.png")
    assert sorted(one.name for one in records.folder.iterdir()) == ["packed", "parts", "tars"]
    assert inside_tar("/a/b.tar") is None and inside_tar("/a/b.png") is None


def test_the_tar_is_one_that_webdataset_reads(records, write):
    write(a={"x_path": image("x/a.png"), "n": 1}, b={"x_path": image("x/b.jpg")}, c={"n": 2})
    write(**{"d.e": {"x_path": image("x/d.png")}})
    with tarfile.open(records.folder / "tars" / "0-0.tar") as file:
        names = file.getnames()
        assert names == ["a.x_path.png", "a.json", "b.x_path.jpg", "b.json", "d%2Ee.x_path.png", "d%2Ee.json"]
        assert orjson.loads(file.extractfile("a.json").read()) == records.read("a")
        assert Image.open(io.BytesIO(file.extractfile("b.x_path.jpg").read())).size == (4, 4)
    assert records.read("c")["n"] == 2


def test_a_full_tar_is_followed_by_the_next(records, write, monkeypatch):
    monkeypatch.setattr(TarWriter, "bytes_of_a_file", 4000)
    for number in range(6):
        write(**{f"k{number}": {"x_path": image("x.png", number)}})
    assert sorted(path.name for path in (records.folder / "tars").glob("*.tar")) == ["0-0.tar", "0-1.tar", "0-2.tar"]
    for number in range(6):
        record = records.read(f"k{number}")
        assert np.array_equal(np.asarray(open_image(records.folder / record["x_path"])), PIXELS + np.uint8(number))


def test_without_its_index_a_tar_is_read_and_gone_on_with(records, write):
    write(a={"x_path": image("x.png", 1)}, b={"x_path": image("x.png", 2)})
    index_of_tar(records.folder / "tars" / "0-0.tar").unlink()
    write(c={"x_path": image("x.png", 3)})
    for key, value in zip("abc", (1, 2, 3), strict=True):
        path = records.folder / records.read(key)["x_path"]
        assert np.array_equal(np.asarray(open_image(path)), PIXELS + np.uint8(value))
    with tarfile.open(records.folder / "tars" / "0-0.tar") as file:
        assert file.getnames() == [f"{key}.{end}" for key in "abc" for end in ("x_path.png", "json")]


def test_what_was_rejected_is_a_file_to_be_looked_at(records, write):
    from shared.images import Rejected

    write(a=Rejected("too dark", {"thumbnail_path": image("thumbnails/a.png")}))
    assert records.read_failure("a")["thumbnail_path"] == "thumbnails/a.png"
    assert (records.folder / "thumbnails" / "a.png").exists()


# Two groups of records with images.
WORK = """
def work(step, parts):
    writer = RecordWriter(Records(step), parts, "f", "0", threads=1, in_tars=True)
    for number, group in enumerate(("abc", "de")):
        pixels = np.full((8, 8, 3), number, np.uint8)
        writer.write([Outcome(key, {"image_path": ImageFile("x.png", pixels)}) for key in group])
"""


def test_whenever_the_process_is_killed_a_next_one_ends_with_each_image_once(tmp_path):
    last, seen = killed_at_each(tmp_path, "write pwrite fsync fdatasync replace open close", WORK), set()
    assert last > 30
    for fatal in range(1, last + 1):
        records = Records(tmp_path / str(fatal))
        found = [key for key in "abcde" if records.is_recorded(key)]
        seen.add(len(found))
        for key in found:
            records.check_files(records.read(key))
        again = RecordWriter(records, tmp_path / str(fatal) / "parts", "f", "0", threads=1, in_tars=True)
        left = [key for key in "abcdef" if key not in found]
        again.write([Outcome(key, {"image_path": image("x.png", 50)}) for key in left])
        again.close()
        members = []
        for path in sorted((tmp_path / str(fatal) / "tars").glob("*.tar")):
            with tarfile.open(path) as file:
                members += file.getnames()
        assert sorted(members) == sorted(f"{key}.{end}" for key in "abcdef" for end in ("image_path.png", "json")), (
            fatal
        )
        for key in "abcdef":
            path = tmp_path / str(fatal) / records.read(key)["image_path"]
            assert np.asarray(open_image(path))[0, 0, 0] == (50 if key in left else "abc".find(key) < 0)
    assert {0, 3, 5} <= seen
