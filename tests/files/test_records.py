"""Records are whole or absent, in place after their images, and apart from failures."""

import errno
import hashlib
import io
import os

import numpy as np
import orjson
import pytest
from PIL import Image

from shared.errors import DiskError, disk_error, is_disk_error
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.images import ImageFile, Rejected
from shared.seeding import name_hash
from tests.files.killing import killed_at_each

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "step_1_toy"
    folder.mkdir()
    return Records(folder)


@pytest.fixture
def write(records):
    parts = records.folder / "parts" / "0"
    parts.mkdir(parents=True)
    writer = RecordWriter(records, parts, "f1")

    def write_found(**found):
        outcomes = [Outcome(key, value) for key, value in found.items()]
        writer.write(outcomes)
        return outcomes

    yield write_found
    writer.close()


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_record_holds_the_key_what_was_found_and_the_fingerprint(records, write):
    [outcome] = write(a={"text": "ä\n", "number": np.float32(0.5), "list": [1, None]})
    assert outcome.recorded
    assert (records.folder / "records" / "a.json").read_bytes() == (
        b'{\n  "key": "a",\n  "text": "\xc3\xa4\\n",\n  "number": 0.5,\n'
        b'  "list": [\n    1,\n    null\n  ],\n  "fingerprint": "f1"\n}\n'
    )
    assert names(records.folder) == ["records/a.json"]  # no part is left


def test_an_image_is_in_place_and_its_record_has_its_size_and_checksum(records, write):
    write(
        a={
            "output_image_path": ImageFile("data-train/a_output.png", PIXELS),
            "mask_path": ImageFile("m/a.png", b"as it is"),
        }
    )
    drawn = (records.folder / "data-train" / "a_output.png").read_bytes()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(drawn))), PIXELS)
    assert records.read("a") == {
        "key": "a",
        "output_image_path": "data-train/a_output.png",
        "mask_path": "m/a.png",
        "files": {
            "data-train/a_output.png": {"bytes": len(drawn), "sha256": hashlib.sha256(drawn).hexdigest()},
            "m/a.png": {"bytes": 8, "sha256": hashlib.sha256(b"as it is").hexdigest()},
        },
        "fingerprint": "f1",
    }
    records.check_files(records.read("a"))


def test_every_image_is_renamed_and_its_folder_synced_before_any_record(records, write, monkeypatch):
    happened = []
    replace, fsync = os.replace, os.fsync
    monkeypatch.setattr(os, "replace", lambda part, path: (happened.append(str(path)), replace(part, path)))
    monkeypatch.setattr(
        os, "fsync", lambda fd: (happened.append("sync " + os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))
    )
    write(**{key: {"image_path": ImageFile(f"drawn/{key}.png", PIXELS)} for key in "abc"})
    folder = str(records.folder)
    first_record = happened.index(f"{folder}/records/a.json")
    for key in "abc":
        assert happened.index(f"{folder}/drawn/{key}.png") < happened.index(f"sync {folder}/drawn") < first_record
    assert happened[-1] == f"sync {folder}/records"
    parts = [place for place in happened if "/parts/" in place]
    assert len(parts) == 6
    assert happened[:6] == parts


# A group of records with images, and a failure.
WORK = """
def work(step, parts):
    writer = RecordWriter(Records(step), parts, "f", threads=1)
    pixels = np.zeros((8, 8, 3), np.uint8)
    found = [{"image_path": ImageFile(f"drawn/{key}.png", pixels), "value": key * 100} for key in "abc"]
    writer.write([*map(Outcome, "abc", found), Outcome("bad", ValueError("no"))])
"""


def test_whenever_the_process_is_killed_each_record_is_whole_with_its_image_or_absent(tmp_path):
    last, seen = killed_at_each(tmp_path, "write fsync replace open", WORK), set()
    assert last > 20
    for fatal in range(1, last + 1):
        records = Records(tmp_path / str(fatal))
        found = [key for key in "abc" if records.is_recorded(key)]
        seen.add(len(found))
        for key in found:
            record = records.read(key)
            assert record["value"] == key * 100
            records.check_files(record)
        if (failure := records.failure_path("bad")).exists():
            assert orjson.loads(failure.read_bytes())["message"] == "no"
    assert seen == {0, 1, 2, 3}


def test_a_failure_says_what_when_and_where_and_is_no_record(records, write):
    [outcome] = write(**{"a/b": ValueError("it is broken")})
    assert not outcome.recorded
    assert not records.is_recorded("a/b")
    assert records.is_settled("a/b")
    failure = orjson.loads((records.folder / "failures" / "a" / "b.json").read_bytes())
    assert failure.pop("time")[-6:] == "+00:00"
    assert failure.pop("host")
    assert failure == {
        "key": "a/b",
        "error": "ValueError",
        "message": "it is broken",
        "step": "step_1_toy",
        "attempts": 1,
    }
    assert names(records.folder) == ["failures/a/b.json"]


def test_what_was_rejected_is_kept_beside_its_failure(records, write):
    write(**{"in/a": Rejected("too dark", {"thumbnail_path": ImageFile("thumbnails/in/a.png", PIXELS)})})
    failure = orjson.loads(records.failure_path("in/a").read_bytes())
    assert {name: failure[name] for name in ("key", "error", "message", "thumbnail_path")} == {
        "key": "in/a", "error": "Rejected", "message": "too dark", "thumbnail_path": "thumbnails/in/a.png",
    }  # fmt: skip
    assert np.array_equal(np.asarray(Image.open(records.folder / failure["thumbnail_path"])), PIXELS)
    assert not records.is_recorded("in/a")


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (object(), "TypeError"),
        ({1, 2}, "TypeError"),
        ("\udcff", "TypeError"),
        (2**64, "TypeError"),
        (ImageFile("a.png", np.zeros((2, 2, 7), np.uint8)), "TypeError"),
        (ImageFile("a.png", "no image"), "AttributeError"),
    ],
)
def test_a_value_that_cannot_be_written_is_that_items_failure_and_nobody_elses(records, write, value, error):
    outcomes = write(bad={"value": value}, good={"value": 1})
    assert [outcome.recorded for outcome in outcomes] == [False, True]
    assert orjson.loads(records.failure_path("bad").read_bytes())["error"] == error
    assert names(records.folder) == ["failures/bad.json", "records/good.json"]


def test_a_message_that_is_no_text_can_be_recorded(records, write):
    write(a=ValueError("\udcff"), b=ValueError())
    assert orjson.loads(records.failure_path("a").read_bytes())["message"] == "?"
    assert orjson.loads(records.failure_path("b").read_bytes())["message"] == "ValueError"


def test_attempts_are_counted_over_the_runs_until_they_are_used_up(records, write):
    for attempt in (1, 2, 3):
        write(a=ValueError("no"))
        assert records.read_failure("a")["attempts"] == attempt
        assert records.retry_failures(max_attempts=3) == (attempt < 3)
        assert records.is_settled("a") == (attempt == 3)


def test_an_item_that_succeeds_at_last_leaves_no_failure(records, write):
    write(a=ValueError("no"))
    records.retry_failures(3)
    write(a={"value": 1})
    assert records.read_failure("a") is None
    assert names(records.folder) == ["records/a.json"]


@pytest.mark.parametrize("content", ["", '{"key": "a"', "[]", "{}", '{"attempts": "x"}', "null"])
def test_a_torn_failure_opens_its_item(records, content):
    records.failures.mkdir()
    records.failure_path("a").write_text(content)
    assert records.retry_failures(3) == 0
    assert not records.is_settled("a")


@pytest.mark.parametrize("content", ["", '{"key": "a", "val', "[]", "null", "{}", '{"key": "b"}', "\0" * 30])
def test_reading_a_record_that_is_not_whole_is_an_error(records, content):
    records.records.mkdir()
    records.record_path("a").write_text(content)
    with pytest.raises(ValueError, match=r"."):
        records.read("a")


def test_an_image_that_is_gone_or_has_another_size_is_found(records, write):
    write(a={"image_path": ImageFile("drawn/a.png", PIXELS)})
    image = records.folder / "drawn" / "a.png"
    image.write_bytes(image.read_bytes() + b"x")
    with pytest.raises(ValueError, match=r"its image drawn/a.png has \d+ bytes instead of \d+"):
        records.check_files(records.read("a"))
    image.unlink()
    with pytest.raises(ValueError, match=r"its image drawn/a.png is not there"):
        records.check_files(records.read("a"))


def test_keys_are_listed_as_they_are_also_where_their_names_are_escaped(records, write):
    keys = ["a", "indoor/a.jpg", "../x", "100%", "new\nline", "long" * 100, "a//b", "é", "x.json/y", "x"]
    write(**{key: {} for key in keys})
    assert sorted(records.record_hashes().tolist()) == sorted(map(name_hash, keys))
    assert records.failure_hashes().tolist() == []


def test_a_file_that_states_another_items_key_does_not_count_as_its_record(records):
    records.records.mkdir()
    (records.records / "b%25.json").write_text('{"key": "a"}')
    assert records.record_hashes().tolist() == []


def test_the_digest_changes_with_every_record_and_only_then(records, write):
    seen = [records.digest()]
    for change in (
        lambda: write(a={"value": 1}),
        lambda: write(b={"value": 1}),
        lambda: os.utime(records.record_path("a"), ns=(1, 1)),
        lambda: records.record_path("b").write_text("{}"),
        lambda: records.record_path("b").unlink(),
    ):
        change()
        seen.append(records.digest())
        assert records.digest() == seen[-1]
    assert len(set(seen)) == len(seen)


def test_a_folder_that_cannot_be_written_is_no_items_fault(records, write):
    records.records.write_text("in the way")
    with pytest.raises(
        DiskError, match=r"cannot write under .*: .*; mend that and run again, nothing recorded is lost"
    ):
        write(a={"value": 1})
    assert not records.failures.exists()


def test_a_full_disk_is_told_from_an_items_own_error():
    full = OSError(errno.ENOSPC, "No space left on device")
    sentence = "cannot write under /x: No space left on device; free some space and run again, nothing recorded is lost"
    assert is_disk_error(full)
    assert str(disk_error(full, "/x")) == sentence
    assert not is_disk_error(FileNotFoundError(errno.ENOENT, "gone"))
    assert not is_disk_error(ValueError())
