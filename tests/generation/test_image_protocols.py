"""Each service that draws images is asked in its own way, and each way it can go wrong costs one item or ends the run."""

import json
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

import numpy as np
import pytest

from shared.errors import ConfigError, RequestError, RunError
from shared.files.table import Table
from shared.generation.generator import Request
from shared.generation.image_protocols import PROTOCOLS
from shared.generation.image_server import ImageServer
from shared.images import open_image
from shared.loop.loop import Loop
from shared.loop.place import Place
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run
from tests.local_server import LocalServer
from tests.web_server import photograph

SIZE = (40, 24)


class Handler(BaseHTTPRequestHandler):
    outer: "Service"
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, body):
        with self.outer.lock:
            self.outer.asked.append((self.path, body, dict(self.headers)))
        status, said = self.outer.script(self.path, body)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        pass


class Service(LocalServer):
    """`script(path, body)` gives (status, JSON or bytes)."""

    def __init__(self, script: Any):
        self.script, self.lock = script, threading.Lock()
        self.asked: list[tuple[str, Any, dict]] = []
        super().__init__(Handler)


@pytest.fixture
def draw(monkeypatch):
    monkeypatch.setenv("A_KEY", "sk-secret")
    servers = []

    def ask(protocol: str, service: Service, prompts=("a cat",), **options) -> list:
        request = Request(SIZE[0], SIZE[1], 50, **options)
        server = ImageServer(service.url, "flux", request, "A_KEY", 2, protocol)
        servers.append(server)
        server.load()
        server.protocol.polling_seconds = 0.01
        return server.draw(server.encode(prompts), [7] * len(prompts))

    yield ask
    for server in servers:
        server.close()


def bfl(states: list[dict]):
    """A service that answers with these states, one after another; the one that is ready says where the image is."""
    waiting = list(states)

    def script(path: str, body: Any):
        if path == "/flux":
            return 200, {"id": "1", "polling_url": f"{service.url}/get_result?id=1"}
        if path.startswith("/get_result"):
            said = waiting.pop(0)
            sample = f"{service.url}/delivery/sample.png?sig=abc" if said["status"] == "Ready" else None
            return 200, {"id": "1", "result": {"sample": sample}, **said}
        return 200, photograph(1, "PNG", SIZE)

    service = Service(script)
    return service


def test_black_forest_labs_is_asked_looked_after_and_its_file_is_fetched_without_the_key(draw):
    with bfl([{"status": "Pending"}, {"status": "Queued"}, {"status": "Ready"}]) as service:
        [image] = draw("bfl", service, guidance_scale=3.5)
    assert image.shape == (SIZE[1], SIZE[0], 3) and 0 < image.mean() < 1
    path, body, headers = service.asked[0]
    assert (path, headers["x-key"]) == ("/flux", "sk-secret") and "Authorization" not in headers
    assert body == {
        "prompt": "a cat",
        "width": 40,
        "height": 24,
        "seed": 7,
        "guidance": 3.5,
        "output_format": "png",
    }
    assert [path.split("?")[0] for path, _, _ in service.asked] == [
        "/flux",
        *["/get_result"] * 3,
        "/delivery/sample.png",
    ]
    assert all(headers["x-key"] == "sk-secret" for _, _, headers in service.asked[:-1])
    assert "sk-secret" not in json.dumps(service.asked[-1])


def test_an_image_that_cannot_be_fetched_costs_its_item(draw):
    with bfl([{"status": "Ready"}]) as service:
        before = service.script
        service.script = lambda path, body: (403, b"expired") if path.startswith("/delivery") else before(path, body)
        [error] = draw("bfl", service)
    assert isinstance(error, RequestError)
    assert str(error).startswith("what was drawn could not be fetched: ") and "status 403: expired" in str(error)


@pytest.mark.parametrize("state", ["Request Moderated", "Content Moderated", "Error", "Task not found"])
def test_what_black_forest_labs_does_not_draw_costs_its_item(draw, state):
    with bfl([{"status": state, "details": {"Moderation Reasons": ["Safety Filter"]}}]) as service:
        [error] = draw("bfl", service)
    assert isinstance(error, RequestError)
    assert str(error) == f"the server draws no image of this one ({state}: {{'Moderation Reasons': ['Safety Filter']}})"


def test_modelslab_gives_an_image_at_once_or_later(draw):
    looks = iter([{"status": "processing", "id": 5}, {"status": "success", "id": 5, "output": ["IMAGE"]}])

    def script(path: str, body: Any):
        if path == "/images/text2img" and body["prompt"] == "at once":
            return 200, {"status": "success", "id": 4, "output": [f"{service.url}/generations/4.jpg"]}
        if path == "/images/text2img":
            return 200, {"status": "processing", "eta": 2, "id": 5, "fetch_result": f"{service.url}/images/fetch/5"}
        if path == "/images/fetch/5":
            said = dict(next(looks))
            if "output" in said:
                said["output"] = [f"{service.url}/generations/5.jpg"]
            return 200, said
        return 200, photograph(int(path[-5]), "JPEG", SIZE)

    service = Service(script)
    with service:
        images = draw("modelslab", service, ("at once", "later"), negative_prompt="blur", guidance_scale=7.0)
    assert [image.shape for image in images] == [(SIZE[1], SIZE[0], 3)] * 2
    assert not np.array_equal(*images)
    body = next(body for path, body, _ in service.asked if path == "/images/text2img" and body["prompt"] == "later")
    assert body == {
        "key": "sk-secret", "model_id": "flux", "prompt": "later", "width": 40, "height": 24, "samples": 1, "seed": 7,
        "guidance_scale": 7.0, "negative_prompt": "blur",
    }  # fmt: skip
    assert {"key": "sk-secret"} in [body for path, body, _ in service.asked if path == "/images/fetch/5"]


def test_what_modelslab_refuses_is_read_from_its_message(draw):
    service = Service(lambda path, body: (200, {"status": "error", "message": f"{body['prompt']} is not allowed"}))
    with service:
        [error] = draw("modelslab", service)
        assert isinstance(error, RequestError)
        assert str(error) == "the server refuses this one (status 400: a cat is not allowed)"
        service.script = lambda path, body: (200, {"status": "error", "message": f"Invalid API Key {body['key']}"})
        with pytest.raises(RunError, match=r"refuses the key \(status 401: Invalid API Key \*\*\*\)"):
            draw("modelslab", service)


def test_hugging_face_answers_with_the_file(draw):
    with Service(lambda path, body: (200, photograph(1, "JPEG", SIZE))) as service:
        [image] = draw("huggingface", service, negative_prompt="blur")
    assert image.shape == (SIZE[1], SIZE[0], 3)
    [(path, body, headers)] = service.asked
    assert (path, headers["Authorization"]) == ("/flux", "Bearer sk-secret")
    assert body == {"inputs": "a cat", "parameters": {"width": 40, "height": 24, "seed": 7, "negative_prompt": "blur"}}


def test_a_file_that_is_no_image_is_fetched_again_and_then_costs_its_item(draw, monkeypatch):
    monkeypatch.setattr("shared.captions.engines.patience.FIRST_PAUSE", 0.001)
    answers = iter([b"no image", photograph(1, "PNG", SIZE)])
    with Service(lambda path, body: (200, next(answers))) as service:
        [image] = draw("huggingface", service)
        assert image.shape == (SIZE[1], SIZE[0], 3)
        service.script = lambda path, body: (200, b"never" if path == "/flux" else {"data": []})
        [error] = draw("huggingface", service)
    assert "the answer holds no image: b'never'" in str(error)


def test_each_service_has_its_address_and_a_preset():
    from shared.run.presets import presets, read_preset

    named = {read_preset(name).get("protocol", "openai") for name in presets() if "server" in str(read_preset(name))}
    assert set(PROTOCOLS) <= named
    assert all(kind.address.startswith("https://") for kind in PROTOCOLS.values())


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("BFLGenerator", {"negative_prompt": "blur"}, "negative_prompt is of no use to protocol: bfl; leave it out"),
        ("ImageAPIGenerator", {"guidance_scale": 3.5}, "guidance_scale is of no use to protocol: openai; leave it out"),
        ("sdxl", {"protocol": "bfl"}, "protocol: bfl needs engine: server"),
        ("ModelsLabGenerator", {"quantize": "int8"}, "quantize is of no use to protocol: modelslab; leave it out"),
    ],
)
def test_an_option_that_a_service_does_not_take_is_told(tmp_path, name, options, sentence):
    (tmp_path / "run.yaml").write_text(
        json.dumps({"meta_path": "rows.jsonl", "steps": [{"type": "ImageGenerator", "name": name, "config": options}]})
    )
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "run.yaml")
    assert str(caught.value) == f"step 1 ({name}): {sentence}"


def test_a_run_by_a_service_writes_its_images_and_says_how(tmp_path, monkeypatch):
    monkeypatch.setenv("BFL_API_KEY", "sk-secret")
    (tmp_path / "rows.jsonl").write_text('{"key": "a", "text": "a cat"}\n')
    with bfl([{"status": "Ready"}]) as service:
        options = {"server_url": service.url, "model_path": "flux", "width": 40, "height": 24, "guidance_scale": 2.0}
        step = {"type": "ImageGenerator", "name": "BFLGenerator", "config": options}
        (tmp_path / "run.yaml").write_text(json.dumps({"meta_path": "rows.jsonl", "image_key": None, "steps": [step]}))
        run = Run(load_config(tmp_path / "run.yaml"), tmp_path / "out")
        advance(run, lambda text: None)
        assert Loop(run.steps[0], Place()).run() == 0
        assert advance(run, lambda text: None, begun=frozenset([1])).is_complete
    [row] = Table(run.steps[0].result_path)
    assert row["generation"] == {
        "model": "flux", "width": 40, "height": 24, "seed": service.asked[0][1]["seed"], "guidance_scale": 2.0,
    }  # fmt: skip
    assert open_image(run.steps[0].folder / row["generated_path"]).size == (40, 24)
