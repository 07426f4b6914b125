"""The Ray cluster that is bundled, against the schema that `ray up` checks it by; and what is refused without Ray."""

import copy
import sys

import pytest
import yaml

from tests.conftest import ROOT, VARIABLES
from workers import launch

CONFIG = yaml.safe_load((ROOT / "configs" / "clusters" / "ray.yaml").read_text())


def test_ray_takes_it():
    from ray.autoscaler._private.util import prepare_config, validate_config

    validate_config(prepare_config(copy.deepcopy(CONFIG)))
    with pytest.raises(Exception, match="worker_ip"):
        validate_config(prepare_config(CONFIG | {"provider": {"type": "local", "head_ip": "10.0.0.1"}}))


def test_without_the_package_it_is_one_sentence(project, monkeypatch, capsys):
    project.items(2)
    project.write_config({"type": "template"})
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    values = {"CONFIG": project.config, "OUTPUT_DIR": project.output, "LAUNCH_WITH": "ray"}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr("shared.commands.pool.find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["launch", "pool", "--step", "1", "--parent", "1"])
    with pytest.raises(SystemExit) as ending:
        launch.main()
    assert ending.value.code == 2
    assert "LAUNCH_WITH=ray needs the package ray, which is not installed: uv pip install" in "".join(
        capsys.readouterr()
    )
