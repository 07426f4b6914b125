import base64
import email.utils
import io
import logging
import time

import numpy as np
import pytest
from PIL import Image

from shared.captions.engines import patience
from shared.captions.engines.engine import Answer, Message, Question, Sampling
from shared.captions.engines.server import Server
from shared.errors import RequestError, RunError
from shared.run.config import checked
from shared.worker import Loaded
from tests.chat_server import PHRASE, ChatServer, completion
from tests.conftest import ROOT, wait_until
from workers.caption import Caption

KEY = "sk-secret-of-the-test"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.05)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def items(tmp_path):
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((30 + number, 40, 3), 40 * number, np.uint8)).save(path)
        made.append({"key": path.name, "image_path": str(path)})
    return made


def caption(server, items, **options):
    worker = checked(Caption, {"engine": "server", "vllm_url": server.url, **options}, "step 3 (keywords)")
    worker.check("step 3 (keywords)")
    worker.fill_in("step 3 (keywords)")
    worker.seed = 7
    worker.setup()
    try:
        return {item["key"]: found for item, found in worker.stream(Loaded(item, worker.load(item)) for item in items)}
    finally:
        worker._engine.close()


def answer(server, **options):
    """What one question gets."""
    engine = Server(server.url, "tiny", **options)
    engine.setup()
    try:
        engine.ask(Question("a", (Message("user", "What light?"),), Sampling(0.1, max_tokens=100, seed=5), None))
        while not (found := engine.answers(1)):
            pass
        return found[0][1]
    finally:
        engine.close()


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


def test_a_missing_key_is_one_sentence(monkeypatch):
    monkeypatch.delenv("MISTRAL_API_KEY", raising=False)
    with pytest.raises(
        RunError, match=r"MISTRAL_API_KEY is not set; the server at http\S+ needs a key: export MISTRAL_API_KEY=\.\.\."
    ):
        Server("http://127.0.0.1:9/v1", "tiny", key_variable="MISTRAL_API_KEY").setup()


def test_a_key_that_is_refused_is_said_without_the_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(models=401) as server, pytest.raises(RunError) as raised:
        Server(server.url, "tiny", key_variable="OPENAI_API_KEY").setup()
    assert str(raised.value) == f"the server at {server.url} refuses the key; check OPENAI_API_KEY"


def test_a_server_that_repeats_the_key_does_not_bring_it_into_a_message(monkeypatch, caplog):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ChatServer(lambda number, body: (400, {"error": {"message": f"odd key {KEY}"}})) as server:
        error = answer(server, key_variable="OPENAI_API_KEY")
    assert str(error) == "the server refuses this one (status 400: odd key ***)"
    assert KEY not in caplog.text


def test_a_server_that_is_not_there_is_one_sentence_that_says_what_to_do():
    with pytest.raises(
        RunError,
        match=r"no server answers at http://127.0.0.1:9/v1 \(.*\); start one with ./launcher.sh serve, .* set vllm_url",
    ):
        Server("http://127.0.0.1:9/v1", "tiny").setup()


def test_a_model_that_is_not_served_is_told_with_those_that_are():
    with ChatServer(models=("one", "two")) as server:
        with pytest.raises(RunError, match="does not serve tiny; it has one, two"):
            Server(server.url, "tiny").setup()
        with pytest.raises(RunError, match="has several models; name one with model_path: one, two"):
            Server(server.url).setup()


def test_a_server_with_one_model_need_not_be_told_which():
    with ChatServer() as server:
        engine = Server(server.url)
        engine.setup()
        engine.close()
    assert engine.model == "tiny"


@pytest.mark.parametrize(
    "trouble",
    [
        (500, {"error": {"message": "Internal Server Error"}}),
        (503, b"<html>busy</html>"),
        (429, {"error": {"message": "Rate limit reached", "type": "tokens", "code": "rate_limit_exceeded"}}),
        b"not JSON at all",
        {"object": "list", "data": []},
        {"choices": []},
        None,
    ],
)
def test_what_passes_is_tried_again(trouble):
    with ChatServer(lambda number, body: trouble if number < 3 else completion()) as server:
        assert answer(server) == Answer(PHRASE, "stop", 1100, 12)
    assert len(server.requests) == 4


def test_a_server_that_answers_too_slowly_is_asked_again():
    with ChatServer(lambda number, body: 1.0 if number == 0 else completion()) as server:
        assert answer(server, seconds=0.3) == Answer(PHRASE, "stop", 1100, 12)
    assert len(server.requests) == 2


@pytest.mark.parametrize("value", ["1", lambda: email.utils.formatdate(time.time() + 1.9, usegmt=True)])
def test_retry_after_is_honoured_by_all_requests(items, value):
    def script(number, body):
        if number == 0:
            return (
                429,
                {"error": {"message": "slow down"}},
                {"Retry-After": value if isinstance(value, str) else value()},
            )
        return completion()

    with ChatServer(script) as server:
        found = caption(server, items, num_workers=1)
    assert all(isinstance(outcome, dict) for outcome in found.values())
    assert server.times[1] - server.times[0] > 0.8
    assert server.times[-1] - server.times[1] < 2


def test_a_server_that_asks_to_wait_for_hours_ends_the_run_with_a_sentence(items):
    script = lambda number, body: (429, {"error": {"message": "quota"}}, {"Retry-After": "7200"})  # noqa: E731
    with ChatServer(script) as server, pytest.raises(RunError, match=r"asks to wait 7200 seconds .* run again then"):
        caption(server, items)


def test_a_server_that_goes_away_ends_the_run_and_blames_no_item(items):
    with ChatServer() as server:
        engine = Server(server.url, "tiny")
        engine.setup()
    engine.ask(Question("a", (Message("user", "?"),), Sampling(), None))
    with pytest.raises(RunError, match=r"has not answered 8 tries .*nothing recorded is lost"):  # noqa: PT012
        while True:
            engine.answers(1)
    engine.close()


def test_a_server_that_fails_on_one_photograph_and_is_well_fails_that_one_alone(items):
    bad = []

    def script(number, body):
        url = body["messages"][0]["content"][0]["image_url"]["url"]
        bad.append(url) if not bad else None
        return (500, {"error": {"message": "CUDA error"}}) if url == bad[0] else completion()

    with ChatServer(script) as server:
        found = caption(server, items, num_workers=1)
    assert isinstance(found["0.png"], RequestError)
    assert str(found["0.png"]) == "no answer after 8 tries, the last: status 500: CUDA error"
    assert sum(isinstance(outcome, dict) for outcome in found.values()) == 5


@pytest.mark.parametrize(
    ("status", "said", "message"),
    [
        (
            400,
            {"error": {"message": "Unsupported parameter: 'max_tokens'", "param": "max_tokens"}},
            "refuses what the config asks",
        ),
        (422, {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}, "seed: Extra inputs"),
        (404, {"error": {"message": "The model does not exist"}}, "refuses what the config asks"),
        (403, {"error": {"message": "no"}}, "refuses the key"),
        (402, {"error": {"message": "Payment required"}}, "Payment required"),
    ],
)
def test_what_would_befall_every_item_ends_the_run(items, status, said, message):
    with ChatServer(lambda number, body: (status, said)) as server, pytest.raises(RunError, match=message):
        caption(server, items)


def test_a_photograph_that_is_refused_is_a_failure_of_its_own(items):
    said = {"error": {"message": "content policy", "param": "messages.[0].content", "code": "content_policy_violation"}}
    with ChatServer(lambda number, body: (400, said) if number == 2 else completion()) as server:
        found = caption(server, items, num_workers=1)
    assert [str(outcome) for outcome in found.values() if not isinstance(outcome, dict)] == [
        "the server refuses this one (status 400: content policy)"
    ]


def test_closing_does_not_wait_for_pauses(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 60.0)
    with ChatServer(lambda number, body: (500, {"error": {"message": "oops"}})) as server:
        engine = Server(server.url, "tiny")
        engine.setup()
        engine.ask(Question("a", (Message("user", "?"),), Sampling(), None))
        wait_until(lambda: server.requests)
        engine.close()
        [(_, error)] = engine.answers(10)
    assert str(error) == "nobody waits for this answer any more"


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
            engine.ask(Question("a", (Message("user", "?"),), Sampling(), None))
            taken += 1
        wait_until(lambda: len(server.requests) == 2)
        engine.close()
    assert taken == 5
