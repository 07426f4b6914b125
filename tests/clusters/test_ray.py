"""Runs whose workers a real Ray places, on two raylets of this machine."""

import json
import os
import signal
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import ROOT, wait_until
from tests.relighter.training.beginning import same, weights_of

if find_spec("ray") is None:  # which takes seconds to import
    pytest.skip("uv pip install --group ray", allow_module_level=True)

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(monkeypatch):
    """A head without GPUs and one machine with one; another may be added."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False})
    yield made
    made.shutdown()


@pytest.fixture
def head(project, cluster):
    project.variables = {"LAUNCH_WITH": "ray", "RAY_ADDRESS": cluster.address, "GPU_COUNT": ""}
    return project


def log_of(head, gpu: int) -> str:
    path = head.folder / "logs" / f"gpu{gpu}.log"
    return path.read_text() if path.exists() else ""


def test_a_machine_that_comes_begins_to_work_and_what_one_that_dies_had_begun_is_done_elsewhere(head, cluster):
    keys = head.items(30)
    gate = head.folder / "gate"
    head.write_config({"gate": f"{gate}{{gpu}}", "free": 4, "batch_size": 1, "seconds": 0.1})
    first = cluster.add_node(num_cpus=1, num_gpus=1)
    launcher = head.launch(**head.variables)
    wait_until(lambda: len(head.computed()) == 5, 300)
    cluster.add_node(num_cpus=1, num_gpus=1)
    wait_until(lambda: len(head.computed()) == 10, 300)
    assert {gpu for gpu, _, _ in head.computed()} == {"0", "1"}
    status = head.run("status", **head.variables)
    assert "GPU 0: " in status.stdout and "GPU 1: " in status.stdout
    cluster.remove_node(first, allow_graceful=False)
    Path(f"{gate}0").touch()
    Path(f"{gate}1").touch()
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output + log_of(head, 0)
    assert sorted(head.recorded()) == keys == sorted({key for _, _, key in head.computed()})
    again = [key for _, is_recorded, key in head.computed() if is_recorded == "True"]
    assert again == []  # nothing that had its record was done once more
    assert "is gone, and it is placed again" in log_of(head, 0)
    assert "GPU 1: on " in log_of(head, 0) and "ready after" in log_of(head, 1)
    assert head.processes() == []


def test_a_worker_that_dies_is_started_again_and_one_that_is_stopped_is_not(head, cluster):
    keys = head.items(20)
    cluster.add_node(num_cpus=1, num_gpus=1)
    gate = head.folder / "gate"
    head.write_config({"gate": str(gate), "free": 3, "batch_size": 1, "seconds": 0.1})
    launcher = head.launch(**head.variables)
    wait_until(lambda: len(head.computed()) == 4, 300)
    os.kill(json.loads((head.step / "progress0.json").read_text())["pid"], signal.SIGKILL)
    wait_until(lambda: len(head.computed()) == 8, 300)
    assert "the worker died (-9) and is started again, 1 of 3 times" in log_of(head, 0)
    launcher.send_signal(signal.SIGINT)
    wait_until(lambda: "a TERM signal asked for it" in log_of(head, 0) or gate.touch(), 300)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 4, output
    assert len(head.recorded()) < 20 and head.processes() == []
    assert head.run(**head.variables).returncode == 0
    assert sorted(head.recorded()) == keys


def test_a_kill_file_stops_one_worker_for_all_of_the_run(head, cluster):
    keys = head.items(20)
    for _ in range(2):
        cluster.add_node(num_cpus=1, num_gpus=1)
    gate = head.folder / "gate"
    head.write_config({"gate": f"{gate}{{gpu}}", "free": 2, "batch_size": 1, "seconds": 0.1}, {"seconds": 0.1})
    launcher = head.launch(**head.variables)
    wait_until(lambda: len(head.computed()) == 6, 300)
    (head.folder / "kill0.txt").touch()
    Path(f"{gate}0").touch()
    wait_until(lambda: "GPU 0: stopped on request" in log_of(head, 0), 300)
    Path(f"{gate}1").touch()
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output + log_of(head, 0)
    assert sorted(head.recorded()) == keys
    second = head.output / "step_2_toy"
    assert len(list((second / "records").rglob("*.json"))) == 20
    assert [path.name for path in second.glob("end*.txt")] == ["end1.txt"]


def test_the_default_config_runs_on_a_ray_of_its_own(project):
    done = project.run(CONFIG=ROOT / "configs" / "relight.yaml", LAUNCH_WITH="ray", GPU_COUNT=2, RAY_ADDRESS="")
    assert done.returncode == 0, done.stdout + log_of(project, 0)
    assert len(project.rows("step_4_merge_triplets")) == 12
    assert log_of(project, 1)


def test_an_address_where_no_ray_answers_is_one_sentence(project):
    project.items(2)
    project.write_config({})
    done = project.run(LAUNCH_WITH="ray", RAY_ADDRESS="127.0.0.1:1")
    assert done.returncode == 1 and "RAY_ADDRESS is 127.0.0.1:1, where no Ray answers" in done.stdout, done.stdout


SMALL = (
    "1.size=32 2.resolution=32 train_batch_size=4 max_train_steps=12 checkpointing_steps=2 validation_steps=0".split()
)


def test_the_default_config_and_a_training_go_on_when_a_machine_is_killed_in_the_middle(head, cluster):
    """The training on one machine of two, and in the end with the weights of one that nobody has interrupted."""
    run, first = head.folder / "relight", cluster.add_node(num_cpus=1, num_gpus=1)
    cluster.add_node(num_cpus=1, num_gpus=1)
    launcher = head.launch(**head.variables | {"CONFIG": ROOT / "configs" / "relight.yaml", "OUTPUT_DIR": run})
    wait_until(lambda: any(run.glob("step_2_degrade/records/**/*.json")), 300)
    cluster.remove_node(first, allow_graceful=False)
    second = cluster.add_node(num_cpus=1, num_gpus=1)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output + log_of(head, 0)
    keys = [
        json.loads(line)["key"] for line in (run / "step_4_merge_triplets" / "result.jsonl").read_text().splitlines()
    ]
    assert len(keys) == len(set(keys)) == 12

    words = ["run", *(word for setting in SMALL for word in ("--set", setting))]
    variables = head.variables | {
        "CONFIG": ROOT / "configs" / "train_tiny.yaml",
        "TEST_CUTDOWN": 30,
        "STEPS": "1 2",
        "GPU_COUNT": 1,
    }
    through, halted = head.folder / "through", head.folder / "halted"
    done = head.run(*words, **variables, OUTPUT_DIR=through)
    assert done.returncode == 0, done.stdout + log_of(head, 0)
    launcher = head.launch(*words, **variables, OUTPUT_DIR=halted)
    wait_until((halted / "step_2_train" / "checkpoint-2").exists, 300)
    busy = json.loads((halted / "step_2_train" / "progress0.json").read_text())["pid"]
    for node in (second, *cluster.worker_nodes - {second}):
        if is_below(busy, node.all_processes["raylet"][0].process.pid):
            cluster.remove_node(node, allow_graceful=False)
    output, _ = launcher.communicate(timeout=600)
    assert launcher.returncode == 0, output + log_of(head, 0)
    assert "is gone, and it is placed again" in log_of(head, 0)
    assert same(weights_of(through / "step_2_train" / "model"), weights_of(halted / "step_2_train" / "model"))


def is_below(pid: int, ancestor: int) -> bool:
    """Whether a process descends from another."""
    while pid > 1 and pid != ancestor:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return pid == ancestor
