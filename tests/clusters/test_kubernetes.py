"""What is bundled for Kubernetes, KubeRay and SkyPilot, against what these make of it."""

import os
import re
import subprocess
import sys

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


def environment_of(values) -> set[str]:
    launcher = set(re.findall(r"^([A-Z_]+)=\$\{\1", (ROOT / "launcher.sh").read_text(), re.MULTILINE))
    return set(values) - launcher - {"RAY_ADDRESS", "MASTER_ADDR"}


def test_the_pods_of_kuberay_are_pods_and_rays_own_autoscaler_reads_their_gpus():
    from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

    job = yaml.safe_load((ROOT / "configs" / "clusters" / "kuberay.yaml").read_text())
    cluster = job["spec"]["rayClusterSpec"]
    [workers] = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], workers):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "a"}, "template": group["template"]}
        kubernetes_validate.validate(pod, "1.33", strict=True)
    made = _derive_autoscaling_config_from_ray_cr({"metadata": {"name": "a", "namespace": "b"}, "spec": cluster})
    assert made["available_node_types"]["headgroup"]["resources"]["CPU"] == 0
    assert made["available_node_types"]["gpus"]["resources"]["GPU"] == 8
    assert made["available_node_types"]["gpus"]["max_workers"] == workers["maxReplicas"]
    values = yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert environment_of(values) == set() and values["LAUNCH_WITH"] == "ray" and (ROOT / values["CONFIG"]).exists()


def test_ray_of_the_cluster_is_the_one_that_is_installed():
    cluster = yaml.safe_load((ROOT / "configs" / "clusters" / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]
    assert f'"ray=={cluster["rayVersion"]}"' in (ROOT / "pyproject.toml").read_text()


def test_the_variables_of_skypilot_s_task_are_those_of_the_launcher():
    task = yaml.safe_load((ROOT / "configs" / "clusters" / "skypilot.yaml").read_text())
    exported = re.findall(r"([A-Z_]+)=\$", task["run"])
    assert environment_of({*task["envs"], *exported}) == set() and len(exported) == 4
    assert (ROOT / task["envs"]["CONFIG"]).exists()


@pytest.mark.slow
def test_skypilot_takes_its_task(tmp_path):
    """By SkyPilot itself, in an environment of its own, since it wants other versions of what we use."""
    python = tmp_path / "sky" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, tmp_path / "sky"], check=True)
    wanted = ["skypilot==0.10.5", "greenlet==3.5.6"]
    subprocess.run([sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, *wanted], check=True)
    code = "import sys, sky; task = sky.Task.from_yaml(sys.argv[1]); print(task.name, task.num_nodes, task.resources)"
    environment = os.environ | {"HOME": str(tmp_path), "SKYPILOT_DISABLE_USAGE_COLLECTION": "1"}
    path = ROOT / "configs" / "clusters" / "skypilot.yaml"
    done = subprocess.run(
        [python, "-c", code, path], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("relight 1 ") and "H100" in done.stdout, done.stderr
    (tmp_path / "wrong.yaml").write_text(path.read_text().replace("num_nodes:", "nodes:"))
    wrong = subprocess.run(
        [python, "-c", code, tmp_path / "wrong.yaml"], env=environment, capture_output=True, text=True, check=False
    )
    assert wrong.returncode != 0 and "nodes" in wrong.stderr
