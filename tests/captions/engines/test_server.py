"""Keys, silence, limits and faults of a server: what ends the run, and what costs one photograph."""

import base64
import io
import logging

import numpy as np
import pytest
from PIL import Image

from shared.captions.engines.engine import Message, Question, Sampling
from shared.captions.engines.server import Server
from shared.run.config import checked
from tests.captions.engines.asked_server import KEY, caption
from tests.chat_server import PHRASE, ChatServer, completion
from tests.conftest import ROOT, wait_until
from workers.caption import Caption


def test_every_photograph_is_asked_about_and_recorded_with_its_tokens(items):
    with ChatServer() as server:
        found = caption(server, items)
    assert found == {
        item["key"]: {"lighting_keywords": PHRASE, "asked": 1, "prompt_tokens": 1100, "completion_tokens": 12}
        for item in items
    }


def test_the_request_is_what_the_protocol_asks_for(items):
    with ChatServer() as server:
        caption(
            server,
            items[:1],
            prompt="What light?",
            system_prompt="Be brief.",
            top_p=0.9,
            top_k=50,
            repetition_penalty=1.2,
        )
    [request] = server.requests
    image = request["messages"][1]["content"].pop(0)
    assert isinstance(request.pop("seed"), int)
    assert request == {
        "model": "tiny",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "What light?"}]}],
        "temperature": 0.1, "top_p": 0.9, "top_k": 50, "repetition_penalty": 1.2, "max_tokens": 100,
    }  # fmt: skip
    head, _, data = image["image_url"]["url"].partition(",")
    assert (image["type"], head) == ("image_url", "data:image/jpeg;base64")
    with Image.open(io.BytesIO(base64.b64decode(data))) as sent:
        assert (sent.format, sent.size) == ("JPEG", (40, 30))


def test_a_large_photograph_is_made_smaller_before_it_is_sent(tmp_path):
    Image.fromarray(np.zeros((1500, 3000, 3), np.uint8)).save(tmp_path / "large.jpg")
    with ChatServer() as server:
        caption(server, [{"key": "large.jpg", "image_path": str(tmp_path / "large.jpg")}], max_pixels=500_000)
    data = server.requests[0]["messages"][0]["content"][0]["image_url"]["url"].partition(",")[2]
    with Image.open(io.BytesIO(base64.b64decode(data))) as sent:
        assert 490_000 < sent.width * sent.height <= 500_000
        assert sent.width == pytest.approx(2 * sent.height, abs=2)


@pytest.mark.parametrize(
    ("preset", "fields", "variable"),
    [
        ("openai", {"max_completion_tokens", "seed"}, "OPENAI_API_KEY"),
        ("mistral", {"max_tokens", "temperature", "random_seed"}, "MISTRAL_API_KEY"),
    ],
)
def test_the_providers_are_spoken_to_as_they_want_it(items, monkeypatch, preset, fields, variable):
    from shared.run.config import read_preset

    options = read_preset(preset)
    monkeypatch.setenv(variable, KEY)
    with ChatServer(models=("gpt-4o", "pixtral-large-latest")) as server:
        found = caption(server, items[:1], **options | {"vllm_url": server.url, "top_k": 50, "repetition_penalty": 1.2})
    assert found["0.png"]["lighting_keywords"] == PHRASE
    assert set(server.requests[0]) == {"model", "messages", *fields}
    assert server.requests[0]["model"] == options["model_path"]
    assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"


def test_no_more_than_num_workers_requests_are_in_flight(items):
    with ChatServer(lambda number, body: 0.1) as server:
        caption(server, items, num_workers=3)
    assert server.most == 3


def test_a_refusal_in_the_protocol_s_own_field_is_asked_again(items):
    with ChatServer(
        lambda number, body: completion(None, refusal="I can't.") if number == 0 else completion()
    ) as server:
        found = caption(server, items[:1])
    assert found["0.png"]["asked"] == 2
    assert [request["temperature"] for request in server.requests] == [0.1, 0.4]


def test_a_schema_goes_along_and_its_answer_is_composed(items):
    import json

    fields = {
        "direction": "left", "quality": "soft", "source": "window light", "colour": "warm", "place": "kitchen", "mood": "calm",
    }  # fmt: skip
    with ChatServer(lambda number, body: completion(json.dumps(fields))) as server:
        found = caption(server, items[:1], structured=True)
    assert found["0.png"]["lighting_keywords"] == "soft warm window light from the left, kitchen, calm mood"
    form = server.requests[0]["response_format"]
    assert (form["type"], form["json_schema"]["strict"]) == ("json_schema", True)
    assert form["json_schema"]["schema"]["required"] == list(fields)


def test_requests_are_not_logged_one_by_one(items, caplog):
    with caplog.at_level(logging.INFO), ChatServer() as server:
        caption(server, items)
    assert [record for record in caplog.records if record.name.startswith("http")] == []


def test_the_presets_have_the_contract_s_values():
    from shared.run.config import read_preset

    values = {path.stem: read_preset(path.stem) for path in (ROOT / "configs" / "models").glob("*.yaml")}
    for name in ("qwen3vl", "qwen3vl-server", "mistral", "openai"):
        checked(Caption, values[name], name)
    assert {name: values[name]["model_path"] for name in ("qwen3vl", "qwen3vl-server", "mistral", "openai")} == {
        "qwen3vl": "Qwen/Qwen3-VL-30B-A3B-Instruct", "qwen3vl-server": "Qwen/Qwen3-VL-30B-A3B-Instruct",
        "mistral": "pixtral-large-latest", "openai": "gpt-4o",
    }  # fmt: skip
    assert {key: values["qwen3vl"][key] for key in ("engine", "batch_size", "temperature", "max_tokens", "max_model_len", "gpu_memory_utilization")} == {
        "engine": "vllm", "batch_size": 8, "temperature": 0.1, "max_tokens": 100, "max_model_len": 32768, "gpu_memory_utilization": 0.9,
    }  # fmt: skip
    assert (values["qwen3vl-server"]["num_workers"], values["mistral"]["num_workers"]) == (8, 4)
    assert values["qwen3vl-server"]["vllm_url"] == "http://localhost:8000/v1"


def test_batch_size_is_how_many_photographs_are_kept_ready_for_a_free_place():
    with ChatServer(lambda number, body: 1.0) as server:
        engine = Server(server.url, "tiny", num_workers=2, batch_size=3)
        engine.setup()
        taken = 0
        while engine.room() > 0:
            engine.ask(Question("a", (Message("user", "?"),), Sampling()))
            taken += 1
        wait_until(lambda: len(server.requests) == 2)
        engine.close()
    assert taken == 5
