"""verify reads everything back, says what is wrong, and mends it so that one more run completes."""

import orjson
import pytest

from shared.commands.verify import NOT_WHOLE, SHOWN, verify_run
from shared.errors import RunError
from shared.files.claims import Claims
from tests.files.test_crashes import end, start
from tests.run.test_advance import Bench, Upper


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items(*"abcdef")
    return bench


@pytest.fixture
def run(bench):
    run = bench.run(Upper())
    bench.complete(run)
    return run


def verify(run, repair: bool = False) -> tuple[int, list[str]]:
    said: list[str] = []
    return verify_run(run, repair, said.append), [line.replace(f"{run.steps[0].folder}/", "") for line in said]


WHOLE = ["step 1 (s1): items 6 = 0 missing + 6 recorded + 0 failed", "everything that is recorded is whole"]


def spoil(kind: str, step) -> None:
    records = step.folder / "records"
    if kind == "empty":
        (records / "a.json").write_bytes(b"")
    elif kind == "torn":
        (records / "a.json").write_bytes((records / "a.json").read_bytes()[:20])
    elif kind == "list":
        (records / "a.json").write_text("[]")
    elif kind == "other key":
        (records / "a.json").write_bytes((records / "b.json").read_bytes())
    elif kind == "files":
        (records / "a.json").write_text('{"key": "a", "files": []}')
    elif kind == "no image":
        (records / "a.json").write_text('{"key": "a", "files": {"drawn/a.png": {"bytes": 3, "sha256": "x"}}}')
    elif kind == "other image":
        (step.folder / "drawn").mkdir()
        (step.folder / "drawn" / "a.png").write_bytes(b"abc")
        (records / "a.json").write_text('{"key": "a", "files": {"drawn/a.png": {"bytes": 3, "sha256": "x"}}}')
    elif kind == "foreign":
        (records / "gone").mkdir()
        (records / "gone" / "z.json").write_text('{"key": "gone/z"}')
    elif kind == "doubled":
        (step.folder / "failures").mkdir(exist_ok=True)
        (step.folder / "failures" / "b.json").write_text('{"key": "b", "attempts": 1}')
    elif kind == "torn failure":
        (step.folder / "failures").mkdir(exist_ok=True)
        (step.folder / "failures" / "b.json").write_text('{"key": "b"')
        (records / "b.json").unlink()
    elif kind == "half":
        end(start(step.folder, "a"))
    elif kind == "end file":
        (records / "a.json").unlink()
    elif kind == "table":
        step.result_path.write_bytes(step.result_path.read_bytes()[:-5])
    elif kind == "input":
        step.table_path.write_bytes(step.table_path.read_bytes()[:-5])


def test_a_whole_run_is_found_whole_and_left_alone(run):
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()}
    assert verify(run) == (0, WHOLE)
    assert verify(run, repair=True) == (0, WHOLE)
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path.is_file()} == before


FOUND = {
    "empty": "torn: records/a.json is not whole: ",
    "torn": "torn: records/a.json is not whole: ",
    "list": "torn: records/a.json is not whole: ",
    "other key": "torn: records/a.json is not whole: it states the key 'b'",
    "files": "torn: records/a.json is not whole: ",
    "no image": "torn: records/a.json is not whole: its image drawn/a.png is not there",
    "other image": "torn: records/a.json is not whole: its image drawn/a.png is not the one that was written",
    "foreign": "foreign: records/gone/z.json is about an item that is not in the input",
    "doubled": "doubled: b has a record and a failure",
    "torn failure": "torn: failures/b.json is not whole: ",
    "half": "half: parts/0 was left by a worker that died",
    "end file": "end file: end0.txt is there, and 1 items of the step are missing",
    "table": "torn: line 6 of result.jsonl is cut off",
    "input": "torn: line 6 of result.jsonl is cut off",
}


@pytest.mark.parametrize("kind", FOUND)
def test_what_is_wrong_is_said_and_mended(bench, run, kind):
    spoil(kind, run.steps[0])
    status, lines = verify(run)
    assert status == NOT_WHOLE
    label = "the input: " if kind == "input" else "step 1 (s1): "
    assert lines[0].startswith(label + FOUND[kind]), lines
    count = (
        2 if FOUND[kind].startswith(("torn: records", "torn: failures")) else 1
    )  # its end file says too much as well
    assert lines[-1] == f"{count} things found; ./launcher.sh verify --repair mends them, then run again"
    assert verify(run)[1] == lines  # looking changes nothing
    status, lines = verify(run, repair=True)
    assert status == NOT_WHOLE
    assert lines[-1] == f"{count} things found and mended where they could be; run again to make what is missing"
    assert verify(run)[0] == 0
    bench.complete(run)
    assert verify(run) == (0, WHOLE)
    assert [row["value"] for row in bench.rows(run)] == list("ABCDEF")


def test_an_end_file_goes_with_the_torn_record_that_it_counted(run):
    spoil("torn", run.steps[0])
    assert verify(run)[1][1:3] == [
        "step 1 (s1): end file: end0.txt is there, and 1 items of the step are missing",
        "step 1 (s1): items 6 = 1 missing + 5 recorded + 0 failed",
    ]
    verify(run, repair=True)
    assert verify(run)[1][0] == "step 1 (s1): items 6 = 1 missing + 5 recorded + 0 failed"
    assert not (run.steps[0].folder / "end0.txt").exists()


def test_foreign_records_are_kept_aside_with_their_folders(run):
    spoil("foreign", run.steps[0])
    verify(run, repair=True)
    assert orjson.loads((run.steps[0].folder / "foreign" / "records" / "gone" / "z.json").read_bytes()) == {
        "key": "gone/z"
    }


def test_what_a_dead_worker_had_in_flight_is_noted_when_its_half_is_cleared(run):
    spoil("half", run.steps[0])
    (run.steps[0].folder / "records" / "a.json").unlink()
    verify(run, repair=True)
    assert (run.steps[0].folder / "crashes.jsonl").read_text() == '{"key":"a","alone":false}\n'
    assert not any((run.steps[0].folder / "parts").iterdir())


def test_everything_is_found_at_once(run):
    for kind in ("foreign", "doubled", "torn", "half"):
        spoil(kind, run.steps[0])
    status, lines = verify(run)
    kinds = sorted(line.split(": ")[1] for line in lines[:5])
    assert (status, kinds) == (NOT_WHOLE, ["doubled", "end file", "foreign", "half", "torn"])


def test_of_many_alike_only_some_are_shown(bench):
    bench.items(*(f"{number:02d}" for number in range(SHOWN + 5)))
    run = bench.run(Upper())
    bench.complete(run)
    for path in (run.steps[0].folder / "records").iterdir():
        path.write_bytes(b"")
    _, lines = verify(run)
    assert len([line for line in lines if "is not whole" in line]) == SHOWN
    assert "step 1 (s1): torn: 5 more" in lines
    assert lines[-1].startswith(f"{SHOWN + 6} things found")


def test_a_run_that_is_at_work_is_not_repaired(run):
    worker = start(run.steps[0].folder, "a")
    with pytest.raises(RunError, match=r"step 1 \(s1\) is being worked on; stop that run first, then repair"):
        verify(run, repair=True)
    assert verify(run)[0] == 0  # its parts are its own business
    end(worker)


def test_a_run_that_has_not_begun_holds_nothing(bench, tmp_path):
    run = bench.run(Upper())
    with pytest.raises(RunError, match=r"holds no run yet; start it with ./launcher.sh"):
        verify(run)
    bench.advance(run)
    run.steps[0].folder.rename(tmp_path / "away")
    assert verify(run) == (0, ["step 1 (s1): not begun", "everything that is recorded is whole"])
    assert Claims(tmp_path / "away" / "claims").take(0, 1)
