"""LAUNCH_WITH=slurm on a machine without Slurm: the script that would be submitted, and what is refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.clusters.slurm import Queued, SlurmJob, batch_script, checked_options
from shared.errors import ConfigError
from tests.conftest import ROOT, VARIABLES
from workers import launch


def job(**values) -> SlurmJob:
    usual = {
        "name": "relight", "nodes": 2, "gpus": 8, "log_dir": Path("/logs"), "folder": Path("/home/me/my photos"),
        "command": ["/project/launcher.sh", "run"], "variables": {"INPUT": "it's here"}, "options": {},
    }  # fmt: skip
    return SlurmJob(**usual | values)


def lines(script: str) -> list[str]:
    return [line.removeprefix("#SBATCH --") for line in script.splitlines() if line.startswith("#SBATCH ")]


def test_one_job_of_several_machines():
    script = batch_script(job(options={"partition": "gpu", "time": "12:00:00", "exclusive": True, "account": None}))
    assert lines(script) == [
        "job-name=relight", "nodes=2", "ntasks-per-node=1", "gpus-per-node=8", "requeue", "open-mode=append", "signal=B:TERM@120",
        "export=ALL", "output=/logs/slurm-%j.log", "partition=gpu", "time=12:00:00", "exclusive",
    ]  # fmt: skip
    assert "MASTER_ADDR" in script and "srun --kill-on-bad-exit=0 --label /project/launcher.sh run &" in script
    assert "export INPUT='it'\"'\"'s here'\ncd '/home/me/my photos' || exit 1\n" in script


def test_an_array_of_single_machines():
    script = batch_script(job(array="0-63%16"))
    assert {"array=0-63%16", "nodes=1", "output=/logs/slurm-%A_%a.log"} <= set(lines(script))
    assert "MASTER_ADDR" not in script and "--label" not in script  # its machines begin one by one


def test_an_option_of_the_config_stands_over_ours_and_a_container_is_the_launchers():
    script = batch_script(job(options={"gpus-per-node": 0, "requeue": False, "container-image": "/images/torch.sqsh"}))
    assert not any(line.startswith(("gpus", "requeue", "container")) for line in lines(script))
    assert "srun --kill-on-bad-exit=0 --label --container-image=/images/torch.sqsh /project/launcher.sh run &" in script


@pytest.mark.parametrize("array", ["", "0-3"])
def test_the_script_is_clean_bash(tmp_path, array):
    path = tmp_path / "job.sh"
    path.write_text(batch_script(job(array=array)))
    subprocess.run(["bash", "-n", path], check=True)
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_an_option_that_a_variable_says_is_refused_by_that_variables_name():
    assert checked_options({"gpus_per_node": 4, "--time": "60"}, "run.yaml") == {"gpus-per-node": 4, "time": "60"}
    with pytest.raises(ConfigError, match="nodes does not belong here; it is NODE_COUNT"):
        checked_options({"nodes": 4}, "run.yaml: slurm")


def test_a_line_of_squeue_in_words():
    assert str(Queued("12", "12", "PENDING", "Priority", "2", "", "0:00")) == "job 12 waits for 2 machines (Priority)"
    assert str(Queued("12_3", "12", "RUNNING", "None", "1", "n7", "1:00")) == "job 12_3 running for 1:00 on n7"


@pytest.fixture
def call(project, monkeypatch, capfd):
    """`run` with LAUNCH_WITH=slurm in this process; returns its exit status and what it said."""
    project.items(4)
    project.write_config({"type": "template"}, slurm={"partition": "gpu", "time": "4:00:00"})

    def run(*words: str, **variables) -> tuple[int, str]:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        values = {"CONFIG": project.config, "OUTPUT_DIR": project.output, "LAUNCH_WITH": "slurm", "GPU_COUNT": 2}
        for name, value in (values | variables).items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(sys, "argv", ["launch", "run", "--first", *words])
        with pytest.raises(SystemExit) as ending:
            launch.main()
        assert not project.output.exists()
        return ending.value.code, "".join(capfd.readouterr())

    return run


def test_a_dry_run_prints_the_whole_script_and_creates_nothing(call, project):
    status, script = call("--dry-run", NODE_COUNT=3, BSZ=7)
    assert status == 0
    assert {"nodes=3", "gpus-per-node=2", "partition=gpu", "time=4:00:00", "job-name=out"} <= set(lines(script))
    assert "export BSZ=7\n" in script and "export LAUNCH_WITH=local\n" in script
    words = f"{ROOT}/launcher.sh run --config={project.config} --output-dir={project.output}"
    assert f" {words} --set batch_size=7 &\n" in script


@pytest.mark.parametrize(
    ("words", "variables", "sentence"),
    [
        ([], {"PATH": "/nowhere"}, "sbatch is not on the PATH; jobs of Slurm are seen from a login node of its cluster"),
        ([], {"GPU_COUNT": ""}, "GPU_COUNT is empty; with LAUNCH_WITH=slurm it says how many GPUs of each machine are asked for"),
        (["--dry-run"], {"SLURM_ARRAY": "all"}, "SLURM_ARRAY is 'all'; it should be as sbatch takes it: 0-63%16"),
        ([], {"INPUT": "/nowhere"}, "there is no /nowhere"),
        (["--dry-run"], {"LAUNCH_WITH": "local"}, "--dry-run prints the batch script of LAUNCH_WITH=slurm"),
    ],
)  # fmt: skip
def test_what_cannot_be_submitted_is_one_sentence(call, words, variables, sentence):
    status, said = call(*words, **variables)
    assert (status, sentence in said) == (2, True), said
    assert len(said.splitlines()) == 1


def test_gpus_that_the_environment_asks_sbatch_for_are_not_asked_for_twice(call):
    status, script = call("--dry-run", GPU_COUNT="", SBATCH_GPUS_PER_NODE="4")
    assert status == 0 and "gpus-per-node" not in script
