"""How a run is stopped, as a whole and worker by worker, and how it shows what it does."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from tests.conftest import ROOT, wait_until


@pytest.mark.parametrize(
    "place",
    [
        "beside the launcher",
        pytest.param("in the step's folder", marks=pytest.mark.slow),
        pytest.param("in the run's folder", marks=pytest.mark.slow),
    ],
)
def test_a_kill_file_stops_one_worker_and_the_others_take_over(project, place):
    keys = project.items(60)
    project.write_config({"gate": f"{project.folder}/gate{{gpu}}", "free": 2, "seconds": 0.1, "batch_size": 1})
    process = project.launch(GPU_COUNT=3)
    wait_until(lambda: len(project.computed()) == 9)
    folders = {
        "beside the launcher": project.folder,
        "in the step's folder": project.step,
        "in the run's folder": project.output,
    }
    kill = folders[place] / "kill0.txt"
    kill.touch()
    (project.folder / "gate0").touch()
    wait_until(lambda: not kill.exists())
    for gpu in (1, 2):
        (project.folder / f"gate{gpu}").touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "GPU 0: stopped on request" in output
    # It had begun its third, and looks for kill files every 0.2 s, which is two items.
    assert sum(gpu == "0" for gpu, _, _ in project.computed()) <= 6
    assert sorted(key for _, _, key in project.computed()) == keys
    assert sorted(path.name for path in project.step.glob("end*.txt")) == ["end1.txt", "end2.txt"]
    assert f"stopped: {kill} asked for it" in (project.folder / "logs" / "gpu0.log").read_text()


@pytest.mark.slow
def test_when_all_are_stopped_the_status_is_4_and_a_rerun_goes_on(project):
    keys = project.items(60)
    gate = project.folder / "gate"
    project.write_config({"gate": str(gate), "free": 4, "seconds": 0.1, "batch_size": 2})
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 10)
    (project.folder / "kill0.txt").touch()
    (project.folder / "kill1.txt").touch()
    gate.touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 4, output
    assert list(project.step.glob("end*.txt")) == []
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())  # what was begun is recorded
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert sorted(key for _, _, key in project.computed()) == keys


def test_ctrl_c_lets_workers_finish_what_they_have_begun(project):
    project.items(60)
    gate = project.folder / "gate"
    project.write_config({"gate": str(gate), "free": 2, "batch_size": 2})
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 6)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: everything in the launcher's group
    wait_until(lambda: "stopping: each worker" in (project.folder / "logs" / "launcher.log").read_text())
    gate.touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 4, output
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())
    assert "Traceback" not in (project.folder / "logs" / "gpu0.log").read_text()
    assert project.processes() == [] and project.leftovers() == []


@pytest.mark.slow
def test_a_second_ctrl_c_does_not_wait(project):
    project.items(4)
    project.write_config({"seconds": 100, "batch_size": 1})
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 4, output
    wait_until(lambda: project.processes() == [])


@pytest.mark.parametrize("stop_wanted", ["no", "yes"])
def test_a_ctrl_c_that_comes_with_the_end_of_a_wait_ends_nothing_by_itself(stop_wanted):
    # A trap that returns without a number has the status of what went before it: of a wait that is over, 142.
    [function] = re.findall(
        r"^ask_to_stop\(\) \{\n.*?^\}", (ROOT / "launcher.sh").read_text(), re.MULTILINE | re.DOTALL
    )
    script = f"""
        set -euo pipefail
        stop_wanted={stop_wanted} pids=()
        say() {{ echo "$*"; }}
        {function}
        trap 'ask_to_stop INT' INT
        bash -c 'kill -INT $PPID; exit 142' || true
        echo still here"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["still here"]), done.stderr


@pytest.mark.slow
def test_status_stop_and_verify(project):
    project.items(40)
    project.write_config({"gate": f"{project.folder}/gate{{gpu}}", "batch_size": 1})
    process = project.launch()
    shown = [project.step / f"progress{gpu}.json" for gpu in (0, 1)]
    wait_until(lambda: all(path.exists() and json.loads(path.read_text())["state"] == "running" for path in shown))
    seen = project.run("status")
    assert seen.returncode == 4 and "1 toy          running" in seen.stdout and "GPU 1: running" in seen.stdout
    assert project.run("stop", "1").returncode == 0
    (project.folder / "gate1").touch()
    wait_until(lambda: not (project.step / "kill1.txt").exists())
    assert project.run("stop").returncode == 0
    (project.folder / "gate0").touch()
    output, _ = process.communicate(timeout=300)
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
