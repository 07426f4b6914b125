"""verify reads the lines of packs back, and mends them so that one more run completes; unpack makes files of them."""

import hashlib
import os
import signal
import subprocess
import sys

import orjson
import pytest

from shared.commands.unpack import unpack_run
from shared.commands.verify import NOT_WHOLE
from shared.errors import RunError
from shared.files.pack import LINE_ENTRY, index_of, lines_of_file
from shared.files.pack_writer import Line, PackWriter
from shared.seeding import name_hash
from tests.commands.test_verify import WHOLE, verify
from tests.conftest import ROOT
from tests.files.killing import COUNTED
from tests.files.test_crashes import end, start
from tests.run.test_advance import Bench, Upper


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items(*"abcdef")
    return bench


@pytest.fixture
def run(bench):
    run = bench.run(Upper(records="packed"))
    bench.complete(run)
    return run


def append(pack, name: str, **record) -> None:
    writer = PackWriter(pack, name)
    writer.append([Line(name_hash(record["key"]), 1, orjson.dumps(record) + b"\n")])
    writer.close()


def spoil(kind: str, step) -> None:
    records = step.records
    [path] = records.packed.files()
    text, index = path.read_bytes(), index_of(path).read_bytes()
    if kind == "torn":
        path.write_bytes(text.replace(b'"value":"A"', b'"value" "A"'))
    elif kind == "other key":
        path.write_bytes(text.replace(b'"key":"a"', b'"key":"z"'))
    elif kind == "no image":
        path.write_bytes(text.replace(b'"value":"A"', b'"files":{1}'))
    elif kind == "blank":
        first = text.index(b"\n")
        path.write_bytes(b" " * first + text[first:])
    elif kind == "image":
        append(
            records.packed,
            "5",
            key="x",
            files={"drawn/a.png": {"bytes": 3, "sha256": hashlib.sha256(b"abc").hexdigest()}},
        )
    elif kind == "foreign":
        append(records.packed, "5", key="gone/z", value=1)
    elif kind == "two":
        append(records.packed, "5", key="b", value="B", fingerprint=step.fingerprint)
    elif kind == "file too":
        records.records.mkdir()
        records.record_path("b").write_text('{"key": "b", "value": "B"}')
    elif kind == "doubled":
        append(records.packed_failures, "5", key="b", attempts=1)
    elif kind == "torn failure":
        records.packed_failures.folder.mkdir()
        (records.packed_failures.folder / "5-0.jsonl").write_text('{"key":"b" "attempts":1}\n')
        index_of(records.packed_failures.folder / "5-0.jsonl").write_bytes(
            index[LINE_ENTRY.itemsize : 2 * LINE_ENTRY.itemsize]
        )
    elif kind == "half":
        path.write_bytes(text + b'{"key":"h')
    elif kind == "index lost":
        index_of(path).unlink()
    elif kind == "index of another":
        index_of(path).write_bytes(index[LINE_ENTRY.itemsize :] + index[: LINE_ENTRY.itemsize])
    elif kind == "index shifted":
        sizes = bytearray(index)
        sizes[12], sizes[28] = sizes[12] + 1, sizes[28] - 1
        index_of(path).write_bytes(bytes(sizes))


FOUND = {
    "torn": "torn: line 1 of packed/records/0-0.jsonl is not whole: ",
    "other key": "torn: line 1 of packed/records/0-0.jsonl is not whole: it states the key 'z'",
    "no image": "torn: line 1 of packed/records/0-0.jsonl is not whole: ",
    "blank": "torn: line 1 of packed/records/0-0.jsonl is no record",
    "image": "torn: line 1 of packed/records/5-0.jsonl is not whole: its image drawn/a.png is not there",
    "foreign": "foreign: line 1 of packed/records/5-0.jsonl is about an item that is not in the input",
    "two": "doubled: b has two records",
    "file too": "doubled: b has two records",
    "doubled": "doubled: b has a record and a failure",
    "half": "half: the end of packed/records/0-0.jsonl was left by a worker that died",
    "index lost": "half: the end of packed/records/0-0.jsonl was left by a worker that died",
    "index of another": "torn: line 1 of packed/records/0-0.jsonl is not whole: it states the key 'a'",
    "index shifted": "torn: packed/records/0-0.index does not fit its lines",
}
OPENS_AN_ITEM = ("torn", "other key", "no image", "blank")


def test_a_whole_run_is_found_whole_and_left_alone(run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    assert verify(run) == (0, WHOLE)
    assert verify(run, repair=True) == (0, WHOLE)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before
    assert not run.steps[0].records.records.exists()


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_wrong_is_said_and_mended(bench, run, kind):
    spoil(kind, run.steps[0])
    status, lines = verify(run)
    assert status == NOT_WHOLE
    assert lines[0].startswith("step 1 (s1): " + FOUND[kind]), lines
    if kind in OPENS_AN_ITEM:
        assert "step 1 (s1): items 6 = 1 missing + 5 recorded + 0 failed" in lines
        assert "step 1 (s1): end file: end0.txt is there, and 1 items of the step are missing" in lines
    assert verify(run)[1] == lines  # looking changes nothing
    assert verify(run, repair=True)[0] == NOT_WHOLE
    assert verify(run)[0] == 0
    bench.complete(run)
    assert verify(run) == (0, WHOLE)
    assert [row["value"] for row in bench.rows(run)] == list("ABCDEF")
    if kind == "foreign":
        aside = run.steps[0].folder / "foreign" / "records" / "gone" / "z.json"
        assert orjson.loads(aside.read_bytes()) == {"key": "gone/z", "value": 1}


def test_a_failure_that_is_torn_opens_its_item(bench, tmp_path):
    bench.items(*"abcdef", b={"bad": True})
    run = bench.run(Upper(records="packed"))
    bench.complete(run)
    [path] = run.steps[0].records.packed_failures.files()
    path.write_bytes(path.read_bytes().replace(b'"error":', b'"error" '))
    status, lines = verify(run)
    assert status == NOT_WHOLE
    assert lines[0].startswith("step 1 (s1): torn: line 1 of packed/failures/0-0.jsonl is not whole: ")
    assert "step 1 (s1): items 6 = 1 missing + 5 recorded + 0 failed" in lines
    verify(run, repair=True)
    bench.items(*"abcdef")
    bench.complete(run)
    assert verify(run) == (0, WHOLE)


def test_the_end_of_a_file_that_a_living_worker_writes_is_its_own_business(run):
    worker = start(run.steps[0].folder, "a")
    assert worker.slot == 0
    spoil("half", run.steps[0])
    assert verify(run) == (0, WHOLE)
    end(worker)
    assert verify(run)[0] == NOT_WHOLE


def test_packed_and_not_packed_runs_make_the_same_tables(bench, run):
    packed = run.steps[0].result_path.read_bytes()
    for path in run.folder.glob("step_1*"):
        path.rename(run.folder / "aside")
    bench.complete(bench.run(Upper(records="json")))
    assert run.steps[0].result_path.read_bytes() == packed


def test_a_large_step_is_packed_by_itself_and_a_small_one_is_not(bench, monkeypatch):
    monkeypatch.setattr("shared.run.run.PACKED_FROM", 6)
    run = bench.run(Upper())
    bench.complete(run)
    assert run.steps[0].records.packed.files() and not run.steps[0].records.records.exists()
    bench.items(*"abcde")
    bench.complete(run)
    assert [row["key"] for row in bench.rows(run)] == list("abcde")
    bench.items(*"abcdex")
    monkeypatch.setattr("shared.run.run.PACKED_FROM", 7)
    bench.complete(run)  # what is there stays as it is, what comes is a file
    assert [path.name for path in run.steps[0].records.records.iterdir()] == ["x.json"]
    assert [row["value"] for row in bench.rows(run)] == list("ABCDEX")


def test_unpacked_records_are_the_files_that_would_have_been_written(bench, run, monkeypatch):
    monkeypatch.setattr("shared.commands.unpack.FILES_TOGETHER", 4)
    said: list[str] = []
    step = run.steps[0]
    table = step.result_path.read_bytes()
    assert unpack_run(run, None, said.append) == 0
    assert said == [f"step 1 (s1): 6 records and failures are files now, in {step.folder}"]
    assert not (step.folder / "packed").exists() and not step.parts.exists()
    unpacked = {path.name: path.read_bytes() for path in (step.folder / "records").iterdir()}
    assert verify(run) == (0, WHOLE)
    bench.complete(run)
    assert step.result_path.read_bytes() == table
    said.clear()
    assert unpack_run(run, "s1", said.append) == 0
    assert said == ["step 1 (s1): nothing is packed"]
    step.folder.rename(run.folder / "aside")
    bench.complete(bench.run(Upper(records="json")))
    assert {path.name: path.read_bytes() for path in (step.folder / "records").iterdir()} == unpacked


def test_failures_are_unpacked_too_and_keep_their_attempts(bench):
    bench.items(*"ab", b={"bad": True})
    run = bench.run(Upper(records="packed"))
    bench.complete(run)
    unpack_run(run, None, bench.said.append)
    records = run.steps[0].records
    assert orjson.loads(records.failure_path("b").read_bytes())["attempts"] == 1
    bench.complete(run)
    assert records.read_failure("b")["attempts"] == 2


def test_a_run_that_is_at_work_is_not_unpacked(run):
    worker = start(run.steps[0].folder, "a")
    with pytest.raises(RunError, match=r"step 1 \(s1\) is being worked on; stop that run first, then unpack"):
        unpack_run(run, None, print)
    end(worker)


KILLED = """
import os, signal, sys
from pathlib import Path
from shared.commands.unpack import unpack_step
from tests.run.test_advance import Bench, Upper
folder, fatal, moments = Path(sys.argv[1]), int(sys.argv[2]), 0
{counted}import shared.commands.unpack as unpack
unpack.FILES_TOGETHER, unpack.THREADS = 2, 1
for name in ("replace", "fsync", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
unpack_step(Bench(folder).run(Upper(records="packed")).steps[0])
"""


@pytest.mark.parametrize("fatal", [1, 4, 7, 10, 13, 16])
def test_killed_while_it_unpacks_it_goes_on_and_nothing_is_lost(run, tmp_path, fatal):
    command = [sys.executable, "-c", KILLED.replace("{counted}", COUNTED), str(tmp_path), str(fatal)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    records = run.steps[0].records
    assert all(records.is_recorded(key) and records.read(key)["value"] == key.upper() for key in "abcdef")
    unpack_run(run, None, print)
    assert sorted(os.listdir(records.records)) == [f"{key}.json" for key in "abcdef"]
    assert verify(run) == (0, WHOLE)
    assert list(lines_of_file(records.packed.folder / "0-0.jsonl")) == []
