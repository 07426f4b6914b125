"""Keys, silence, limits and faults of a server: what ends the run, and what costs one photograph."""

import email.utils
import threading
import time

import pytest

from shared.captions.engines import patience
from shared.captions.engines.engine import Answer, Message, Question, Sampling
from shared.captions.engines.server import Server
from shared.errors import RequestError, RunError
from tests.captions.engines.asked_server import KEY, caption
from tests.chat_server import PHRASE, ChatServer, completion
from tests.conftest import wait_until


def answer(server, **options):
    """What one question gets."""
    engine = Server(server.url, "tiny", **options)
    engine.setup()
    try:
        engine.ask(Question("a", (Message("user", "What light?"),), Sampling(0.1, max_tokens=100, seed=5)))
        while not (found := engine.answers(1)):
            pass
        return found[0][1]
    finally:
        engine.close()


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
    engine.ask(Question("a", (Message("user", "?"),), Sampling()))
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
        (429, {"error": {"message": "You exceeded", "code": "insufficient_quota"}}, "no quota left .*You exceeded"),
        (429, {"error": {"message": "You exceeded", "type": "insufficient_quota"}}, "no quota left .*You exceeded"),
    ],
)
def test_what_would_befall_every_item_ends_the_run(items, status, said, message):
    with ChatServer(lambda number, body: (status, said)) as server, pytest.raises(RunError, match=message):
        caption(server, items)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("content policy", "messages.[0].content"),
        (
            "This model's maximum context length is 1024 tokens. However, your prompt contains 1100 input tokens",
            "input_tokens",
        ),
        ("'max_tokens' is too large: 100. This model's maximum context length is 1024 tokens", "max_tokens"),
        ("cannot identify image file", "image_url"),
        ("This model's maximum context length is 8192 tokens", None),
    ],
)
def test_a_photograph_that_is_refused_is_a_failure_of_its_own(items, message, field):
    said = {"error": {"message": message, "param": field, "type": "BadRequestError", "code": 400}}
    with ChatServer(lambda number, body: (400, said) if number == 2 else completion()) as server:
        found = caption(server, items, num_workers=1)
    assert [str(outcome) for outcome in found.values() if not isinstance(outcome, dict)] == [
        f"the server refuses this one (status 400: {message})"
    ]


def test_trouble_is_told_while_it_lasts(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    resumed = threading.Event()
    answer = lambda number, body: completion() if resumed.is_set() else (503, {"error": {"message": "loading"}})  # noqa: E731
    with ChatServer(answer) as server:
        engine = Server(server.url, "tiny")
        assert engine.hindrance() == ""
        engine.setup()
        engine.ask(Question("a", (Message("user", "?"),), Sampling()))
        wait_until(lambda: engine.hindrance() == f"no answer from {server.url}: status 503: loading")
        resumed.set()
        assert engine.answers(60)
        assert engine.hindrance() == ""
        engine.close()


def test_closing_does_not_wait_for_pauses(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 60.0)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 60.0)
    with ChatServer(lambda number, body: (500, {"error": {"message": "oops"}})) as server:
        engine = Server(server.url, "tiny")
        engine.setup()
        engine.ask(Question("a", (Message("user", "?"),), Sampling()))
        wait_until(lambda: server.requests)
        engine.close()
        [(_, error)] = engine.answers(10)
    assert str(error) == "nobody waits for this answer any more"


@pytest.mark.parametrize(
    "usage", [None, "many", [1], {"prompt_tokens": "NaN", "completion_tokens": None}, {"prompt_tokens": -3}]
)
def test_an_answer_is_kept_whatever_its_usage_says(items, usage):
    with ChatServer(lambda number, body: completion() | {"usage": usage}) as server:
        found = caption(server, items)
    assert all(isinstance(outcome, dict) and outcome["prompt_tokens"] == 0 for outcome in found.values())
