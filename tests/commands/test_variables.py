"""Paths that hold in any folder, and the variables that are options."""

from pathlib import Path

import pytest

from shared.commands.variables import Variables
from shared.errors import ConfigError
from shared.files.lookup import ROOT


def test_a_relative_folder_is_of_the_place_the_launcher_was_called_from(tmp_path):
    variables = Variables({"CALLED_FROM": str(tmp_path), "OUTPUT_DIR": "mine", "LOG_DIR": "notes"})
    assert (variables.output_dir(Path("a.yaml")), variables.log_dir()) == (tmp_path / "mine", tmp_path / "notes")


def test_without_a_word_they_are_the_projects():
    variables = Variables({"CALLED_FROM": "/tmp", "OUTPUT_DIR": "", "LOG_DIR": ""})
    assert variables.output_dir(Path("configs/a.yaml")) == ROOT / "outputs" / "a"
    assert variables.log_dir() == ROOT / "logs"
    named = Variables({"SOURCE": "web", "SUB_PARTITION_NAME": "part7"})
    assert named.output_dir(Path("a.yaml")) == ROOT / "outputs" / "out_web_part7"


def test_a_config_is_found_here_in_the_project_and_in_configs(tmp_path):
    variables = Variables({"CALLED_FROM": str(tmp_path)})
    assert variables.find_config("relight_gpu.yaml") == ROOT / "configs" / "relight_gpu.yaml"
    assert variables.find_config("configs/relight.yaml") == ROOT / "configs" / "relight.yaml"
    (tmp_path / "relight_gpu.yaml").touch()
    assert variables.find_config("relight_gpu.yaml") == tmp_path / "relight_gpu.yaml"
    assert variables.find_config("nowhere.yaml") == Path("nowhere.yaml")


def test_variables_that_are_options_of_every_step(tmp_path):
    (tmp_path / "weights").mkdir()
    environ = {"CALLED_FROM": str(tmp_path), "BSZ": "8", "TEMPERATURE": "", "MODEL_PATH": "weights"}
    assert Variables(environ).settings() == ["batch_size=8", f"model_path={tmp_path}/weights"]
    assert Variables({"MODEL_PATH": "org/model"}).settings() == ["model_path=org/model"]


@pytest.mark.parametrize("variable", ["GPU_COUNT", "NODE_COUNT", "MAX_RESTARTS", "GPUS_PER_WORKER", "TEST_CUTDOWN"])
def test_a_number_with_a_leading_zero_is_that_number(variable):
    attribute = {"TEST_CUTDOWN": "at_most"}.get(variable, variable.lower())
    assert getattr(Variables({variable: "08"}), attribute) == 8


def test_a_config_may_say_what_a_person_has_left_empty(tmp_path):
    said = {"GPU_COUNT": 1, "SOURCE": "web", "SUB_PARTITION_NAME": "part"}
    variables = Variables({"GPU_COUNT": "", "SOURCE": "mine"})
    variables.take_defaults(said, tmp_path / "a.yaml")
    assert (variables.gpu_count, variables.output_dir(Path("a.yaml")).name) == (1, "out_mine_part")
    for given in ({"GPU_COUNT": "auto"}, {"GPUS": "0,2"}):
        variables = Variables(given)
        variables.take_defaults(said, tmp_path / "a.yaml")
        assert variables.gpu_count is None
    with pytest.raises(ConfigError, match="launcher: no 'BSZ'; a config may set GPU_COUNT"):
        Variables({}).take_defaults({"BSZ": 4}, tmp_path / "a.yaml")
