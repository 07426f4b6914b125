"""Records that are lines of packs keep what files of their own promise: whole or absent, apart from failures, found again."""

import os

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.files.pack import LINE_ENTRY, Pack, index_of, whole_lines
from shared.files.pack_writer import mend
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.states import FAILED, OPEN, RECORDED, ItemStates, item_states
from shared.files.table import Table
from shared.images import ImageFile
from shared.seeding import name_hash
from tests.files.killing import killed_at_each

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
AWKWARD = ["a", "indoor/a.jpg", "../x", "100%", "new\nline", "long" * 100, "a//b", "é", "x.json/y", "x", '"', " "]


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


@pytest.fixture
def settle(records):
    parts = records.folder / "parts" / "0"
    parts.mkdir(parents=True)
    writer = RecordWriter(records, parts, "f1", packer="0")

    def write_found(**found):
        outcomes = [Outcome(key, value, row=row) for row, (key, value) in enumerate(found.items())]
        writer.write(outcomes)
        return outcomes

    yield write_found
    writer.close()


def test_a_record_is_a_line_and_its_images_are_files_that_are_there_before(records, settle):
    [outcome] = settle(a={"value": np.float32(0.5), "image_path": ImageFile("drawn/a.png", PIXELS)})
    assert outcome.recorded
    record = records.read("a")
    assert record["value"] == 0.5 and record["fingerprint"] == "f1"
    records.check_files(record)
    assert sorted(path.name for path in records.folder.rglob("*") if path.is_file()) == [
        "0-0.index",
        "0-0.jsonl",
        "a.png",
    ]


@pytest.mark.parametrize("key", AWKWARD)
def test_keys_that_need_escapes_as_files_are_lines_as_they_are(records, settle, key):
    settle(**{key: {"value": key}})
    assert records.is_recorded(key) and records.read(key)["value"] == key
    assert not records.is_recorded(key + "x")


def test_failures_are_apart_counted_and_tried_again_until_they_are_used_up(records, settle):
    for attempt in (1, 2, 3):
        settle(a=ValueError("no"), b=ValueError("no"))
        assert records.read_failure("a")["attempts"] == attempt
        assert not records.is_recorded("a") and records.is_settled("a")
        assert records.count_failures() == 2
        assert records.retry_failures(max_attempts=3) == (2 if attempt < 3 else 0)
        assert records.is_settled("a") == (attempt == 3)
    assert not (records.failures.exists() or records.retries.exists())
    records.forget_failures()
    assert not records.is_settled("a") and records.read_failure("a") is None


def test_an_item_that_succeeds_at_last_leaves_no_failure(records, settle):
    settle(a=ValueError("no"), b=ValueError("no"))
    records.retry_failures(3)
    settle(a={"value": 1})
    assert records.read_failure("a") is None
    assert records.read_failure("b")["attempts"] == 1
    assert records.is_recorded("a")


def test_failures_that_were_files_go_on_as_lines(records, settle):
    writer = RecordWriter(records, records.folder / "parts" / "0", "f1")
    writer.write([Outcome("a", ValueError("no"))])
    writer.close()
    records.retry_failures(3)
    settle(a=ValueError("no"))
    assert records.read_failure("a")["attempts"] == 2
    records.retry_failures(3)
    settle(a={})
    assert records.read_failure("a") is None


def test_an_item_that_is_forgotten_is_open_and_can_be_recorded_again(records, settle):
    settle(a={"value": 1}, b={"value": 2}, c=ValueError("no"))
    before = records.digest()
    records.forget(["a", "c"])
    assert [records.is_settled(key) for key in "abc"] == [False, True, False]
    assert (records.count(), records.count_failures(), records.digest() == before) == (1, 0, False)
    settle(a={"value": 3})
    assert records.read("a")["value"] == 3 and records.read("b")["value"] == 2
    [path] = records.packed.files()
    index_of(path).unlink()  # what is blank is known without it
    assert Records(records.folder).read("a")["value"] == 3 and records.count() == 2


def test_the_digest_changes_with_every_record_and_only_then(records, settle):
    seen = [records.digest()]
    for change in (
        lambda: settle(a={"value": 1}),
        lambda: settle(b={"value": 1}),
        lambda: records.forget(["a"]),
        lambda: os.utime(records.packed.files()[0], ns=(1, 1)),
    ):
        change()
        seen.append(records.digest())
        assert records.digest() == seen[-1]
    settle(c=ValueError())
    assert records.digest() == seen[-1]
    mend(records.packed.files()[0])
    index_of(records.packed.files()[0]).unlink()
    assert records.digest() == seen[-1]
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("spoil", ["middle", "other"])
def test_reading_a_line_that_is_not_whole_is_an_error(records, settle, spoil):
    settle(a={"value": 1}, b={"value": 2})
    [path] = records.packed.files()
    text = path.read_bytes()
    path.write_bytes(text.replace(b'"value":1', b'"val"e":1') if spoil == "middle" else text.replace(b'"a"', b'"b"'))
    with pytest.raises(ValueError, match=r"."):
        Records(records.folder).read("a")
    with pytest.raises(FileNotFoundError):
        records.read("nobody")


def test_many_records_are_found_one_by_one(records, monkeypatch):
    monkeypatch.setattr("shared.files.pack_lookup.MOST_RECENT", 10)
    monkeypatch.setattr(Pack, "lines_of_a_file", 7)
    (records.folder / "parts").mkdir()
    writer = RecordWriter(records, records.folder / "parts", "f", packer="3")
    for start in range(0, 60, 4):
        writer.write([Outcome(f"{number}", {"value": number}) for number in range(start, start + 4)])
        assert [records.read(f"{number}")["value"] for number in range(start + 4)] == list(range(start + 4))
        assert not records.is_recorded(f"{start + 4}")
    writer.close()


def test_both_forms_are_read_wherever_a_record_lies(records, settle):
    writer = RecordWriter(records, records.folder / "parts" / "0", "f1")
    writer.write([Outcome("file", {"value": 1}), Outcome("bad file", ValueError())])
    writer.close()
    settle(line={"value": 2}, **{"bad line": ValueError()})
    table = Table.write(
        records.folder / "t", ({"key": key} for key in ("file", "line", "none", "bad file", "bad line")), "/"
    )
    assert item_states(table, records).tolist() == [RECORDED, RECORDED, OPEN, FAILED, FAILED]
    assert (records.count(), records.count_failures()) == (2, 2)
    assert sorted(records.record_hashes().tolist()) == sorted(map(name_hash, ("file", "line")))
    assert sorted(failure["key"] for failure in records.read_failures()) == ["bad file", "bad line"]
    assert len(records.sample_failures(9)) == 2 and len(records.sample_failures(1)) == 1


def test_lines_find_their_items_also_where_the_table_is_another_by_now(records, settle):
    table = Table.write(records.folder / "t", ({"key": key} for key in "abc"), "/")
    states = ItemStates(table, records)
    settle(a={}, b=ValueError(), c={})
    assert states.states.tolist() == [OPEN] * 3
    states.look_at_packs()
    assert states.states.tolist() == [RECORDED, FAILED, RECORDED]
    other = Table.write(records.folder / "t", ({"key": key} for key in "xcab"), "/")
    assert item_states(other, records).tolist() == [OPEN, RECORDED, RECORDED, FAILED]
    assert item_states(Table.write(records.folder / "t", iter(()), "/"), records).tolist() == []


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdefgh"), st.sampled_from(("record", "failure", "forget", "retry"))), max_size=25
    )
)
def test_lines_and_files_answer_alike_whatever_happens(tmp_path_factory, events):
    answers = []
    for packer in ("", "0"):
        folder = tmp_path_factory.mktemp("step")
        records = Records(folder)
        (folder / "parts").mkdir()
        writer = RecordWriter(records, folder / "parts", "f", packer)
        for number, (key, event) in enumerate(events):
            if event == "forget":
                records.forget([key])
            elif event == "retry":
                records.retry_failures(2)
            elif not records.is_settled(key):
                writer.write([Outcome(key, {"value": number} if event == "record" else ValueError())])
        writer.close()
        found = {key: records.read(key)["value"] for key in "abcdefgh" if records.is_recorded(key)}
        failed = {key: (records.read_failure(key) or {}).get("attempts") for key in "abcdefgh"}
        settled = [records.is_settled(key) for key in "abcdefgh"]
        answers.append((found, failed, settled, records.count(), records.count_failures()))
    assert answers[0] == answers[1]


# Two groups of records with images, and failures.
WORK = """
def work(step, parts):
    writer = RecordWriter(Records(step), parts, "f", "0", threads=1)
    pixels = np.zeros((8, 8, 3), np.uint8)
    for group in ("abc", "de"):
        found = [{"image_path": ImageFile(f"drawn/{key}.png", pixels), "value": key * 100} for key in group]
        writer.write([*map(Outcome, group, found), Outcome("bad " + group, ValueError("no"))])
"""


def test_whenever_the_process_is_killed_a_next_one_ends_with_each_record_once(tmp_path):
    last, seen = killed_at_each(tmp_path, "write fsync fdatasync replace open truncate close", WORK), set()
    assert last > 30
    for fatal in range(1, last + 1):
        records = Records(tmp_path / str(fatal))
        found = [key for key in "abcde" if records.is_recorded(key)]
        seen.add(len(found))
        for key in found:
            assert records.read(key)["value"] == key * 100
            records.check_files(records.read(key))
        for key in ("bad abc", "bad de"):
            assert (records.read_failure(key) or {"message": "no"})["message"] == "no"
        parts = tmp_path / str(fatal) / "parts" / "1"
        parts.mkdir()
        again = RecordWriter(records, parts, "f", "0", threads=1)
        again.write([Outcome(key, {"value": key * 100}) for key in "abcdef" if not records.is_recorded(key)])
        again.close()
        assert sorted(orjson.loads(one)["key"] for one in records.packed.each()) == list("abcdef")
        for path in records.packed.files():
            entries, end = whole_lines(path, 0, 0)
            assert (end, len(entries)) == (path.stat().st_size, len(index_of(path).read_bytes()) // LINE_ENTRY.itemsize)
    assert {0, 3, 5} <= seen
