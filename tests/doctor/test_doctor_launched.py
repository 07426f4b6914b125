"""./launcher.sh doctor, as a person starts it."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.files.lookup import ROOT

MODELS = {"facebook/sam3": "manual", "someone/albedo": False}  # which of them are gated


@pytest.fixture
def doctor(project):
    """What doctor prints as (mark, sentence) pairs, and its exit status; the cache is empty and there is no network."""
    shutil.copy(ROOT / "requirements.txt", project.folder)
    home = project.folder / "hf"

    def run(**variables):
        offline = {"HF_HOME": home, "HF_HUB_OFFLINE": 1}
        done = project.run("doctor", **(offline | variables))
        lines = done.stdout.splitlines()
        assert all(line[:6] in ("ok    ", "warn  ", "FAIL  ") for line in lines), done.stdout
        return [(line[:6].strip(), line[6:]) for line in lines], done.returncode

    return run


def failures(lines: list[tuple[str, str]]) -> list[str]:
    """Those about the run; what is installed here is another matter."""
    return [sentence for mark, sentence in lines if mark == "FAIL" and not sentence.startswith("packages: ")]


@pytest.mark.slow
def test_the_run_without_weights_can_be_done_and_its_time_is_told(project, doctor):
    lines, status = doctor(CONFIG="configs/relight.yaml")
    assert failures(lines) == []
    assert status == ("FAIL" in dict(lines))
    said = "\n".join(sentence for _, sentence in lines)
    for words in (
        "can be read: 12 items", "step 1 (filter): ", "step 2 (degrade): ", "step 3 (keywords): ",
        "for 12 items with 2 workers, an estimate", "the whole run: about ", "the run writes about ",
    ):  # fmt: skip
        assert words in said, words
    assert not project.output.exists()


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="says what is missing where there is no GPU")
def test_the_run_with_models_names_each_thing_that_is_missing(project, doctor):
    pytest.importorskip("huggingface_hub")
    pytest.importorskip("open_clip")
    lines, status = doctor(CONFIG="configs/relight_gpu.yaml")
    assert status == 1
    missing = [sentence for sentence in failures(lines) if "is not on this machine" in sentence]
    assert [sentence.split(" is not ")[0] for sentence in missing] == [
        "step 1 (filter): model_name ViT-B/32 (openai)",
        "step 2 (degrade): mask_model facebook/sam3",
        "step 2 (degrade): albedo_model prs-eth/marigold-iid-appearance-v1-1",
        "step 3 (qwen3vl): model_path Qwen/Qwen3-VL-30B-A3B-Instruct",
    ]
    assert all("HF_HUB_OFFLINE is set" in sentence and "`hf download " in sentence for sentence in missing)
    said = [sentence for _, sentence in lines]
    assert "step 3 (qwen3vl): its time cannot be probed, because its models are not here" in said
    assert any(sentence.startswith("step 3 (qwen3vl)") and "GPU" in sentence for sentence in said)


def test_a_quick_look_tries_nothing(project):
    done = project.run("doctor", "--quick", CONFIG="configs/relight.yaml")
    assert "can be read: 12 items" in done.stdout and "the run writes about " in done.stdout
    assert "an estimate" not in done.stdout


def test_only_the_steps_that_will_run_and_as_many_items(project, doctor):
    lines, _ = doctor(CONFIG="configs/relight.yaml", STEPS="filter", TEST_CUTDOWN=5)
    steps = [sentence for _, sentence in lines if sentence.startswith("step ")]
    assert len(steps) == 1
    assert "step 1 (filter): " in steps[0]
    assert "for 5 items with 2 workers" in steps[0]


def test_a_key_that_a_preset_needs_is_asked_for(project, doctor):
    step = {"type": "caption", "name": "openai", "config": {"vllm_url": "http://localhost:9/v1"}}
    project.write_config(step, meta_path=str(ROOT / "configs" / "samples"))
    before = os.environ.pop("OPENAI_API_KEY", None)
    try:
        lines, status = doctor()
        assert status == 1
        assert failures(lines) == [
            "step 1 (openai): OPENAI_API_KEY is not set; the server at http://localhost:9/v1 needs a key: "
            "export OPENAI_API_KEY=..."
        ]
        lines, status = doctor(OPENAI_API_KEY="secret-words")
        assert status == 1
        assert "step 1 (openai): OPENAI_API_KEY is set" in [sentence for _, sentence in lines]
        assert not any("secret-words" in sentence for _, sentence in lines)
    finally:
        if before is not None:
            os.environ["OPENAI_API_KEY"] = before


class FakeHub(BaseHTTPRequestHandler):
    """Answers as the Hub does: what a model is to everybody, and its files to those who may have them."""

    def do_GET(self):
        name = self.path.partition("?")[0].removeprefix("/api/models/")
        if name in MODELS:
            files = [{"rfilename": "config.json", "size": 500}, {"rfilename": "model.safetensors", "size": 3 * 2**30}]
            self.reply(
                200,
                {"id": name, "modelId": name, "gated": MODELS[name], "private": False, "tags": [], "siblings": files},
            )
        else:
            self.reply(404, {"error": "Repository not found"}, "RepoNotFound")

    def do_HEAD(self):
        self.reply(403, {"error": "Access to model is restricted"}, "GatedRepo")

    def reply(self, status: int, content: dict, code: str = ""):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *words):
        pass


def test_the_hub_is_asked_about_what_is_not_here(project, doctor):
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    degrade = {"type": "degrade", "config": {"mask": "sam3", "method": "marigold", "albedo_model": "someone/albedo"}}
    caption = {"type": "caption", "config": {"engine": "transformers", "model_path": "someone/nothing"}}
    project.write_config(degrade, caption, meta_path=str(ROOT / "configs" / "samples"))
    try:
        lines, status = doctor(HF_HUB_OFFLINE=0, HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert status == 1
    gated, unknown = failures(lines)
    assert gated.startswith(
        "step 1 (degrade): mask_model facebook/sam3 is gated: accept its terms on https://huggingface.co/facebook/sam3"
    )
    assert unknown.startswith(
        "step 2 (caption): model_path someone/nothing is neither a folder here nor a model on the Hub"
    )
    assert (
        "warn",
        "step 1 (degrade): albedo_model someone/albedo is not on this machine: the run will download 3.0 GiB; "
        "`hf download someone/albedo` does so now",
    ) in lines
    assert ("warn", "step 1 (degrade): its time cannot be probed, because its models are not here") in lines
