"""Training as people start it: ./launcher.sh, two processes, stopped, gone on with, and one of them dying."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("peft")

from tests.training_run import write_config, write_triplets  # noqa: E402

STEPS = 32


@pytest.fixture
def training(project, tiny_models, tmp_path):
    """A project whose config trains a tiny model on a dozen triplets."""

    def configure(family="sd15", steps=(), **options):
        options = {"num_epochs": 10, "max_train_steps": None, "checkpointing_steps": 4, **options}
        table = write_triplets(tmp_path / "triplets")
        write_config(project.config, table, *steps, family=family, model_path=tiny_models[family], **options)
        return project

    return configure


def step_of(output: Path) -> Path:
    return output / "step_1_train"


def wait_for(condition, seconds=120.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.05)


def begun(project, **variables):
    """A launcher whose training has saved its first checkpoint."""
    launched = project.launch(**variables)
    wait_for((step_of(Path(variables.get("OUTPUT_DIR", project.output))) / "checkpoint-4").exists)
    return launched


def log_of(project) -> str:
    return (project.folder / "logs" / "gpu0.log").read_text()


@pytest.mark.slow
def test_two_processes_of_which_one_dies_go_on_from_the_last_checkpoint(training):
    """To the very same weights, as tests/clusters/test_slurm.py and test_trainer.py see to."""
    project = training(num_epochs=100, max_train_steps=STEPS)
    launched = begun(project, MAX_RESTARTS=1)
    os.kill(ranks_of(launched.pid)[1], signal.SIGKILL)
    output, _ = launched.communicate(timeout=300)
    assert launched.returncode == 0, output + log_of(project)
    assert (
        f"{STEPS} steps, 2 processes together" in output
        and "the worker died (" in output
        and "is started again, 1 of 1 times" in output
    )
    assert log_of(project).count("going on from checkpoint-") == 1
    step = step_of(project.output)
    assert (step / "end0.txt").exists() and (step / "model" / "model.json").exists()
    steps = [json.loads(line)["step"] for line in (step / "loss.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps)) and steps[-1] == STEPS
    assert "nothing to do" in project.run().stdout


def ranks_of(launcher: int) -> list[int]:
    """The processes that torchrun started, below the launcher, in the order of their ranks."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = path.read_bytes().split(b"\0")
            arguments = (path.parent / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        rank = next((int(one[5:]) for one in environment if one.startswith(b"RANK=")), None)
        if rank is not None and f"--parent\0{launcher}".encode() in b"\0".join(arguments):
            pid = int(path.parent.name)
            found[rank] = min(found.get(rank, pid), pid)  # its readers of images came after it
    return [found[rank] for rank in sorted(found)]


@pytest.mark.slow
def test_ctrl_c_saves_a_second_launcher_takes_its_turn_and_neither_leaves_a_process_behind(training):
    project = training(num_epochs=1000)
    first = begun(project)
    step = step_of(project.output)
    pids = ranks_of(first.pid)
    assert len(pids) == 2
    second = project.launch()
    wait_for(lambda: "another launcher is training here" in log_of(project))
    assert ranks_of(second.pid) == []
    first.send_signal(signal.SIGINT)
    output, _ = first.communicate(timeout=300)
    assert first.returncode == 4, output + log_of(project)
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 20)
    saved = max(int(path.name.split("-")[1]) for path in step.glob("checkpoint-*"))
    wait_for(lambda: f"going on from checkpoint-{saved}" in log_of(project))
    # A launcher that is killed leaves no process behind either.
    wait_for(lambda: len(ranks_of(second.pid)) == 2)
    pids = ranks_of(second.pid)
    second.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), 60)
    assert not (step / "model").exists()
    assert list(step.glob("checkpoint-*"))


@pytest.mark.slow
def test_a_model_that_is_not_there_is_one_sentence(training):
    project = training()
    text = project.config.read_text()
    project.config.write_text("\n".join(
        "    model_path: /nowhere/model" if line.strip().startswith("model_path:") else line for line in text.splitlines()
    ))  # fmt: skip
    done = project.run()
    assert done.returncode == 2
    assert "model_path /nowhere/model" in done.stdout and "Traceback" not in done.stdout
