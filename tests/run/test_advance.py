"""What a run has to do next, also after a kill at the worst moment."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from shared.errors import DatasetError, RunError
from shared.files.step_folder import StepFolder
from shared.files.table import Table
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run import advance as advance_module
from shared.run import collect as collect_module
from shared.run.advance import advance, check_changes
from shared.run.config import RunConfig, StepConfig
from shared.run.run import Run
from shared.worker import Worker


@dataclass
class Upper(Worker):
    """Write each key in capitals."""

    suffix: str = ""
    top: int = 1000
    collect_options: ClassVar[frozenset[str]] = frozenset({"top"})

    def process(self, batch):
        if any(item.get("bad") for item, _ in batch):
            raise ValueError("bad")
        return [{"value": item["key"].upper() + self.suffix} for item, _ in batch]

    def collect(self, rows, step):
        return (row for _, row in zip(range(self.top), rows, strict=False))


class Bench:
    """A run of steps over a JSON-lines file; work() is a worker's part, in this process."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.input = folder / "items.jsonl"
        self.said: list[str] = []

    def items(self, *keys: str, **more) -> None:
        rows = (orjson.dumps({"key": key, **more.get(key, {})}) for key in keys)
        self.input.write_bytes(b"".join(row + b"\n" for row in rows))

    def run(self, *workers: Worker, **top) -> Run:
        steps = [StepConfig(number, "upper", f"s{number}", worker) for number, worker in enumerate(workers, 1)]
        config = RunConfig(self.folder / "run.yaml", str(self.input), image_key=None, steps=steps, **top)
        return Run(config, self.folder / "out")

    def advance(self, run: Run, **more):
        self.said.clear()
        return advance(run, self.said.append, **more)

    def work(self, step) -> None:
        arguments = Place(rank=0, world_size=1, cores=1, gpu=0, parent=None, kill_folder=None)
        Loop(step, arguments).run()

    def complete(self, run: Run, **more):
        begun: set[int] = set()
        while not (reached := self.advance(run, begun=frozenset(begun), **more)).is_complete:
            assert reached.step.number not in begun, self.said
            begun.add(reached.step.number)
            self.work(reached.step)
        return reached

    def rows(self, run: Run, number: int = 1) -> list[dict]:
        return list(Table(run.steps[number - 1].result_path))


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items("a", "b", "c")
    return bench


def test_the_input_is_read_then_each_step_prepared_and_collected(bench):
    run = bench.run(Upper(), Upper(suffix="!"))
    reached = bench.advance(run)
    assert (reached.step.number, reached.left, reached.is_complete) == (1, 3, False)
    assert bench.said == [f"3 items in {bench.input}"]
    bench.work(reached.step)
    reached = bench.advance(run, begun=frozenset({1}))
    assert bench.said[-1].endswith(f"; complete in {bench.folder}/out/step_1_upper_s1, next is step 2 (s2)")
    assert (reached.step.number, reached.left, reached.collected) == (2, 3, 1)
    bench.work(reached.step)
    reached = bench.advance(run, begun=frozenset({1, 2}))
    assert (reached.is_complete, reached.failed, reached.collected) == (True, 0, 1)
    assert bench.said == [
        f"step 2 (s2): 3 items, 3 recorded, 0 failed, 3 rows; complete in {bench.folder}/out/step_2_upper_s2"
    ]
    assert bench.rows(run, 2) == [{"key": key, "value": key.upper() + "!"} for key in "abc"]
    reached = bench.advance(run)
    assert (reached.is_complete, reached.collected, bench.said) == (True, 0, [])


def test_failures_are_counted_and_go_no_further(bench):
    bench.items("a", "b", b={"bad": 1})
    run = bench.run(Upper(), Upper())
    assert bench.complete(run).failed == 1
    assert [row["key"] for row in bench.rows(run, 2)] == ["a"]
    proof = orjson.loads((run.steps[0].folder / "result.json").read_bytes())
    assert {name: proof[name] for name in ("items", "recorded", "failed", "missing", "foreign", "rows")} == {
        "items": 2, "recorded": 1, "failed": 1, "missing": 0, "foreign": 0, "rows": 1,
    }  # fmt: skip


def test_a_launch_opens_the_failures_of_a_step_once(bench):
    bench.items("a", "b", b={"bad": 1})
    run = bench.run(Upper())
    bench.complete(run)
    reached = bench.advance(run)
    assert (reached.left, bench.said) == (1, ["step 1 (s1): 1 failed items are tried again"])
    bench.work(reached.step)
    assert bench.advance(run, begun=frozenset({1})).is_complete  # it was tried
    for _ in range(5):
        bench.complete(run)
    assert orjson.loads((run.steps[0].folder / "failures" / "b.json").read_bytes())["attempts"] == 3


def test_the_input_may_grow_shrink_and_be_put_in_another_order(bench):
    run = bench.run(Upper())
    for keys in ("abc", "abcde", "bd", "dcba"):
        bench.items(*keys)
        os.utime(bench.input, ns=(0, hash(keys) & 0xFFFFFF))
        bench.complete(run)
        assert [row["key"] for row in bench.rows(run)] == list(keys)
    assert sorted(path.name for path in (run.steps[0].folder / "records").iterdir()) == [
        f"{key}.json" for key in "abcde"
    ]
    assert bench.said[-1].startswith("step 1 (s1): 4 items, 4 recorded, 0 failed, 1 foreign, 4 rows; ")


def test_a_cutdown_may_come_and_go(bench):
    run = bench.run(Upper(), Upper())
    assert bench.complete(run, at_most=2)
    assert [row["key"] for row in bench.rows(run, 2)] == ["a", "b"]
    assert bench.complete(run)
    assert [row["key"] for row in bench.rows(run, 2)] == ["a", "b", "c"]
    assert bench.complete(run, at_most=1)
    assert [row["key"] for row in bench.rows(run, 2)] == ["a"]
    assert bench.complete(run, at_most=10**9)
    assert [row["key"] for row in bench.rows(run, 2)] == ["a", "b", "c"]


class Killed(BaseException):
    """In place of a SIGKILL."""


def dies_at(monkeypatch, name: str, call: int) -> None:
    """The call-th call of a function, whoever calls it, ends the process, as it were."""
    users = [user for user in (advance_module, collect_module, StepFolder) if hasattr(user, name)]
    dies(monkeypatch, users, name, call)


def dies(monkeypatch, users, name: str, call: int) -> None:
    users = users if isinstance(users, list) else [users]
    function, calls = getattr(users[0], name), []

    def counted(*arguments, **more):
        calls.append(1)
        if len(calls) == call:
            raise Killed
        return function(*arguments, **more)

    for user in users:
        monkeypatch.setattr(user, name, counted)


@pytest.mark.parametrize("name", ["write_json", "write_settings", "write_result", "clear_signs", "item_states"])
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_run_that_is_killed_while_its_input_changes_back_and_forth_ends_right(bench, monkeypatch, name, call):
    """A table that was replaced just before the kill must not be taken for the one that the notes tell of."""
    run = bench.run(Upper(), Upper())
    bench.complete(run)
    with monkeypatch.context() as patch:
        dies_at(patch, name, call)
        with contextlib.suppress(Killed):
            bench.complete(run, at_most=2)
    bench.complete(run)
    assert [row["key"] for row in bench.rows(run, 2)] == ["a", "b", "c"]


def test_a_table_that_lost_rows_is_not_up_to_date(bench):
    run = bench.run(Upper())
    bench.complete(run)
    run.steps[0].result_path.unlink()
    assert bench.advance(run).collected == 1
    assert [row["key"] for row in bench.rows(run)] == ["a", "b", "c"]


def test_a_torn_record_with_any_name_is_made_again(bench):
    bench.items("b%c", "new\nline", "x" * 300)
    run = bench.run(Upper())
    bench.complete(run)
    for path in (run.steps[0].folder / "records").iterdir():
        path.write_bytes(b"")
    bench.complete(run)
    assert [row["value"] for row in bench.rows(run)] == ["B%C", "NEW\nLINE", "X" * 300]


@pytest.mark.parametrize(
    "content", ["[]", '{"key": "a", "files": []}', '{"key": "a", "files": {"x": 1}}', '{"key": "a", "files": 1}']
)
def test_a_record_of_another_form_is_made_again(bench, content):
    run = bench.run(Upper())
    bench.complete(run)
    (run.steps[0].folder / "records" / "a.json").write_text(content)
    bench.complete(run)
    assert [row["value"] for row in bench.rows(run)] == ["A", "B", "C"]


def test_a_step_that_needs_a_table_that_is_not_there_says_which(bench):
    run = bench.run(Upper(), Upper())
    with pytest.raises(
        RunError, match=r"^step 2 \(s2\) needs .*step_1_upper_s1/result.jsonl, which the step before it makes;"
    ):
        bench.advance(run, only=[run.steps[1]])


def test_two_rows_with_one_key_stop_the_run_before_any_step_begins(bench):
    bench.items("a", "b", "a")
    run = bench.run(Upper())
    with pytest.raises(
        DatasetError, match=r'^rows 1 and 3 of items\.jsonl both have the key "a"; keys name the records'
    ):
        bench.advance(run)
    assert not run.steps[0].folder.exists()
    assert not (run.input.result_path).exists()


def test_an_option_that_only_collects_makes_the_tables_anew_and_nothing_else(bench):
    bench.complete(bench.run(Upper()))
    run = bench.run(Upper(top=1))
    check_changes(run, "error", bench.said.append)
    reached = bench.advance(run)
    assert (reached.is_complete, reached.collected, len(bench.rows(run))) == (True, 1, 1)


def test_every_change_is_told_in_words(bench):
    bench.complete(bench.run(Upper(), Upper()))
    bench.input = bench.input.rename(bench.folder / "others.jsonl")
    with pytest.raises(RunError) as caught:
        check_changes(bench.run(Upper(suffix="?"), Upper(), seed=7), "error", print)
    assert str(caught.value).replace(str(bench.folder) + "/", "") == (
        'out was made with other settings: the input: input: "others.jsonl" was "items.jsonl"; '
        'step 1 (s1): seed: 7 was 42, suffix: "?" was ""; step 2 (s2): seed: 7 was 42. '
        "take a new OUTPUT_DIR, or ON_CHANGE=redo (what is there is kept aside), or ON_CHANGE=keep; "
        "redo makes anew: the input, step 1 (s1), step 2 (s2)"
    )


def test_redo_keeps_the_changed_step_and_all_behind_it_aside(bench):
    bench.complete(bench.run(Upper(), Upper(), Upper()))
    run = bench.run(Upper(), Upper(suffix="!"), Upper())
    check_changes(run, "redo", bench.said.append)
    left = sorted(path.name for path in run.folder.iterdir())
    assert left == ["step_0_preprocess_format", "step_1_upper_s1", "step_2_upper_s2.old-1", "step_3_upper_s3.old-1"]
    bench.complete(run)
    assert [row["value"] for row in bench.rows(run, 3)] == ["A", "B", "C"]


@pytest.mark.parametrize("call", [1, 2])
def test_a_redo_that_is_killed_half_way_is_finished_by_the_next(bench, monkeypatch, call):
    """What was made from the old results must not pass for new because they are gone already."""
    bench.complete(bench.run(Upper(), Upper(), Upper()))
    run = bench.run(Upper(), Upper(suffix="!"), Upper())
    with monkeypatch.context() as patch:
        dies_at(patch, "put_aside", call)
        with pytest.raises(Killed):
            check_changes(run, "redo", bench.said.append)
    check_changes(run, "redo", bench.said.append)
    assert not run.steps[1].folder.exists()
    assert not run.steps[2].folder.exists()


def test_keep_goes_on_with_what_is_there(bench):
    bench.complete(bench.run(Upper()))
    run = bench.run(Upper(suffix="!"))
    check_changes(run, "keep", bench.said.append)
    bench.items("a", "b", "c", "d")
    bench.complete(run)
    assert [row["value"] for row in bench.rows(run)] == ["A", "B", "C", "D!"]
    check_changes(run, "error", bench.said.append)  # it is this run's now
