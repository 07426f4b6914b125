"""The line that says how far a step is."""

import io

import pytest

from shared.commands.watch import Watch


def worker(recorded=0, items=100, rate=0.0, **more):
    shard = {"items": items, "recorded": recorded, "failed": 0}
    return {"pid": 1, "recorded": recorded, "failed": 0, "rate": rate, "state": "running", "shard": shard, **more}


@pytest.mark.parametrize(
    ("recorded", "rate", "line"),
    [
        (60, 0.0, "60/100 done, 0 failed, 0.0/s, getting ready"),
        (80, 2.0, "80/100 done, 0 failed, 2.0/s, 10 s left"),
        (100, 2.0, "100/100 done, 0 failed, 2.0/s, 0 s left"),
    ],
)
def test_a_training_that_goes_on_counts_all_its_steps(tmp_path, recorded, rate, line):
    made = Watch(tmp_path, "step 1 (train)", left=40, is_together=True)
    made.finished[1] = (recorded, 0)
    assert made.line([worker(recorded, rate=rate)]) == line


def test_items_are_those_of_this_launch(tmp_path):
    made = Watch(tmp_path, "step 1 (toy)", left=40)
    made.finished |= {1: (10, 1), 2: (5, 0)}
    assert made.line([worker(rate=1.0), worker(rate=2.0)]) == "15/40 done, 1 failed, 3.0/s, 8 s left"


def test_what_hinders_stands_where_the_time_would(tmp_path):
    made = Watch(tmp_path, "step 1 (toy)", left=40)
    made.finished[1] = (10, 0)
    told = "no answer from http://127.0.0.1:8000/v1: status 503: loading"
    assert (
        made.line([worker(rate=0.01, hindrance=told), worker(hindrance="")]) == f"10/40 done, 0 failed, 0.0/s, {told}"
    )
    assert made.line([worker(rate=3.0, hindrance="")]).endswith("10 s left")


def test_the_live_table_says_how_far_the_other_steps_are(tmp_path):
    from rich.console import Console

    made = Watch(tmp_path, "step 2 (two)", left=40, others="step 2 of 3; before: 1 one, 40 rows; then: 3 merge")
    shown = Console(width=120, record=True, file=io.StringIO())
    shown.print(made._table([worker(gpu=0, batch_size=1, memory_bytes=0)]))
    assert "step 2 of 3; before: 1 one, 40 rows; then: 3 merge" in shown.export_text()
