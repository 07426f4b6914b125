"""Which settings may change over what lies in a step's folder, and which may not."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from shared.errors import ConfigError, RunError
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.small_files import read_json, write_json
from shared.files.states import FAILED, OPEN, RECORDED, item_states
from shared.files.table import Table
from shared.run.advance import advance, check_changes
from shared.run.config import RunConfig, StepConfig, checked
from shared.run.run import Run
from shared.run.settings import comparable
from shared.worker import Worker
from tests.conftest import ROOT


@dataclass
class Asks(Worker):
    """Ask a model."""

    model_path: str = "a"
    window: int = 0
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {"window"}


@pytest.fixture
def make(tmp_path):
    """A run over two items, its step prepared."""
    (tmp_path / "items.jsonl").write_bytes(b"".join(orjson.dumps({"key": key}) + b"\n" for key in "ab"))

    def make(**options) -> Run:
        step = StepConfig(1, "asks", "", Asks(**options))
        config = RunConfig(tmp_path / "run.yaml", str(tmp_path / "items.jsonl"), image_key=None, steps=[step])
        run = Run(config, tmp_path / "out")
        check_changes(run, "error", print)
        advance(run, print)
        return run

    return make


def settle(run: Run, key: str, found: dict | Exception) -> None:
    step, parts = run.steps[0], run.folder / "parts"
    parts.mkdir()
    writer = RecordWriter(step.records, parts, step.fingerprint, threads=1)
    writer.write([Outcome(key, found)])
    writer.close()
    parts.rmdir()


def states(run: Run) -> list[int]:
    step = run.steps[0]
    return item_states(Table(step.table_path), step.records).tolist()


def test_where_no_record_exists_every_option_may_change(make):
    make(model_path="missing")
    assert read_json(make(model_path="b", max_attempts=1).steps[0].settings_path)["settings"]["model_path"] == "b"


def test_where_one_record_exists_the_change_is_said(make):
    settle(make(), "a", {"words": "soft"})
    with pytest.raises(RunError, match=r'step 1 \(asks\): model_path: "b" was "a"'):
        make(model_path="b")


def test_what_only_changes_speed_or_fit_may_change_and_the_records_stay(make):
    settle(make(), "a", {"words": "soft"})
    assert states(make(window=4096)) == [RECORDED, OPEN]


def test_failures_of_other_settings_say_nothing_and_those_of_the_same_count(make):
    run = make(max_attempts=1)
    settle(run, "a", ValueError("too long"))
    assert states(make(max_attempts=1)) == [FAILED, OPEN]
    assert states(make(max_attempts=1, model_path="b")) == [OPEN, OPEN]
    assert not list(Path(run.steps[0].records.failures).rglob("*.json"))


def test_failures_beside_records_stay_whatever_is_kept(make):
    run = make(max_attempts=1)
    settle(run, "a", {"words": "soft"})
    settle(run, "b", ValueError("too long"))
    assert states(make(max_attempts=1, window=9)) == [RECORDED, FAILED]


HOLDS_A_SLOT = """
import pathlib, sys
from shared.files.claims import Claims
claims = Claims(pathlib.Path(sys.argv[1]))
print(claims.take_slot(), flush=True)
sys.stdin.read()
"""


def test_a_step_that_is_being_worked_on_may_not_change(make):
    place = make().steps[0].claims_path
    command = [sys.executable, "-c", HOLDS_A_SLOT, place]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline()
        with pytest.raises(RunError, match="was made with other settings"):
            make(model_path="b")
        other.communicate()
    make(model_path="b")


def test_an_option_that_came_with_a_new_version_is_no_change_while_it_has_its_default(make):
    run = make()
    settle(run, "a", {"words": "soft"})
    place = run.steps[0].settings_path
    made = read_json(place)
    del made["settings"]["model_path"]  # as a version without that option
    made["settings"]["window"] = 2048  # and with one that counted then
    write_json(place, made)
    with pytest.raises(RunError, match='model_path: "b" was "a"'):
        make(model_path="b")
    assert states(make()) == [RECORDED, OPEN]


def test_the_tables_of_a_run_that_was_moved_are_made_anew_once(make, tmp_path):
    run = make()
    settle(run, "a", {"image_path": "x.png"})
    settle(run, "b", {})
    assert advance(run, print).collected == 1
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    moved = Run(run.config, tmp_path / "elsewhere")
    assert [advance(moved, print).collected for _ in range(2)] == [1, 0]
    assert Table(moved.steps[0].result_path)[0]["image_path"] == str(tmp_path / "elsewhere" / "step_1_asks" / "x.png")


def test_the_records_lie_in_the_folder_that_the_config_names(make):
    run = make(records_name="captions")
    settle(run, "a", {"words": "soft"})
    assert sorted(path.name for path in (run.steps[0].folder / "captions").iterdir()) == ["a.json"]
    assert states(make(records_name="captions")) == [RECORDED, OPEN]


@pytest.mark.parametrize("name", ["failures", "data-train", "../elsewhere", "a/b", ".hidden", ""])
def test_a_folder_that_is_taken_or_none_is_refused(name):
    with pytest.raises(ConfigError, match=r"step 1 \(asks\): records_name "):
        checked(Asks, {"records_name": name}, "step 1 (asks)")


def test_a_step_with_an_option_that_is_needed_is_compared_as_others_are():
    @dataclass
    class Needs(Worker):
        model: str
        size: int = 3

    worker = Needs(model="a")
    assert comparable({"seed": 1}, worker) | {"model": "a"} == {
        "seed": 1,
        "records_name": "records",
        "size": 3,
        "model": "a",
    }
    assert "model" not in comparable({"seed": 1}, worker)
