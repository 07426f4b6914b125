"""Items that fail, workers that die or stand still, and records that are torn, under launcher.sh."""

import json

import pytest


@pytest.mark.slow
def test_one_bad_item_costs_itself_alone_and_is_tried_again_up_to_three_times(project):
    keys = project.items(20)
    project.write_config({"broken": "item0007", "batch_size": 4})
    good = [key for key in keys if key != "item0007"]
    for attempt in (1, 2, 3):
        done = project.run()
        assert done.returncode == 3, done.stdout
        assert sorted(project.recorded()) == good
        failure = json.loads((project.step / "failures" / "item0007.json").read_text())
        assert {name: failure[name] for name in ("key", "error", "message", "step", "attempts")} == {
            "key": "item0007",
            "error": "ValueError",
            "message": "this one cannot be done",
            "step": "step_1_toy",
            "attempts": attempt,
        }
    count = len(project.computed())
    assert project.run().returncode == 3
    assert len(project.computed()) == count  # final: not tried again
    assert [row["key"] for row in project.rows()] == good


def test_an_item_that_kills_its_worker_is_tried_alone_and_then_recorded_as_a_failure(project):
    keys = project.items(20)
    project.write_config({"deadly": "item0007", "batch_size": 4})
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 3, done.stdout
    assert sorted(project.recorded()) == [key for key in keys if key != "item0007"]
    assert json.loads((project.step / "failures" / "item0007.json").read_text())["error"] == "WorkerCrash"
    assert done.stdout.count("signal SEGV") == 3
    assert project.leftovers() == []


@pytest.mark.slow
def test_a_worker_that_stands_still_is_ended_with_its_stacks_in_the_log_and_started_again(project):
    keys = project.items(6)
    project.write_config({"still": "item0002", "stall_seconds": 2, "batch_size": 1})
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 0, done.stdout
    assert sorted(project.recorded()) == keys
    log = (project.folder / "logs" / "gpu0.log").read_text()
    assert "toy.py" in log and "in process" in log  # where it stood
    assert "started again, 1 of 3 times" in done.stdout


@pytest.mark.slow
def test_the_batch_is_halved_when_the_gpu_memory_runs_out(project):
    keys = project.items(40)
    project.write_config({"memory_for": 3, "batch_size": 16})
    assert project.run(GPU_COUNT=1).returncode == 0
    assert sorted(project.recorded()) == keys
    assert (
        "out of GPU memory with 16 items: going on with batches of 8" in (project.folder / "logs/gpu0.log").read_text()
    )
    assert json.loads((project.step / "progress0.json").read_text())["batch_size"] == 2


@pytest.mark.slow
def test_a_torn_record_is_found_and_made_again(project):
    keys = project.items(12)
    project.write_config({})
    assert project.run().returncode == 0
    (project.step / "records" / "item0003.json").write_text('{"key": "item0003", "val')
    (project.step / "records" / "item0005.json").write_text("")
    (project.step / "records" / "gone.json").write_text('{"key": "gone"}')
    (project.step / "records" / "item0006.json").unlink()
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert "the record of item0003 is not whole" in done.stdout
    assert sorted(key for _, _, key in project.computed()[12:]) == ["item0003", "item0005", "item0006"]
    assert [row["key"] for row in project.rows()] == keys
    assert "1 foreign" in done.stdout


@pytest.mark.slow
def test_merging_after_a_failure_makes_the_tables_and_tells_of_it(project):
    keys = project.items(5)
    project.write_config({"broken": "item0002"})
    assert project.run().returncode == 3
    (project.step / "result.jsonl").unlink()
    for _ in range(2):
        done = project.run("merge")
        assert done.returncode == 3, done.stdout
        assert [row["key"] for row in project.rows()] == [key for key in keys if key != "item0002"]
        assert [path.name for path in (project.step / "failures").iterdir()] == ["item0002.json"]
    assert len(project.computed()) == 5
