"""configs/describe.yaml, end to end: against a server that answers at once, and with InternVL in vLLM."""

import json
import os
import signal

import pytest
import yaml
from PIL import Image

from tests.chat_server import ChatServer, completion
from tests.conftest import ROOT, wait_until
from tests.workers.describing import save_dataset

pytest.importorskip("datasets")

PARAGRAPH = "The image shows a red barn beside some tall birch trees."
CONFIG = ROOT / "configs" / "describe.yaml"


def to_server(server: ChatServer) -> list[str]:
    settings = {"engine": "server", "vllm_url": server.url, "model_path": "tiny", "max_num": "null", "num_workers": 2}
    return ["run", *(word for name, value in settings.items() for word in ("--set", f"{name}={value}"))]


def captions(project) -> dict[str, dict]:
    return {path.stem: json.loads(path.read_text()) for path in (project.output / "captions").glob("*.json")}


@pytest.fixture
def variables(project):
    return {"CONFIG": CONFIG, "DATASET_DIR": project.folder / "web", "GPU_COUNT": "", "HF_HUB_OFFLINE": 1}


@pytest.mark.slow
def test_each_item_gets_a_file_of_two_captions_and_the_first_a_sample(project, variables):
    keys = save_dataset(project.folder / "web", 12, damaged=(3,))
    with ChatServer(lambda number, body: completion(f"**Description:** {PARAGRAPH}")) as server:
        done = project.run(*to_server(server), "--set", "sample_images=6", **variables | {"GPU_COUNT": 3})
    assert done.returncode == 3, done.stdout
    assert [line for line in done.stdout.splitlines() if ": process " in line] and "GPU 2: process " in done.stdout
    found = captions(project)
    assert sorted(found) == [key for key in keys if key != "web-003"]
    fingerprint = found["web-000"].pop("fingerprint")
    assert found["web-000"] == {
        "key": "web-000",
        "web_caption": "what the web says of 0",
        "vlm_caption": PARAGRAPH,
    }
    assert not any("what the web says" in json.dumps(body) for body in server.requests)
    assert (project.output / "failures" / "web-003.json").is_file()
    images = sorted((project.output / "images").iterdir())
    assert [path.name for path in images] == [f"{key}.jpg" for key in keys[:6] if key != "web-003"]
    with Image.open(images[0]) as image:
        assert (image.format, image.size) == ("JPEG", (96, 64))
    prompt = (ROOT / "configs" / "prompts" / "describe.txt").read_text()
    for name in ("query", fingerprint):
        assert (project.output / "queries" / f"{name}.txt").read_text() == prompt
    assert sorted(path.name for path in project.output.glob("end*.txt")) == ["end0.txt", "end1.txt", "end2.txt"]


@pytest.mark.slow
def test_the_variables_have_the_old_defaults(project, variables):
    save_dataset(project.folder / "web", 4)
    with ChatServer(lambda number, body: completion(PARAGRAPH)) as server:
        given = variables | {"OUTPUT_DIR": "", "SOURCE": "laion", "TEST_CUTDOWN": 3}
        done = project.run(*to_server(server), **given)
    assert done.returncode == 0, done.stdout
    assert "3 items, 1 workers" in done.stdout
    output = project.folder / "outputs" / "out_laion_your_partition"
    assert len(list((output / "captions").iterdir())) == 3
    sampling = {name: server.requests[0].get(name) for name in ("temperature", "top_p", "max_tokens")}
    assert sampling == {"temperature": 0.6, "top_p": 0.7, "max_tokens": 168}
    options = json.loads((output / "step.json").read_text())["settings"]
    assert options["sample_images"] == 1000
    config = yaml.safe_load(CONFIG.read_text())["steps"][0]["config"]
    assert (config["batch_size"], config["max_num"], config["model_path"]) == (6, 9, "./InternVL-Chat-V1-5")


@pytest.mark.slow
def test_a_run_that_was_killed_and_stopped_ends_with_every_caption_once(project, variables):
    keys = save_dataset(project.folder / "web", 40)
    with ChatServer(lambda number, body: 0.05) as server:
        words = [*to_server(server), "--set", "answers=any"]
        launcher = project.launch(*words, **variables | {"GPU_COUNT": 2})
        wait_until(lambda: len(captions(project)) > 8)
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        wait_until(lambda: not project.processes())
        done = project.run(*words, **variables | {"GPU_COUNT": 3})
        asked = len(server.requests)
        again = project.run(*words, **variables | {"GPU_COUNT": 1})
    assert done.returncode == again.returncode == 0, done.stdout
    assert sorted(captions(project)) == keys and len(server.requests) == asked <= 40 + 4
    assert len(list((project.output / "images").iterdir())) == 40


# ---- with vLLM ----

CPU = {"VLLM_CPU_KVCACHE_SPACE": 1, "VLLM_ENABLE_V1_MULTIPROCESSING": 0, "OMP_NUM_THREADS": 1, "MAX_RESTARTS": 0}
TINY = [
    "run",
    "--set",
    "dtype=float32",
    "--set",
    'engine_options={"enforce_eager": true}',
    "--set",
    "max_model_len=4096",
]
