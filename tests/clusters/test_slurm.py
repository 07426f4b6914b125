"""Runs as jobs of a real Slurm of two machines, from the login node: submitted, preempted, followed, stopped."""

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest

from tests.clusters.slurm_cluster import Cluster
from tests.conftest import ROOT

pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tests.relighter.training.beginning import same, weights_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("slurm"))
    yield made
    made.close()


@pytest.fixture
def login(project, cluster):
    """A person's shell on the login node: the project, submitted to the cluster."""
    project.variables = {**cluster.environment, "LAUNCH_WITH": "slurm", "NODE_COUNT": 2, "GPU_COUNT": 1}
    return project


def submitted(login, *words: str, **variables) -> str:
    done = login.run(*words, **login.variables | variables)
    assert done.returncode == 0, done.stdout
    return (Path(variables.get("OUTPUT_DIR", login.output)) / "slurm_jobs.txt").read_text().split()[-1]


def log_of(login, job: str) -> str:
    return "".join(path.read_text() for path in sorted((login.folder / "logs").glob(f"slurm-{job}*.log")))


def submit_urgent(cluster) -> str:
    """Another's job that wants both machines, for a moment."""
    return cluster.ask(
        "sbatch", "--parsable", "-p", "urgent", "-N", "2", "--gpus-per-node=2", "-o", "/dev/null", "--wrap", "true"
    ).strip()


def preempt(cluster, job: str) -> None:
    other = submit_urgent(cluster)
    cluster.wait(lambda: cluster.state(job) == "PENDING")
    cluster.wait(lambda: not cluster.state(other))
    cluster.let_go_on(job)


def test_a_run_on_two_machines_is_preempted_in_the_middle_and_ends_with_each_item_once(login, cluster):
    keys = login.items(40)
    gate = login.folder / "gate"
    login.write_config({"gate": str(gate), "free": 5, "batch_size": 1, "seconds": 0.2})
    job = submitted(login)
    cluster.wait(lambda: len(login.computed()) == 12)  # both workers stand before their gate
    done = login.run("status", **login.variables)
    assert f"job {job} running for" in done.stdout and "GPU 1: " in done.stdout and done.returncode == 4
    other = submit_urgent(cluster)
    cluster.wait(lambda: log_of(login, job).count("stopping: each worker finishes") == 2)
    gate.touch()
    cluster.wait(lambda: cluster.state(job) == "PENDING")
    assert f"job {job} waits for 2 machines" in login.run("status", **login.variables).stdout
    cluster.wait(lambda: not cluster.state(other))
    cluster.let_go_on(job)
    cluster.wait(lambda: not cluster.state(job))
    said = log_of(login, job)
    assert f"out of time or preempted; job {job} waits in the queue again" in said and "launcher: done in" in said
    assert sorted(key for _, _, key in login.computed()) == keys == sorted(login.recorded())
    assert {gpu for gpu, _, _ in login.computed()} == {"0", "1"}
    assert [row["key"] for row in login.rows()] == keys
    assert login.run("status", **login.variables).returncode == 0
    assert sorted(path.name for path in (login.folder / "logs").glob("gpu*.log")) == ["gpu0.log", "gpu1.log"]


def test_a_job_out_of_time_is_queued_again_and_one_that_is_stopped_is_not(login, cluster):
    login.items(40)
    gate = login.folder / "gate"
    login.write_config({"gate": str(gate), "free": 1, "batch_size": 1, "seconds": 0.2})
    job = submitted(login)
    cluster.wait(lambda: len(login.computed()) == 4)
    cluster.ask("scancel", "--batch", "--signal=TERM", job)  # as --signal=B:TERM@120 has it sent before the limit
    cluster.wait(lambda: log_of(login, job).count("stopping: each worker finishes") == 2)
    gate.touch()
    cluster.wait(lambda: cluster.state(job) == "PENDING")
    gate.unlink()
    before = len(login.computed())
    cluster.let_go_on(job)
    cluster.wait(lambda: len(login.computed()) == before + 4)
    done = login.run("stop", **login.variables)
    assert (done.returncode, done.stdout) == (0, f"launcher: job {job} is asked to stop, and is not queued again\n")
    cluster.wait(lambda: log_of(login, job).count("stopping: each worker finishes") == 4)
    gate.touch()
    cluster.wait(lambda: not cluster.state(job))
    assert "launcher: done in" not in log_of(login, job) and log_of(login, job).count("waits in the queue again") == 1
    assert "no worker is alive" in login.run("stop", **login.variables).stdout
    assert before + 4 <= len(login.computed()) == len(login.recorded()) < 40


def test_a_job_that_waits_is_taken_back_and_one_with_failures_is_not_queued_again(login, cluster):
    login.items(4)
    login.write_config({"broken": "item0002", "batch_size": 1}, slurm={"begin": "now+1hour"})
    job = submitted(login)
    assert cluster.state(job) == "PENDING"
    status = login.run("status", **login.variables)
    assert (status.returncode, status.stdout) == (4, f"job {job} waits for 2 machines (BeginTime)\n")
    assert login.run("stop", **login.variables).stdout == f"launcher: job {job} is taken back\n"
    assert not cluster.state(job)
    login.write_config({"broken": "item0002", "batch_size": 1})
    job = submitted(login)
    cluster.wait(lambda: not cluster.state(job))
    assert "1 items failed" in log_of(login, job) and "waits in the queue again" not in log_of(login, job)
    assert login.run("status", **login.variables).returncode == 3


def test_the_tasks_of_an_array_share_the_items(login, cluster):
    keys = login.items(30)
    login.write_config({"batch_size": 1, "seconds": 0.2})
    job = submitted(login, SLURM_ARRAY="1-2%2", NODE_COUNT="")
    cluster.wait(lambda: not cluster.state(job))
    assert sorted(key for _, _, key in login.computed()) == keys
    assert sorted(path.name for path in (login.folder / "logs").glob("slurm-*")) == [
        f"slurm-{job}_{task}.log" for task in (1, 2)
    ]
    assert {path.name for path in (login.folder / "logs").glob("gpu*.log")} == {"gpu0.log", "gpu1.log"}


def test_doctor_asks_slurm_and_then_a_machine_of_it(login, cluster):
    shutil.copy(ROOT / "requirements.txt", login.folder)
    samples = {"meta_path": str(ROOT / "configs" / "samples"), "image_key": "image"}
    login.write_config({"type": "template"}, **samples)
    done = login.run("doctor", **login.variables)
    assert (
        "ok    Slurm: slurm" in done.stdout
        and "to start at" in done.stdout
        and "on a machine of the cluster" in done.stdout
    )
    assert "1 template" in done.stdout, done.stdout
    assert "ok    locks hold between machines, under" in done.stdout, done.stdout  # one held one, another asked
    assert done.returncode == 0, done.stdout
    login.write_config({"type": "template"}, slurm={"partition": "nowhere"}, **samples)
    done = login.run("doctor", **login.variables)
    assert done.returncode == 1 and "Slurm refuses the job" in done.stdout and "invalid partition" in done.stdout


def test_the_default_config_and_a_training_run_across_both_machines(login, cluster):
    """Preempted in the middle each, and in the end with the weights of a training that nobody has interrupted."""
    run = login.folder / "relight"
    job = submitted(login, CONFIG=ROOT / "configs" / "relight.yaml", OUTPUT_DIR=run)
    cluster.wait(lambda: any(run.glob("step_2_degrade/records/**/*.json")))
    preempt(cluster, job)
    cluster.wait(lambda: not cluster.state(job))
    keys = [
        json.loads(line)["key"] for line in (run / "step_0_preprocess_format" / "result.jsonl").read_text().splitlines()
    ]
    for step in ("step_1_filter", "step_2_degrade", "step_3_caption_keywords"):
        recorded = Counter(json.loads(path.read_text())["key"] for path in (run / step / "records").rglob("*.json"))
        assert recorded and set(recorded.values()) == {1} and set(recorded) <= set(keys), step
    rows = (run / "step_4_merge_triplets" / "result.jsonl").read_text().splitlines()
    assert len({json.loads(row)["key"] for row in rows}) == len(rows) == len(recorded)

    small = "1.size=32 2.resolution=32 train_batch_size=4 max_train_steps=10 checkpointing_steps=2 validation_steps=0".split()
    words = ["run", *(word for setting in small for word in ("--set", setting))]
    variables = {"CONFIG": ROOT / "configs" / "train_tiny.yaml", "TEST_CUTDOWN": 30, "STEPS": "1 2"}
    through, halted = login.folder / "through", login.folder / "halted"
    job = submitted(login, *words, **variables, OUTPUT_DIR=through)
    cluster.wait(lambda: not cluster.state(job))
    assert "10 steps, 2 processes together" in log_of(login, job) and "launcher: done in" in log_of(login, job)
    job = submitted(login, *words, **variables, OUTPUT_DIR=halted)
    cluster.wait((halted / "step_2_train" / "checkpoint-2").exists)
    preempt(cluster, job)
    cluster.wait(lambda: not cluster.state(job))
    assert "waits in the queue again" in log_of(login, job) and "launcher: done in" in log_of(login, job)
    assert "broke" not in log_of(login, job)  # each had saved its last step
    assert same(weights_of(through / "step_2_train" / "model"), weights_of(halted / "step_2_train" / "model"))
