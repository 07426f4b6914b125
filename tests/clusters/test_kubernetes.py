"""The Job for Kubernetes, against the schema of its API."""

import re

import kubernetes_validate
import pytest
import yaml

from tests.conftest import ROOT

PATH = ROOT / "configs" / "clusters" / "kubernetes.yaml"
JOB = yaml.safe_load(PATH.read_text())


def test_the_api_takes_it():
    kubernetes_validate.validate(JOB, "1.33", strict=True)
    wrong = JOB | {"spec": JOB["spec"] | {"completions": "two"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_its_counts_fit_and_its_variables_are_those_of_the_launcher():
    [container] = JOB["spec"]["template"]["spec"]["containers"]
    values = {entry["name"]: entry.get("value") for entry in container["env"]}
    launcher = set(re.findall(r"^([A-Z_]+)=\$\{\1", (ROOT / "launcher.sh").read_text(), re.MULTILINE))
    assert set(values) <= launcher
    assert JOB["spec"]["completions"] == JOB["spec"]["parallelism"] == int(values["NODE_COUNT"])
    assert container["resources"]["limits"]["nvidia.com/gpu"] == values["GPU_COUNT"]
    assert (ROOT / values["CONFIG"]).exists()
