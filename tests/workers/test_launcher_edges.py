"""launcher.sh in odd places and odd circumstances: each works, or is one sentence."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Project, wait_until
from tests.plain_rights import with_plain_rights

pytestmark = pytest.mark.slow  # the shorter files beside this one hold each kind once

NAMES = ["with spaces", "-all\nof 'it\" $(touch hacked) *\t東京 %d"]


def ready(project: Project, *steps: dict, count: int = 6) -> list[str]:
    keys = project.items(count)
    project.write_config(*(steps or ({},)))
    return keys


def one_sentence(done, status: int, sentence: str) -> None:
    lines = done.stdout.splitlines()
    assert done.returncode == status, done.stdout
    assert len(lines) == 1, done.stdout
    assert lines[0].startswith("launcher: error: ")
    assert sentence in lines[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_project_itself_may_lie_anywhere(tmp_path, name):
    (tmp_path / name).mkdir()
    project = Project(tmp_path / name)
    keys = ready(project)
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert sorted(project.recorded()) == keys
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert not (project.folder / "hacked").exists()


@pytest.mark.parametrize("name", NAMES)
def test_the_folders_and_files_of_a_run_may_have_any_name(project, name):
    keys = ready(project)
    project.output = project.folder / "places" / name / "out"
    inputs, logs, config = (project.folder / "places" / name / what for what in ("in", "logs", "run.yaml"))
    inputs.mkdir(parents=True)
    project.input.rename(inputs / "items.csv")
    project.config = project.config.rename(config)
    done = project.run(INPUT=inputs / "items.csv", LOG_DIR=logs)
    assert done.returncode == 0, done.stdout
    assert [row["key"] for row in project.rows()] == keys
    assert project.run("status", INPUT=inputs / "items.csv").returncode == 0
    assert project.run("verify", INPUT=inputs / "items.csv").returncode == 0
    assert {"gpu0.log", "gpu1.log"} <= {path.name for path in logs.iterdir()}


def test_workers_in_a_folder_of_any_name_can_be_stopped(project):
    gate = project.folder / "gate"
    ready(project, {"gate": str(gate), "batch_size": 1}, count=60)
    project.output = project.folder / "new\nline\ttab"
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 2)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping: each worker" in (project.folder / "logs" / "launcher.log").read_text())
    gate.touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 4, output
    assert "the launcher is gone" not in (project.folder / "logs" / "gpu0.log").read_text()


@pytest.mark.parametrize("name", ["-out", "-in.csv"])
def test_a_relative_name_that_begins_with_a_dash_is_no_option(project, name):
    keys = ready(project)
    if name == "-out":
        project.output = project.folder / name
        done = project.run(OUTPUT_DIR=name)
    else:
        project.input.rename(project.folder / name)
        done = project.run(INPUT=name)
    assert done.returncode == 0, done.stdout
    assert [row["key"] for row in project.rows()] == keys


def test_it_may_be_called_from_anywhere_through_a_link(project, tmp_path):
    keys = ready(project)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.config.rename(elsewhere / "mine.yaml")
    project.input.rename(elsewhere / "mine.csv")
    (elsewhere / "go").symlink_to(project.folder / "launcher.sh")
    environment = project.environment({"CONFIG": "mine.yaml", "INPUT": "mine.csv"})
    done = subprocess.run(["./go"], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [row["key"] for row in project.rows()] == keys


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_an_output_dir_that_is_a_file_is_one_sentence(project, place):
    ready(project)
    (project.folder / "taken").write_text("mine")
    output = project.folder / "taken" / ("" if place == "a file" else "out")
    one_sentence(project.run(OUTPUT_DIR=str(output).rstrip("/")), 2, "OUTPUT_DIR")
    assert (project.folder / "taken").read_text() == "mine"


def run_plainly(project, *words, **variables):
    command = with_plain_rights(project.folder / "launcher.sh", *words)
    environment = project.environment(variables)
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def test_an_output_dir_that_may_not_be_written_is_one_sentence(project):
    ready(project)
    (project.folder / "locked").mkdir(mode=0o555)
    one_sentence(run_plainly(project, OUTPUT_DIR=project.folder / "locked"), 2, "OUTPUT_DIR")
    one_sentence(run_plainly(project, OUTPUT_DIR=project.folder / "locked" / "out"), 2, "OUTPUT_DIR")


def test_a_log_dir_that_may_not_be_written_is_one_sentence(project):
    ready(project)
    (project.folder / "locked").mkdir(mode=0o555)
    (project.folder / "file").touch()
    one_sentence(run_plainly(project, LOG_DIR=project.folder / "locked"), 2, "LOG_DIR")
    one_sentence(run_plainly(project, LOG_DIR=project.folder / "locked" / "logs"), 2, "LOG_DIR")
    one_sentence(run_plainly(project, LOG_DIR=project.folder / "file"), 2, "LOG_DIR")
    assert project.computed() == []


@pytest.mark.parametrize("command", ["status", "verify", "report", "stop"])
def test_a_command_about_a_run_that_is_not_there_creates_nothing(project, command):
    ready(project)
    done = project.run(command)
    one_sentence(done, 2, "")
    assert not project.output.exists()


def test_status_of_a_run_that_was_killed_while_it_read_its_input(project):
    ready(project)
    (project.output / "step_0_preprocess_format").mkdir(parents=True)
    done = project.run("status")
    assert "Traceback" not in done.stdout
    assert done.returncode in (2, 4), done.stdout


def test_gpus_may_be_known_by_other_names_than_numbers(project):
    """CUDA_VISIBLE_DEVICES of a job on part of a GPU."""
    keys = ready(project)
    tools = project.folder / "tools"
    tools.mkdir()
    (tools / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H200'\necho 'GPU 1: NVIDIA H200'\n")
    (tools / "nvidia-smi").chmod(0o755)
    path = f"{tools}:{os.environ['PATH']}"
    done = project.run(PATH=path, CUDA_VISIBLE_DEVICES="GPU-8f3a,MIG-1b2c", GPU_COUNT="auto")
    assert done.returncode == 0, done.stdout
    assert sorted(project.recorded()) == keys
    assert gpu_logs(project) == ["gpu0.log", "gpu1.log"]


def gpu_logs(project) -> list[str]:
    return sorted(path.name for path in (project.folder / "logs").glob("gpu*.log"))


def test_machines_that_leave_a_gpu_out_keep_their_workers_apart(project):
    gate = project.folder / "gate"
    keys = ready(project, {"gate": str(gate), "batch_size": 1}, count=40)
    nodes = [project.launch(GPUS="0,2", GPU_COUNT="auto", NODE_COUNT=2, NODE_RANK=rank) for rank in (0, 1)]
    wait_until(lambda: len(project.computed()) == 4)
    gate.touch()
    outputs = [node.communicate(timeout=300)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert sorted(key for _, _, key in project.computed()) == keys
    assert gpu_logs(project) == ["gpu0.log", "gpu2.log", "gpu3.log", "gpu5.log"]
    assert sorted({gpu for gpu, _, _ in project.computed()}) == ["0", "2", "3", "5"]


def test_a_reader_that_goes_away_does_not_end_the_run_with_a_traceback(project):
    ready(project, {"seconds": 0.05}, count=20)
    command = f"'{project.folder}/launcher.sh' | head -n 1"
    done = subprocess.run(
        ["bash", "-c", command + '; echo "${PIPESTATUS[0]}"'],
        env=project.environment({}), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout
    assert "Broken pipe" not in done.stdout
    wait_until(lambda: project.processes() == [])
    assert project.run().returncode == 0
    assert len(project.recorded()) == 20


def test_without_any_output_it_still_runs(project):
    keys = ready(project)
    command = f"exec '{project.folder}/launcher.sh' <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], env=project.environment({}), check=False)
    assert done.returncode == 0
    assert sorted(project.recorded()) == keys


def test_a_term_signal_to_a_worker_asks_it_to_stop(project):
    """As a batch system sends it to every process of a job, some time before it kills them."""
    gate = project.folder / "gate"
    ready(project, {"gate": str(gate), "batch_size": 1}, count=60)
    process = project.launch(GPU_COUNT=2)
    wait_until(lambda: len(project.computed()) == 2)
    files = [project.step / f"progress{gpu}.json" for gpu in (0, 1)]
    wait_until(lambda: all(path.exists() for path in files))
    for path in files:
        os.kill(json.loads(path.read_text())["pid"], signal.SIGTERM)
    gate.touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 4, output
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())


def test_a_stop_of_one_launcher_does_not_stop_the_workers_of_another(project):
    gate = project.folder / "gate"
    keys = ready(project, {"gate": str(gate), "batch_size": 1}, count=80)
    first = project.launch(GPU_COUNT=1)
    wait_until(lambda: len(project.computed()) == 1)
    second = project.launch(GPU_COUNT=1)  # the same GPU id, from another launch on the same folder
    wait_until(lambda: len(project.computed()) == 2)
    first.send_signal(signal.SIGTERM)
    wait_until(lambda: "stopping: each worker" in (project.folder / "logs" / "launcher.log").read_text())
    gate.touch()
    output, _ = first.communicate(timeout=300)
    assert "GPU 0: stopped on request" in output
    output, _ = second.communicate(timeout=300)
    assert second.returncode == 0, output
    assert "stopped" not in output
    assert sorted(key for _, _, key in project.computed()) == keys


def test_two_launches_that_redo_at_once_do_it_once(project):
    ready(project)
    assert project.run().returncode == 0
    project.write_config({"broken": "other"})
    launches = [project.launch(ON_CHANGE="redo") for _ in range(2)]
    outputs = [launch.communicate(timeout=300)[0] for launch in launches]
    assert [launch.returncode for launch in launches] == [0, 0], outputs
    assert [path.name for path in project.output.glob("*.old-*")] == ["step_1_toy.old-1"]


def test_several_items_that_kill_their_workers_do_not_stop_the_run(project):
    keys = ready(project, {"deadly": "item0007", "batch_size": 4}, count=20)
    done = project.run(GPU_COUNT=3)
    assert done.returncode == 3, done.stdout
    assert sorted(project.recorded()) == [key for key in keys if key != "item0007"]


def test_what_another_launch_leaves_running_is_not_counted_as_no_progress(project):
    keys = ready(project, {"broken": "item0000"}, count=3)
    launches = [project.launch(GPU_COUNT=1) for _ in range(3)]
    outputs = [launch.communicate(timeout=300)[0] for launch in launches]
    assert [launch.returncode for launch in launches] == [3, 3, 3], outputs
    assert sorted(project.recorded()) == keys[1:]


def test_python_may_be_a_command_on_the_path(project):
    keys = ready(project)
    tools = project.folder / "tools"
    tools.mkdir()
    (tools / "mypython").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tools / "mypython").chmod(0o755)
    done = project.run(PYTHON="mypython", PATH=f"{tools}:{os.environ['PATH']}")
    assert done.returncode == 0, done.stdout
    assert sorted(project.recorded()) == keys


def test_a_run_that_was_moved_with_its_project_goes_on(tmp_path):
    (tmp_path / "before").mkdir()
    project = Project(tmp_path / "before")
    keys = ready(project)
    assert project.run().returncode == 0
    shutil.copytree(project.output, tmp_path / "moved")
    done = project.run(OUTPUT_DIR=tmp_path / "moved")
    assert done.returncode == 0, done.stdout
    assert len(project.computed()) == len(keys)
    assert (
        Path(tmp_path / "moved" / "step_1_toy" / "result.jsonl").read_bytes()
        == (project.step / "result.jsonl").read_bytes()
    )
