import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.captions.engines import vllm
from shared.captions.engines.engine import Message, Question, Sampling
from shared.captions.engines.vllm_requests import parameters_of
from shared.captions.structured import SCHEMA
from tests import tiny_vlm
from tests.conftest import ROOT, VLLM_CACHE, made_once

pytestmark = [
    pytest.mark.slow,  # three engines are set up
    # To import it takes seconds, also of those who run other tests.
    pytest.mark.skipif(importlib.util.find_spec("vllm") is None, reason="vllm is not installed"),
]

INSIDE = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="session")
def found(tmp_path_factory):
    return json.loads((made_once(tmp_path_factory, "vllm_answers", answer) / "answers.json").read_text())


def answer(folder: Path) -> None:
    environment = os.environ | INSIDE | {"VLLM_CACHE_ROOT": str(VLLM_CACHE)}
    command = [sys.executable, "-m", "tests.vllm_answers", folder]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]


def test_every_photograph_gets_its_phrase(found):
    assert {key: outcome["lighting_keywords"] for key, outcome in found["plain"].items()} == {
        f"{number}.png": tiny_vlm.SENTENCE for number in range(10)
    }
    assert all((outcome["asked"], outcome["completion_tokens"]) == (1, 10) for outcome in found["plain"].values())


def test_its_greedy_answers_are_those_of_transformers(found):
    # A character that is cut in its bytes is shown by one and left out by the other.
    ours, theirs = (
        {key: text.rstrip("\N{REPLACEMENT CHARACTER}") for key, text in found[name].items()}
        for name in ("greedy", "greedy of transformers")
    )
    assert ours == theirs
    assert len(set(ours.values())) > 3


def test_a_conversation_and_several_captions_go_through_one_queue(found):
    for outcome in found["conversation"].values():
        assert outcome["answers"] == [tiny_vlm.SENTENCE] * 2
        assert outcome["lighting_keywords_all"] == [tiny_vlm.SENTENCE] * 2
        assert outcome["asked"] == 4


def test_a_schema_holds_random_weights_to_json(found):
    assert len(found["structured"]) == 4
    for outcome in found["structured"].values():
        assert list(outcome["structured"]) == SCHEMA["required"]
        assert outcome["lighting_keywords"].endswith(f"{outcome['structured']['mood']} mood")


def test_every_question_has_its_own_seed_but_on_a_cpu_whose_engine_would_die_of_it(found):
    sampling = Sampling(temperature=1.0, seed=3)
    question = Question("a", (Message("user", "What light?"),), sampling)
    assert parameters_of(question).seed == 3
    assert parameters_of(question, is_seeded=False).seed is None
    assert len({outcome["lighting_keywords"] for outcome in found["structured"].values()}) == 4


def test_an_answer_that_is_cut_fails_with_the_answer_in_it(found):
    [failure] = found["cut"].values()
    assert failure.startswith("AnswerError(")
    assert "asked 2 times, and the last answer was cut at the limit of 9 tokens: " in failure


def test_a_question_that_is_too_long_is_its_own_failure(found):
    [message] = found["too long"]
    assert "1024" in message


def test_an_engine_that_breaks_is_started_once_more_and_nothing_is_lost(found):
    assert found["revived"] == found["plain"]


def test_an_engine_that_breaks_again_ends_with_the_reason(found):
    assert found["dead again"].startswith("EngineError(")
    assert "died a second time: CUDA error: an illegal memory access was encountered" in found["dead again"]


def test_each_worker_has_its_own_compile_cache_and_cores(monkeypatch):
    monkeypatch.setenv("VLLM_CACHE_ROOT", "/caches/vllm")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4, 10)))
    for name in (
        "VLLM_WORKER_MULTIPROC_METHOD",
        "VLLM_NO_USAGE_STATS",
        "VLLM_LOGGING_LEVEL",
        "VLLM_CPU_OMP_THREADS_BIND",
    ):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    vllm.set_environment(2)
    assert os.environ["VLLM_CACHE_ROOT"].endswith("-gpu2")
    assert os.environ["VLLM_CACHE_ROOT"].startswith("/caches/vllm/")
    vllm.set_environment(2)
    assert Path(os.environ["VLLM_CACHE_ROOT"]).parent == Path("/caches/vllm")
    assert os.environ["VLLM_CPU_OMP_THREADS_BIND"] == "8,9"
    assert [vllm.own_cores(gpu) for gpu in range(4)] == ["4,5", "6,7", "8,9", "4,5"]


def test_some_wait_so_that_no_place_stays_free_and_they_are_made_up_in_batches():
    engine = vllm.Vllm("model", max_num_seqs=128, batch_size=8)
    expected = [(0, 160), (159, 1), (160, 0), (145, 0), (144, 16), (150, 10), (160, 0), (150, 0)]
    found = []
    for asked, _ in expected:
        engine.asked = dict.fromkeys(range(asked))
        found.append((asked, engine.room()))
    assert found == expected
