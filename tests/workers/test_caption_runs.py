"""The keywords step as a person launches it: two workers, kills, a resume, engines that die, servers that misbehave."""

import os
import signal
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import tiny_vlm
from tests.chat_server import PHRASE, ChatServer, completion
from tests.conftest import VLLM_CACHE, wait_until

STEP = "step_1_caption_keywords"
KEY = "sk-secret-of-the-test"


def photographs(project, count):
    folder = project.folder / "photographs"
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return [f"{number:03}.png" for number in range(count)]


def write_config(project, **options):
    step = {"type": "caption", "name": "keywords", "config": options}
    project.write_config(step, meta_path=str(project.folder / "photographs"), image_key="image")


def records(project):
    folder = project.output / STEP / "records"
    return (
        sorted(str(path.relative_to(folder))[: -len(".json")] for path in folder.rglob("*.json"))
        if folder.exists()
        else []
    )


def failures(project):
    return sorted(path.stem for path in (project.output / STEP / "failures").rglob("*.json"))


def phrases(project):
    return {row["key"]: row["lighting_keywords"] for row in project.rows(STEP)}


def log_of(project):
    return "".join(path.read_text() for path in sorted((project.folder / "logs").glob("gpu*.log")))


def family(project):
    """The processes that work in this checkout, whatever they call themselves: pid and command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            is_here = entry.name.isdigit() and os.readlink(entry / "cwd") == str(project.folder)
            if is_here and (words := (entry / "cmdline").read_bytes()):
                found[int(entry.name)] = words.replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
    return found


def pid_of(project, words):
    return next((pid for pid, line in family(project).items() if words in line), None)


# ---- behind a server ----


def test_two_workers_ask_a_server_and_the_tables_and_the_bill_are_written(project, monkeypatch):
    keys = photographs(project, 20)
    with ChatServer(models=("gpt-4o",)) as server:
        write_config(
            project, engine="server", vllm_url=server.url, model_path="gpt-4o", key_variable="OPENAI_API_KEY",
            price_prompt=2.5, price_completion=10.0,
        )  # fmt: skip
        done = project.run(OPENAI_API_KEY=KEY)
    assert done.returncode == 0, done.stdout + log_of(project)
    assert phrases(project) == dict.fromkeys(keys, PHRASE)
    assert {row["cost"] for row in project.rows(STEP)} == {0.00287}
    assert "20 photographs, 20 questions to gpt-4o by server, 22000 + 240 tokens, 0.06 dollars" in done.stdout
    assert len(server.requests) == 20
    table = (project.output / STEP / "images_with_albedo_with_keywords.csv").read_text().splitlines()
    assert table[0] == "image_path,lighting_keywords"
    assert len(table) == 21
    everything = [path for path in project.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in everything if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout


@pytest.mark.slow
def test_a_server_that_answers_badly_slowly_or_not_at_all_costs_time_and_no_item(project):
    keys = photographs(project, 12)
    troubles = {
        0: (429, {"error": {"message": "slow down"}}, {"Retry-After": "1"}),
        1: (500, {"error": {"message": "oops"}}),
        2: b"<html>gateway</html>",
        3: None,
        4: 3.0,
        5: completion("Sure! Here are the keywords:"),
        6: completion(""),
        7: completion(PHRASE, "length"),
    }
    with ChatServer(lambda number, body: troubles.get(number, completion())) as server:
        write_config(project, engine="server", vllm_url=server.url, num_workers=2, request_seconds=1.5)
        done = project.run()
    assert done.returncode == 0, done.stdout + log_of(project)
    assert phrases(project) == dict.fromkeys(keys, PHRASE)


def test_a_server_that_is_not_there_is_told_in_the_terminal_and_no_item_is_blamed(project):
    photographs(project, 4)
    write_config(project, engine="server", vllm_url="http://127.0.0.1:9/v1", model_path="tiny")
    done = project.run(GPU_COUNT=1)
    assert done.returncode == 2
    assert done.stdout.startswith("launcher: error: step 1 (keywords): no server answers at http://127.0.0.1:9/v1")
    assert not project.output.exists()
    assert (records(project), failures(project)) == ([], [])


@pytest.mark.slow
def test_answers_that_never_pass_are_failures_with_the_answer_in_them(project):
    keys = photographs(project, 3)
    script = lambda number, body: completion("I'm sorry, but I can't help with that.")  # noqa: E731
    with ChatServer(script) as server:
        write_config(project, engine="server", vllm_url=server.url, retries=1, price_prompt=2.5, price_completion=10.0)
        done = project.run(GPU_COUNT=1)
    assert done.returncode == 3
    assert len(failures(project)) == 3
    assert "0 photographs and 3 failures, 6 questions to " in done.stdout
    assert ", 6600 + 72 tokens, 0.02 dollars" in done.stdout
    text = (project.output / STEP / "failures" / f"{keys[0]}.json").read_text()
    assert "asked 2 times, and the last answer is a refusal: \\\"I'm sorry, but I can't help with that.\\\"" in text


@pytest.mark.slow
def test_a_stopped_and_killed_run_goes_on_where_it_was_and_asks_nothing_twice(project):
    keys = photographs(project, 40)
    with ChatServer(lambda number, body: 0.1) as server:
        write_config(project, engine="server", vllm_url=server.url, num_workers=2)
        launcher = project.launch()
        wait_until(lambda: len(records(project)) > 4)
        os.kill(pid_of(project, "--gpu 1"), signal.SIGKILL)
        wait_until(lambda: len(records(project)) > 12)
        for gpu in (0, 1):
            (project.folder / f"kill{gpu}.txt").touch()
        output, _ = launcher.communicate(timeout=300)
        assert launcher.returncode == 4, output + log_of(project)
        half = records(project)
        assert 12 < len(half) < 40
        asked = len(server.requests)
        done = project.run()
    assert done.returncode == 0, done.stdout
    assert phrases(project) == dict.fromkeys(keys, PHRASE)
    assert len(server.requests) - asked == 40 - len(half)
    assert asked - len(half) <= 4  # what the killed worker had in flight
    assert project.leftovers() == []


def test_a_stop_while_a_server_is_ill_ends_the_run_and_leaves_the_items_open(project):
    photographs(project, 6)
    ill = (
        503,
        {"error": {"message": "busy"}},
        {"Retry-After": "60"},
    )  # its tries take minutes, however slow the machine
    with ChatServer(lambda number, body: ill) as server:
        write_config(project, engine="server", vllm_url=server.url, num_workers=2)
        launcher = project.launch(GPU_COUNT=1)
        wait_until(lambda: server.requests)
        launcher.send_signal(signal.SIGTERM)
        output, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 4, output + log_of(project)
    assert (records(project), failures(project)) == ([], []), log_of(project)
    assert len(server.requests) < 40  # of 6 questions with 8 tries each


@pytest.mark.slow
def test_a_spent_quota_ends_the_run_at_once_with_its_reason(project):
    photographs(project, 6)
    said = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    with ChatServer(lambda number, body: (429, said)) as server:
        write_config(project, engine="server", vllm_url=server.url, num_workers=2)
        done = project.run(GPU_COUNT=1)
    assert done.returncode == 1
    assert "has no quota left for this key (status 429: You exceeded your current quota)" in done.stdout
    assert (records(project), failures(project), project.processes()) == ([], [], [])
    assert len(server.requests) <= 4


# ---- with vLLM ----

CPU = {"VLLM_CPU_KVCACHE_SPACE": 1, "HF_HUB_OFFLINE": 1, "VLLM_CACHE_ROOT": VLLM_CACHE}
LONG = 600  # seconds: an engine starts in ten, and in two hundred where everything else runs too
STRUCTURED = {
    "engine": "vllm", "dtype": "float32", "max_num_seqs": 2, "max_model_len": 1024, "engine_options": {"enforce_eager": True},
    "prompt": "What light?", "structured": True, "temperature": 1.0, "max_tokens": 300, "max_words": 30,
}  # fmt: skip


@pytest.fixture(scope="module")
def random_model(tmp_path_factory):
    pytest.importorskip("vllm")
    return tiny_vlm.qwen3vl(tmp_path_factory.mktemp("models") / "random")


@pytest.mark.slow
def test_two_workers_with_a_model_each_survive_a_kill(project, tmp_path):
    pytest.importorskip("transformers")
    keys = photographs(project, 30)
    model = tiny_vlm.qwen2vl(tmp_path / "model", PHRASE)
    write_config(project, engine="transformers", model_path=str(model), batch_size=2, dtype="float32")
    launcher = project.launch(HF_HUB_OFFLINE=1)
    wait_until(lambda: len(records(project)) > 3, LONG)
    os.kill(pid_of(project, "--gpu 0"), signal.SIGKILL)
    output, _ = launcher.communicate(timeout=LONG)
    assert launcher.returncode == 0, output + log_of(project)[-4000:]
    assert "the worker died (signal KILL) and is started again" in output
    assert phrases(project) == dict.fromkeys(keys, PHRASE)


MANY = 150  # photographs: an engine that takes them one by one is at them for longer than a test takes to look


@pytest.mark.slow
def test_an_engine_process_that_dies_is_started_again_and_none_outlives_its_worker(project, random_model):
    keys = photographs(project, MANY)
    write_config(project, **STRUCTURED | {"max_num_seqs": 1}, model_path=str(random_model))
    # One core for the engine: threads that wait for each other spin, and are slow where others are at work.
    one_core = {"VLLM_CPU_OMP_THREADS_BIND": min(os.sched_getaffinity(0))}
    variables = CPU | one_core | {"GPU_COUNT": 1, "MAX_RESTARTS": 0}
    launcher = project.launch(**variables)
    wait_until(lambda: records(project), LONG)
    first = pid_of(project, "VLLM::EngineCore")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: "it is started again" in log_of(project), LONG)
    wait_until(lambda: pid_of(project, "VLLM::EngineCore") not in (None, first), LONG)
    seen = len(records(project))
    wait_until(lambda: len(records(project)) > seen + 10, LONG)
    os.kill(pid_of(project, "--gpu 0"), signal.SIGKILL)
    output, _ = launcher.communicate(timeout=LONG)
    assert launcher.returncode == 1, output
    assert len(records(project)) < MANY
    wait_until(lambda: family(project) == {}, LONG)
    done = project.run(**variables, VLLM_ENABLE_V1_MULTIPROCESSING=0, timeout=LONG)
    assert done.returncode == 0, done.stdout + log_of(project)[-4000:]
    assert sorted(phrases(project)) == keys
    assert all(row["structured"]["place"] in row["lighting_keywords"] for row in project.rows(STEP))
    wait_until(lambda: family(project) == {}, 60)


@pytest.mark.slow
def test_the_server_of_vllm_itself_is_asked(project, random_model):
    keys = photographs(project, 6)
    port = 18000 + os.getpid() % 1000
    options = {name: STRUCTURED[name] for name in ("prompt", "structured", "temperature", "max_tokens", "max_words")}
    write_config(
        project, engine="server", vllm_url=f"http://127.0.0.1:{port}/v1", model_path=str(random_model), **options
    )
    more = ["1", str(port), "0.9", "--max-model-len", "1024", "--dtype", "float32", "--enforce-eager"]
    server = project.launch("serve", *more, **CPU)
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(server.stdout), daemon=True)
    reader.start()
    try:

        def is_up():
            assert server.poll() is None, "".join(said)[-3000:]
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
            except OSError:
                return False

        wait_until(is_up, LONG)
        done = project.run(GPU_COUNT=1)
        assert done.returncode == 0, done.stdout + log_of(project)
        assert sorted(phrases(project)) == keys
        assert all(row["prompt_tokens"] > 10 and row["structured"] for row in project.rows(STEP))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        reader.join()
        server.stdout.close()
