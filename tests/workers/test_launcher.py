"""launcher.sh as a person uses it, with real processes and a toy step in place of a model."""

import json
import os
import signal
import subprocess
import time

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


def test_items_that_are_added_are_the_only_ones_computed(project):
    project.items(10)
    project.write_config({})
    assert project.run().returncode == 0
    keys = project.items(25)
    assert project.run().returncode == 0
    assert [key for _, _, key in project.computed()[10:]] and sorted(key for _, _, key in project.computed()) == keys
    assert [row["key"] for row in project.rows()] == keys


@pytest.mark.parametrize("place", ["beside the launcher", "in the step's folder", "in the run's folder"])
def test_a_kill_file_stops_one_worker_and_the_others_take_over(project, place):
    keys = project.items(60)
    project.write_config({"seconds": 0.05, "batch_size": 1})
    process = project.launch(GPU_COUNT=3)
    wait_until(lambda: len(project.computed()) > 6)
    folders = {
        "beside the launcher": project.folder,
        "in the step's folder": project.step,
        "in the run's folder": project.output,
    }
    kill = folders[place] / "kill0.txt"
    kill.touch()
    wait_until(lambda: not kill.exists())
    count = sum(gpu == "0" for gpu, _, _ in project.computed())
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert "GPU 0: stopped on request" in output
    assert sum(gpu == "0" for gpu, _, _ in project.computed()) - count <= 1  # at most what it had begun
    assert sorted(key for _, _, key in project.computed()) == keys
    assert sorted(path.name for path in project.step.glob("end*.txt")) == ["end1.txt", "end2.txt"]
    assert f"stopped: {kill} asked for it" in (project.folder / "logs" / "gpu0.log").read_text()


def test_when_all_are_stopped_the_status_is_4_and_a_rerun_goes_on(project):
    keys = project.items(60)
    project.write_config({"seconds": 0.05, "batch_size": 2})
    process = project.launch()
    wait_until(lambda: len(project.computed()) > 4)
    (project.folder / "kill0.txt").touch()
    (project.folder / "kill1.txt").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    assert list(project.step.glob("end*.txt")) == []
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())  # what was begun is recorded
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert sorted(key for _, _, key in project.computed()) == keys


def test_ctrl_c_lets_workers_finish_what_they_have_begun(project):
    project.items(60)
    project.write_config({"seconds": 0.1, "batch_size": 2})
    process = project.launch()
    wait_until(lambda: len(project.computed()) > 4)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everything in the launcher's group
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())
    assert "Traceback" not in (project.folder / "logs" / "gpu0.log").read_text()
    assert project.processes() == [] and project.leftovers() == []


def test_a_second_ctrl_c_does_not_wait(project):
    project.items(4)
    project.write_config({"seconds": 100, "batch_size": 1})
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 4, output
    wait_until(lambda: project.processes() == [])


def test_a_kill_file_from_before_the_launch_is_removed_with_a_line_in_the_log(project):
    keys = project.items(10)
    project.write_config({})
    (project.folder / "kill0.txt").touch()
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert not (project.folder / "kill0.txt").exists()
    assert "kill0.txt was left from before the launch and is removed" in (project.folder / "logs/gpu0.log").read_text()
    assert sorted(project.recorded()) == keys


def test_an_end_file_from_an_earlier_run_is_not_believed(project):
    keys = project.items(10)
    project.write_config({})
    project.step.mkdir(parents=True)
    (project.step / "end0.txt").write_text("2020-01-01 00:00:00 items 10, recorded 10, failed 0\n")
    assert project.run(GPUS="1").returncode == 0
    assert sorted(project.recorded()) == keys
    assert not (project.step / "end0.txt").exists()


def test_another_number_of_workers_goes_on_with_a_half_done_run(project):
    keys = project.items(120)
    project.write_config({"seconds": 0.02, "batch_size": 1})
    for count in (3, 1):
        process = project.launch(GPU_COUNT=count)
        before = len(project.computed())
        wait_until(lambda: len(project.computed()) > before + 20)  # noqa: B023
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 4
        process.stdout.close()
    done = project.run(GPU_COUNT=5)
    assert done.returncode == 0, done.stdout
    assert sorted(key for _, _, key in project.computed()) == keys


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


def test_a_slow_worker_does_not_hold_up_the_run(project):
    keys = project.items(120)
    project.write_config({"seconds": 0.05, "slow_gpu": 3, "batch_size": 1})
    assert project.run(GPU_COUNT=4).returncode == 0
    assert sorted(key for _, _, key in project.computed()) == keys
    # Its shard has 30 items and it is ten times slower than the others, who take over what it does not get to.
    assert sum(gpu == "3" for gpu, _, _ in project.computed()) <= 10


def test_two_launchers_at_once_compute_nothing_twice(project):
    keys = project.items(80)
    project.write_config({"seconds": 0.02, "batch_size": 2})
    first, second = project.launch(GPU_COUNT=2), project.launch(GPU_COUNT=3)
    outputs = [process.communicate(timeout=90)[0] for process in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), outputs
    assert sorted(key for _, _, key in project.computed()) == keys
    assert [row["key"] for row in project.rows()] == keys


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


def test_variables_override_the_config(project):
    keys = project.items(30)
    project.write_config({})
    done = project.run(BSZ=5, TEST_CUTDOWN=10, TEMPERATURE=0.6, DATASET_DIR=project.input, GPUS="4,7", GPU_COUNT="auto")
    assert done.returncode == 0, done.stdout
    assert f"note: TEMPERATURE has no effect: no step of {project.config} takes it" in done.stdout
    assert sorted(project.recorded()) == keys[:10]
    assert sorted(path.name for path in (project.folder / "logs").iterdir()) == ["gpu4.log", "gpu7.log", "launcher.log"]
    assert json.loads((project.step / "progress4.json").read_text())["batch_size"] == 5


def test_source_and_partition_name_the_run(project):
    project.items(3)
    project.write_config({})
    done = project.run(OUTPUT_DIR="", SOURCE="web", SUB_PARTITION_NAME="part7")
    assert done.returncode == 0, done.stdout
    assert (project.folder / "outputs" / "out_web_part7" / "step_1_toy" / "result.jsonl").exists()


def test_status_stop_and_verify(project):
    project.items(40)
    project.write_config({"seconds": 0.3, "batch_size": 1})
    process = project.launch()
    shown = [project.step / f"progress{gpu}.json" for gpu in (0, 1)]
    wait_until(lambda: all(path.exists() and json.loads(path.read_text())["state"] == "running" for path in shown))
    seen = project.run("status")
    assert seen.returncode == 4 and "1 toy          running" in seen.stdout and "GPU 1: running" in seen.stdout
    assert project.run("stop", "1").returncode == 0
    wait_until(lambda: not (project.step / "kill1.txt").exists())
    assert project.run("stop").returncode == 0
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 4, output
    assert project.run("verify").returncode == 0
    (project.step / "records" / "item0000.json").write_text("")
    found = project.run("verify")
    assert found.returncode == 1 and "item0000.json is not whole" in found.stdout
    assert project.run("verify", "--repair").returncode == 1
    assert project.run("verify").returncode == 0
    assert project.run("stop").returncode == 2  # nobody is there
    assert project.run().returncode == 0
    seen = project.run("status")
    assert seen.returncode == 0 and "complete: 40 of 40 recorded, 0 failed, 0 left" in seen.stdout


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
    checked = subprocess.run(["shellcheck", ROOT / "launcher.sh"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")
