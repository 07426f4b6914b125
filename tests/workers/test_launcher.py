"""launcher.sh as a person uses it, with real processes and a toy step in place of a model."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until


def test_every_item_gets_one_record_and_each_shard_its_end_file(project):
    keys = project.items(23)
    project.write_config({})
    done = project.run(GPU_COUNT=4)
    assert done.returncode == 0, done.stdout
    assert sorted(key for _, _, key in project.computed()) == keys
    assert [row["key"] for row in project.rows()] == keys
    assert [row["value"] for row in project.rows()] == [key.upper() for key in keys]
    assert [row["place"] for row in project.rows()] == [str(number) for number in range(23)]
    ends = sorted(path.name for path in project.step.glob("end*.txt"))
    assert ends == ["end0.txt", "end1.txt", "end2.txt", "end3.txt"]
    assert [(project.step / end).read_text().split(" ", 2)[2] for end in ends] == [
        "items 5, recorded 5, failed 0\n",
        "items 6, recorded 6, failed 0\n",
        "items 6, recorded 6, failed 0\n",
        "items 6, recorded 6, failed 0\n",
    ]
    assert project.processes() == [] and project.leftovers() == []


def test_a_second_run_computes_nothing_and_says_so(project):
    project.items(10)
    project.write_config({})
    assert project.run().returncode == 0
    before = {path: path.stat().st_mtime_ns for path in project.output.rglob("*.json*")}
    done = project.run()
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)
    assert len(project.computed()) == 10
    assert {path: path.stat().st_mtime_ns for path in project.output.rglob("*.json*")} == before


@pytest.mark.slow
def test_items_that_are_added_are_the_only_ones_computed(project):
    project.items(10)
    project.write_config({})
    assert project.run().returncode == 0
    keys = project.items(25)
    assert project.run().returncode == 0
    assert [key for _, _, key in project.computed()[10:]] and sorted(key for _, _, key in project.computed()) == keys
    assert [row["key"] for row in project.rows()] == keys


@pytest.mark.slow
def test_a_kill_file_from_before_the_launch_is_removed_with_a_line_in_the_log(project):
    keys = project.items(10)
    project.write_config({})
    (project.folder / "kill0.txt").touch()
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert not (project.folder / "kill0.txt").exists()
    assert "kill0.txt was left from before the launch and is removed" in (project.folder / "logs/gpu0.log").read_text()
    assert sorted(project.recorded()) == keys


@pytest.mark.slow
def test_an_end_file_from_an_earlier_run_is_not_believed(project):
    keys = project.items(10)
    project.write_config({})
    project.step.mkdir(parents=True)
    (project.step / "end0.txt").write_text("2020-01-01 00:00:00 items 10, recorded 10, failed 0\n")
    assert project.run(GPUS="1").returncode == 0
    assert sorted(project.recorded()) == keys
    assert not (project.step / "end0.txt").exists()


@pytest.mark.slow
def test_another_number_of_workers_goes_on_with_a_half_done_run(project):
    keys = project.items(120)
    gate, log = project.folder / "gate", project.folder / "logs" / "launcher.log"
    project.write_config({"gate": str(gate), "free": 8, "batch_size": 1})
    for launch, (count, computed) in enumerate([(3, 27), (1, 36)], 1):
        gate.unlink(missing_ok=True)
        process = project.launch(GPU_COUNT=count)
        wait_until(lambda: len(project.computed()) == computed)  # noqa: B023
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: log.read_text().count("stopping: each worker") == launch)  # noqa: B023
        gate.touch()
        assert process.wait(timeout=300) == 4
        process.stdout.close()
    done = project.run(GPU_COUNT=5)
    assert done.returncode == 0, done.stdout
    assert sorted(key for _, _, key in project.computed()) == keys


@pytest.mark.slow
def test_more_workers_than_items(project):
    keys = project.items(2)
    project.write_config({})
    assert project.run(GPU_COUNT=5).returncode == 0
    assert sorted(key for _, _, key in project.computed()) == keys
    assert len(list(project.step.glob("end*.txt"))) == 5


def test_no_items_is_one_sentence_and_creates_nothing(project):
    project.items(0)
    project.write_config({})
    done = project.run()
    assert done.returncode == 2
    assert done.stdout.splitlines() == [f"launcher: error: there is nothing in {project.input}"]
    assert not project.output.exists()


@pytest.mark.slow
def test_a_slow_worker_does_not_hold_up_the_run(project):
    keys = project.items(120)
    for gpu in (0, 1, 2):
        (project.folder / f"gate{gpu}").touch()
    project.write_config({"gate": f"{project.folder}/gate{{gpu}}", "batch_size": 1})
    process = project.launch(GPU_COUNT=4)
    # Its shard has 30 items and it stands at its first: the others take over what it does not get to.
    wait_until(lambda: len(project.recorded()) >= 110)
    (project.folder / "gate3").touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert sorted(key for _, _, key in project.computed()) == keys
    assert sum(gpu == "3" for gpu, _, _ in project.computed()) <= 10


def test_two_launchers_at_once_compute_nothing_twice(project):
    keys = project.items(80)
    project.write_config({"seconds": 0.02, "batch_size": 2})
    first, second = project.launch(GPU_COUNT=2), project.launch(GPU_COUNT=3)
    outputs = [process.communicate(timeout=300)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted(key for _, _, key in project.computed()) == keys
    assert [row["key"] for row in project.rows()] == keys


@pytest.mark.slow
def test_a_changed_option_stops_the_run_with_the_difference_in_words(project):
    project.items(4)
    project.write_config({"broken": "a"})
    assert project.run().returncode == 0
    project.write_config({"broken": "b", "batch_size": 3})  # a batch size is only about speed
    done = project.run()
    assert done.returncode == 2
    assert 'step 1 (toy): broken: "b" was "a". take a new OUTPUT_DIR' in done.stdout
    assert len(project.computed()) == 4
    assert project.run(ON_CHANGE="keep").returncode == 0
    assert len(project.computed()) == 4
    project.write_config({"broken": "c"})
    assert project.run(ON_CHANGE="redo").returncode == 0
    assert len(project.computed()) == 4 and (project.output / "step_1_toy.old-1" / "computed").exists()


def test_misuse_is_one_sentence_and_creates_nothing(project):
    project.items(4)
    project.write_config({})
    done = project.run(GPU_COUNT="many")
    sentence = "launcher: error: GPU_COUNT is 'many'; it should be a whole number from 1 on"
    assert (done.returncode, done.stdout.splitlines()) == (2, [sentence])
    assert not project.output.exists()


def test_an_unknown_command_is_misuse(project):
    assert project.run("rnu").returncode == 2


@pytest.mark.slow
def test_variables_override_the_config(project):
    keys = project.items(30)
    project.write_config({})
    done = project.run(BSZ=5, TEST_CUTDOWN=10, TEMPERATURE=0.6, DATASET_DIR=project.input, GPUS="4,7", GPU_COUNT="auto")
    assert done.returncode == 0, done.stdout
    assert f"note: TEMPERATURE has no effect: no step of {project.config} takes it" in done.stdout
    assert sorted(project.recorded()) == keys[:10]
    assert sorted(path.name for path in (project.folder / "logs").iterdir()) == ["gpu4.log", "gpu7.log", "launcher.log"]
    assert json.loads((project.step / "progress4.json").read_text())["batch_size"] == 5


@pytest.mark.slow
def test_source_and_partition_name_the_run(project):
    project.items(3)
    project.write_config({})
    done = project.run(OUTPUT_DIR="", SOURCE="web", SUB_PARTITION_NAME="part7")
    assert done.returncode == 0, done.stdout
    assert (project.folder / "outputs" / "out_web_part7" / "step_1_toy" / "result.jsonl").exists()


@pytest.mark.slow
def test_two_steps_hand_items_on_and_only_one_can_be_run(project):
    keys = project.items(8)
    project.write_config({"broken": "item0002"}, {"type": "toy", "name": "again", "config": {}})
    done = project.run(STEPS="again")
    assert (done.returncode, "step 2 (again) needs" in done.stdout) == (2, True), done.stdout
    assert project.run(STEPS=1).returncode == 3
    assert not (project.output / "step_2_toy_again").exists()
    done = project.run()
    assert done.returncode == 3
    assert [row["key"] for row in project.rows("step_2_toy_again")] == [key for key in keys if key != "item0002"]


@pytest.mark.slow
def test_a_config_of_one_step_may_lie_in_the_runs_own_folder(project):
    keys = project.items(6)
    project.write_config({}, folder=".")
    assert project.run().returncode == 0
    assert sorted(path.stem for path in (project.output / "records").iterdir()) == keys
    assert (project.output / "end0.txt").exists() and (project.output / "result.jsonl").exists()
    assert "nothing to do" in project.run().stdout
    project.write_config({}, {}, folder=".")
    done = project.run()
    assert (done.returncode, "which only a config of one step may say" in done.stdout) == (2, True)


def test_the_launcher_passes_shellcheck():
    checked = subprocess.run(
        [Path(sys.executable).parent / "shellcheck", ROOT / "launcher.sh"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.slow
def test_a_step_may_have_workers_of_several_gpus_beside_one_of_one_each(project):
    keys = project.items(8)
    project.write_config({}, {"type": "toy", "name": "again", "config": {"gpus_per_worker": 2}})
    done = project.run(GPUS="0,1,2,3", GPU_COUNT="auto")
    assert done.returncode == 0, done.stdout
    assert "step 1 (toy): 8 items, 4 workers" in done.stdout and "step 2 (again): 8 items, 2 workers" in done.stdout
    assert {row["gpu"] for row in project.rows("step_2_toy_again")} <= {0, 2}
    assert [row["key"] for row in project.rows("step_2_toy_again")] == keys


def test_gpus_that_a_step_cannot_share_out_stop_the_run_before_it_begins(project):
    project.items(8)
    project.write_config({}, {"type": "toy", "name": "again", "config": {"gpus_per_worker": 4}})
    done = project.run(GPUS="0,1,2,3,4,5", GPU_COUNT="auto")
    assert done.returncode == 2
    assert "6 GPUs cannot be shared out by gpus_per_worker: 4 of a step" in done.stdout
    assert not project.output.exists()
