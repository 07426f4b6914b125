"""./launcher.sh status tells of the whole pipeline: each step, what waits for it, and what is left of all."""

import pytest
import yaml

from shared.commands.next_step import others_than
from shared.commands.status import print_status
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run
from tests.conftest import ROOT

CAT = ROOT / "configs" / "samples" / "cat.jpg"


@pytest.fixture
def pipeline(tmp_path):
    (tmp_path / "items.jsonl").write_text("".join(f'{{"key": "{number}", "image": "{CAT}"}}\n' for number in range(5)))
    steps = [{"type": "template", "name": name} for name in ("one", "two")]
    path = tmp_path / "run.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "meta_path": "items.jsonl",
                "steps": [
                    *steps,
                    {"type": "merge", "config": {"tables": [{"output": "a.csv", "columns": {"key": "key"}}]}},
                ],
            }
        )
    )
    return Run(load_config(path), tmp_path / "out")


def lines(run, capsys) -> tuple[int, list[str]]:
    capsys.readouterr()
    status = print_status(run)
    return status, capsys.readouterr().out.splitlines()[1:]


def test_what_is_left_is_told_of_every_step_and_of_all(pipeline, capsys):
    reached = advance(pipeline, lambda text: None)
    assert lines(pipeline, capsys) == (4, [
        "1 one          not complete: 0 of 5 recorded, 0 failed, 5 left",
        "2 two          waits for the step before it, for 5 items at most",
        "3 merge        waits for the step before it",
        "all: 0 of 3 steps complete, 0 failed, 11 left to do",
    ])  # fmt: skip
    assert Loop(reached.step, Place()).run() == 0
    reached = advance(pipeline, lambda text: None)
    status, said = lines(pipeline, capsys)
    assert (status, said[0], said[-1]) == (
        4, "1 one          complete: 5 of 5 recorded, 0 failed, 0 left", "all: 1 of 3 steps complete, 0 failed, 6 left to do",
    )  # fmt: skip
    assert others_than(pipeline.steps[1]) == "step 2 of 3; before: 1 one, 5 rows; then: 3 merge"
    assert Loop(reached.step, Place()).run() == 0
    assert advance(pipeline, lambda text: None).is_complete
    status, said = lines(pipeline, capsys)
    assert (status, said[-1]) == (0, "all: 3 of 3 steps complete, 0 failed, 0 left to do")


def test_a_run_of_one_step_has_nothing_to_add(pipeline):
    pipeline.steps[1:] = []
    assert others_than(pipeline.steps[0]) == ""
