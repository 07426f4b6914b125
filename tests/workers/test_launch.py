"""What launcher.sh asks of Python: every command's help and arguments, and its refusals, by a call."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, VARIABLES
from workers import launch

LAUNCHER = (ROOT / "launcher.sh").read_text()
COMMANDS = re.search('^COMMANDS="(.*)"$', LAUNCHER, re.MULTILINE)[1].split()


def test_the_launcher_knows_the_commands_of_python():
    assert [*COMMANDS, "watch", "pool"] == list(launch.COMMANDS) and len(COMMANDS) > 9


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_what_a_command_takes_and_runs_nothing(project, command):
    project.items(2)
    project.write_config({})
    done = project.run(command, "--help")
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith(f"usage: ./launcher.sh {command} ")
    assert launch.COMMANDS[command].words.split()[0] in done.stdout
    assert "SUPPRESS" not in done.stdout and "--begun" not in done.stdout
    assert not project.output.exists() and not (project.folder / "logs").exists()


def test_help_needs_no_package():
    program = "import sys; sys.argv = ['launch', 'run', '--help']; import runpy; runpy.run_module('workers.launch', run_name='__main__')"
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: ./launcher.sh run")


@pytest.fixture
def call(project, monkeypatch, capsys):
    """Run a command of four items in this process; returns its exit status and what it said."""
    project.items(4)
    project.write_config({"type": "template"})

    def run(*words: str, **variables: str) -> tuple[int, str]:
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in {
            "CONFIG": project.config,
            "OUTPUT_DIR": project.output,
            "GPU_COUNT": 2,
            **variables,
        }.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setattr(sys, "argv", ["launch", *words])
        with pytest.raises(SystemExit) as ending:
            launch.main()
        assert not project.output.exists()
        return ending.value.code, "".join(capsys.readouterr())

    return run


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("test", "serve")])
@pytest.mark.parametrize("words", [["--frobnicate"], ["3", "another"]])
def test_an_argument_that_a_command_does_not_know_is_misuse(call, command, words):
    status, said = call(command, *words)
    assert status == 2
    wrong = words[-1] if command in ("stop", "unpack", "validate") else words[0]
    assert (
        said
        == f"launcher: error: ./launcher.sh {command}: no argument '{wrong}'; ./launcher.sh {command} --help says what it takes\n"
    )


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"GPU_COUNT": "many"}, "GPU_COUNT is 'many'; it should be a whole number from 1 on"),
        ({"GPU_COUNT": "0"}, "GPU_COUNT is '0'; it should be a whole number from 1 on"),
        ({"GPUS": "0;1"}, "GPUS is '0;1'; it should be ids with commas between: 0,1,3"),
        ({"GPUS": "0,1,0", "GPU_COUNT": "auto"}, "GPUS names 0 twice; each worker needs a GPU of its own"),
        ({"GPUS": "0,1,2", "GPU_COUNT": "auto", "GPUS_PER_WORKER": "2"}, "3 GPUs cannot be shared out by GPUS_PER_WORKER=2"),
        ({"LAUNCH_WITH": "kube"}, "LAUNCH_WITH is 'kube'; it should be local, slurm or ray"),
        ({"ON_CHANGE": "yes"}, "ON_CHANGE is 'yes'; it should be error, redo or keep"),
        ({"NODE_RANK": "2", "NODE_COUNT": "2"}, "NODE_RANK is 2 of 2 machines; the first is 0"),
        ({"MAX_RESTARTS": "-1"}, "MAX_RESTARTS is '-1'; it should be a whole number from 0 on"),
        ({"CONFIG": "nowhere.yaml"}, "no config nowhere.yaml"),
        ({"INPUT": "/nowhere"}, "there is no /nowhere"),
        ({"STEPS": "caption"}, "has no step 'caption'; it has 1 template"),
        ({"BSZ": "none"}, "step 1 (template): batch_size is 'none'"),
        ({"BSZ": "@"}, "step 1 (template): batch_size is '@'"),  # no YAML, so a text
    ],
)  # fmt: skip
def test_misuse_is_one_sentence_and_creates_nothing(call, variables, sentence):
    status, said = call("run", "--first", **variables)
    assert (status, sentence in said, len(said.splitlines())) == (2, True, 1), said


@pytest.mark.slow
def test_a_setting_of_the_command_line_stands_over_the_variable(project):
    keys = project.items(6)
    project.write_config({})
    done = project.run("run", "--set", "batch_size=2", "--set", "1.draws=true", BSZ=5)
    assert done.returncode == 0, done.stdout
    records = project.recorded()
    assert sorted(records) == keys and all("output_image_path" in record for record in records.values())
    assert '"batch_size":2,' in (project.step / "progress0.json").read_text()
