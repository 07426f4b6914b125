"""What dead workers leave behind is noted and cleared, and an item that kills workers is found."""

import os
import signal
import subprocess
import sys

import pytest

from shared.files.claims import Claims
from shared.files.crashes import Journal, read_lines, recover, suspects
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from tests.conftest import ROOT

WORKER = """
import os, signal, sys
from pathlib import Path
from shared.files.claims import Claims
from shared.files.crashes import Journal
folder, alone, *keys = sys.argv[1:]
slot = Claims(Path(folder) / "claims").take_slot()
journal = Journal(Path(folder) / "parts" / str(slot))
journal.begin(keys, alone == "alone")
(journal.path.parent / "7").write_text("half a rec")
print(slot, flush=True)
signal.pause()
"""


@pytest.fixture
def records(tmp_path):
    return Records(tmp_path)


def start(folder, *keys, alone="with others"):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder), alone, *keys], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    process.slot = int(process.stdout.readline())
    return process


def end(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def crash(records, *keys, alone="with others"):
    end(start(records.folder, *keys, alone=alone))
    recover(records.folder / "parts", Claims(records.folder / "claims"), records)


def test_a_dead_worker_is_noted_and_its_half_files_go(records):
    end(start(records.folder, "a", "b"))
    parts = records.folder / "parts"
    assert (parts / "0" / "7").exists()
    recover(parts, Claims(records.folder / "claims"), records)
    assert list(parts.iterdir()) == []
    assert read_lines(records.folder / "crashes.jsonl") == [{"key": "a", "alone": False}, {"key": "b", "alone": False}]


def test_a_living_workers_files_are_its_own_business(records):
    living, dead = start(records.folder, "a"), start(records.folder, "b")
    assert (living.slot, dead.slot) == (0, 1)
    end(dead)
    recover(records.folder / "parts", Claims(records.folder / "claims"), records)
    assert [path.name for path in (records.folder / "parts").iterdir()] == ["0"]
    assert read_lines(records.folder / "crashes.jsonl") == [{"key": "b", "alone": False}]
    end(living)


def test_what_its_predecessor_left_in_a_workers_own_slot_is_noted_too(records):
    end(start(records.folder, "a"))
    claims = Claims(records.folder / "claims")
    assert claims.take_slot() == 0
    recover(records.folder / "parts", claims, records, own_slot=0)
    assert read_lines(records.folder / "crashes.jsonl") == [{"key": "a", "alone": False}]


def test_what_was_settled_before_the_crash_is_not_blamed(records):
    process = start(records.folder, "a", "b", "c")
    writer = RecordWriter(records, records.folder / "parts" / "0", "f")
    writer.write([Outcome("a", {}), Outcome("b", ValueError())])
    writer.close()
    end(process)
    recover(records.folder / "parts", Claims(records.folder / "claims"), records)
    assert read_lines(records.folder / "crashes.jsonl") == [{"key": "c", "alone": False}]


def test_a_file_that_is_none_of_ours_does_not_stop_the_recovery(records):
    end(start(records.folder, "a"))
    (records.folder / "parts" / ".nfs0001").touch()
    recover(records.folder / "parts", Claims(records.folder / "claims"), records)
    assert read_lines(records.folder / "crashes.jsonl") == [{"key": "a", "alone": False}]


def test_an_item_in_flight_at_two_crashes_is_tried_alone_and_after_that_it_is_deadly(records):
    crash(records, "a", "b")
    assert suspects(records) == (set(), set())
    crash(records, "b", "c")
    assert suspects(records) == ({"b"}, set())
    crash(records, "b", alone="alone")
    assert suspects(records) == ({"b"}, {"b"})


def test_a_deadly_item_that_was_recorded_as_a_failure_gets_its_next_try_alone(records):
    for alone in ("with others", "with others", "alone"):
        crash(records, "b", alone=alone)
    (records.folder / "parts" / "0").mkdir(parents=True)
    writer = RecordWriter(records, records.folder / "parts" / "0", "f")
    writer.write([Outcome("b", RuntimeError("it died"))])
    assert suspects(records) == (set(), set())  # settled
    assert records.retry_failures(3) == 1
    assert suspects(records) == ({"b"}, set())  # the next run tries it once more, and alone
    crash(records, "b", alone="alone")
    assert suspects(records) == ({"b"}, {"b"})
    writer.close()


def test_an_item_that_was_begun_twice_has_died_once(records):
    crash(records, "a", "a")
    assert suspects(records) == (set(), set())


def test_a_recorded_item_is_no_suspect(records):
    for _ in range(3):
        crash(records, "a")
    (records.folder / "parts" / "0").mkdir(parents=True)
    writer = RecordWriter(records, records.folder / "parts" / "0", "f")
    writer.write([Outcome("a", {})])
    writer.close()
    assert suspects(records) == (set(), set())


def test_a_line_that_a_crash_cut_off_is_left_out(tmp_path):
    path = tmp_path / "begun.jsonl"
    path.write_bytes(b'{"key":"a","alone":false}\n\0\0\0\n{"key":"b","alone":true}\n{"key":"c","alo')
    assert read_lines(path) == [{"key": "a", "alone": False}, {"key": "b", "alone": True}]
    assert read_lines(tmp_path / "nowhere") == []


def test_the_journal_forgets_what_is_settled_and_keeps_what_is_not(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "parts" / "0")
    keys = {"a": None, "b": None}
    journal.begin(list(keys))
    journal.forget(keys)
    assert [line["key"] for line in read_lines(journal.path)] == ["a", "b"]  # short enough to stay
    monkeypatch.setattr("shared.files.crashes.JOURNAL_BYTES", 10)
    journal.forget({"b": None})
    assert [line["key"] for line in read_lines(journal.path)] == ["b"]
    journal.forget({})
    assert journal.path.read_bytes() == b""
    journal.begin(["c"])
    assert [line["key"] for line in read_lines(journal.path)] == ["c"]
    os.close(journal.descriptor)


def test_a_key_with_any_character_is_noted(records):
    crash(records, "new\nline", 'quote"', "ü")
    assert [line["key"] for line in read_lines(records.folder / "crashes.jsonl")] == ["new\nline", 'quote"', "ü"]
