"""The caption step on a GPU: models at full size with random weights, in the engines and servers that run them.

TRY_ON_CPU=1 runs the same tests with small models where there is no GPU, to see that the tests themselves are in order.
"""

import os
import signal
import threading
import urllib.request

import numpy as np
import pytest
from PIL import Image

from shared.run.config import checked
from shared.worker import Loaded
from tests import large_vlm, tiny_vlm
from tests.conftest import Project, wait_until
from tests.workers.test_caption_runs import STEP, family, log_of, photographs, phrases, pid_of, records, write_config
from workers.caption import Caption

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

ON_CPU = bool(os.environ.get("TRY_ON_CPU")) and not torch.cuda.is_available()
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available() and not ON_CPU, reason="needs an NVIDIA GPU"),
]

SHAPE = large_vlm.SMALL if ON_CPU else large_vlm.FULL
SECONDS = 600  # in which an engine starts, also where others use the machine
CPU = {"VLLM_CPU_KVCACHE_SPACE": 1, "VLLM_CPU_OMP_THREADS_BIND": min(os.sched_getaffinity(0))} if ON_CPU else {}
# Random weights answer nothing of themselves: a schema makes it JSON, and two at once make it slow enough to be killed.
STRUCTURED = {"prompt": "What light?", "structured": True, "temperature": 1.0, "max_tokens": 300, "max_words": 30}
DUMMY = {"load_format": "dummy", "enforce_eager": True}


@pytest.fixture(scope="module")
def weightless(tmp_path_factory):
    pytest.importorskip("vllm")
    return large_vlm.qwen3vl(tmp_path_factory.mktemp("models") / "weightless", SHAPE)


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    return large_vlm.qwen3vl(tmp_path_factory.mktemp("models") / "talking", SHAPE, tiny_vlm.SENTENCE)


def vllm_options(model, **options):
    given = {"engine": "vllm", "model_path": str(model), "max_model_len": 4096, "max_num_seqs": 2, "batch_size": 2}
    return {**STRUCTURED, **given, "tensor_parallel_size": 1, "engine_options": DUMMY, **options}


def variables(project: Project, **more) -> dict:
    return {"HF_HUB_OFFLINE": 1, "VLLM_CACHE_ROOT": project.folder / "cache", "GPU_COUNT": 1, **CPU, **more}


def check_captions(project: Project, keys: list[str]) -> None:
    assert sorted(phrases(project)) == keys
    assert all(row["structured"]["place"] in row["lighting_keywords"] for row in project.rows(STEP))
    assert all(row["prompt_tokens"] > 10 for row in project.rows(STEP))


def test_vllm_in_a_process_of_its_own_captions_and_leaves_nothing_behind(project, weightless):
    keys = photographs(project, 24)
    write_config(project, **vllm_options(weightless, max_num_seqs=64, batch_size=8))
    done = project.run(**variables(project), timeout=SECONDS)
    assert done.returncode == 0, done.stdout + log_of(project)[-4000:]
    check_captions(project, keys)
    wait_until(lambda: family(project) == {}, 60)


def test_a_worker_killed_with_its_engine_at_work_is_resumed_and_the_memory_is_free_again(project, weightless):
    keys = photographs(project, 60)
    write_config(project, **vllm_options(weightless))
    launcher = project.launch(**variables(project, MAX_RESTARTS=0))
    wait_until(lambda: len(records(project)) > 3, SECONDS)
    assert pid_of(project, "VLLM::EngineCore")
    os.kill(pid_of(project, "--gpu 0"), signal.SIGKILL)
    output, _ = launcher.communicate(timeout=SECONDS)
    assert launcher.returncode == 1, output
    wait_until(lambda: family(project) == {}, 60)
    assert 3 < len(records(project)) < 60
    done = project.run(**variables(project), timeout=SECONDS)
    assert done.returncode == 0, done.stdout + log_of(project)[-4000:]
    check_captions(project, keys)


def test_an_engine_killed_at_work_is_started_again_with_what_was_in_flight(project, weightless):
    keys = photographs(project, 60)
    write_config(project, **vllm_options(weightless))
    launcher = project.launch(**variables(project, MAX_RESTARTS=0))
    wait_until(lambda: len(records(project)) > 3, SECONDS)
    os.kill(pid_of(project, "VLLM::EngineCore"), signal.SIGKILL)
    output, _ = launcher.communicate(timeout=2 * SECONDS)
    assert launcher.returncode == 0, output + log_of(project)[-4000:]
    assert "it is started again, with" in log_of(project)
    check_captions(project, keys)


def test_two_workers_share_one_gpu(project, weightless):
    if not ON_CPU and torch.cuda.get_device_properties(0).total_memory < 48 * 2**30:
        pytest.skip("needs a GPU of 48 GB")
    keys = photographs(project, 80)
    write_config(project, **vllm_options(weightless, gpu_memory_utilization=0.4))
    # As two machines whose GPU is one and the same. The first stands still, and keeps its memory, while the second starts.
    nodes = [project.launch(**variables(project, NODE_RANK=0, NODE_COUNT=2))]
    wait_until(lambda: records(project), SECONDS)
    first = pid_of(project, "--gpu 0")
    os.kill(first, signal.SIGSTOP)
    try:
        nodes.append(project.launch(**variables(project, NODE_RANK=1, NODE_COUNT=2)))
        wait_until(lambda: ready_workers(project) == 2, SECONDS)
    finally:
        os.kill(first, signal.SIGCONT)
    for node in nodes:
        output, _ = node.communicate(timeout=SECONDS)
        assert node.returncode == 0, output + log_of(project)[-4000:]
    check_captions(project, keys)


def ready_workers(project: Project) -> int:
    return sum("ready after" in path.read_text() for path in (project.folder / "logs").glob("gpu*.log"))


def test_the_server_of_vllm_itself_is_asked(project, weightless):
    keys = photographs(project, 24)
    port = 19000 + os.getpid() % 1000
    url = f"http://127.0.0.1:{port}"
    write_config(
        project, engine="server", vllm_url=f"{url}/v1", model_path=str(weightless), num_workers=8, **STRUCTURED
    )
    more = ["--port", str(port), "--max-model-len", "4096", "--load-format", "dummy", "--enforce-eager"]
    server = project.launch("serve", *more, **variables(project))
    said: list[str] = []
    reader = threading.Thread(target=lambda: said.extend(server.stdout), daemon=True)
    reader.start()

    def is_up():
        assert server.poll() is None, "".join(said)[-3000:]
        try:
            return urllib.request.urlopen(f"{url}/health", timeout=1).status == 200
        except OSError:
            return False

    try:
        wait_until(is_up, SECONDS)
        done = project.run(**variables(project), timeout=SECONDS)
        assert done.returncode == 0, done.stdout + log_of(project)
        check_captions(project, keys)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        reader.join()
        server.stdout.close()


def transformers_worker(model, **options) -> Caption:
    given = {"engine": "transformers", "model_path": str(model), "prompt": "What light?", "dtype": "bfloat16"}
    made = checked(Caption, {**given, **options}, "step 3 (keywords)")
    made.check("step 3 (keywords)")
    made.fill_in("step 3 (keywords)")
    made.setup()
    return made


def captions(made: Caption, folder, count: int, size: tuple[int, int]) -> dict[str, str]:
    items = []
    for number in range(count):
        path = folder / f"{number:03}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (*size, 3), dtype=np.uint8)).save(path)
        items.append({"key": path.name, "image_path": str(path)})
    stream = made.stream(Loaded(item, made.load(item)) for item in items)
    return {
        item["key"]: found["lighting_keywords"] if isinstance(found, dict) else repr(found) for item, found in stream
    }


def test_transformers_in_low_precision_says_what_its_weights_say(talking, tmp_path):
    made = transformers_worker(talking, batch_size=8)
    assert made._engine.model.dtype == torch.bfloat16
    assert made._engine.model.device.type == ("cpu" if ON_CPU else "cuda")
    found = captions(made, tmp_path, 12, (256, 384) if ON_CPU else (768, 1024))
    assert found == {f"{number:03}.png": tiny_vlm.SENTENCE for number in range(12)}
    made._engine.close()


def test_a_batch_that_is_too_large_for_the_gpu_is_halved_until_it_fits(talking, tmp_path, monkeypatch):
    made = transformers_worker(talking, batch_size=64)
    if ON_CPU:
        leave_room_for(made._engine, 12, monkeypatch)
    else:
        torch.cuda.empty_cache()
        room = torch.cuda.memory_allocated() + 6 * 2**30
        torch.cuda.set_per_process_memory_fraction(min(1.0, room / torch.cuda.get_device_properties(0).total_memory))
    try:
        found = captions(made, tmp_path, 64, (128, 128) if ON_CPU else (1024, 1024))
    finally:
        if not ON_CPU:
            torch.cuda.set_per_process_memory_fraction(1.0)
    assert made._engine.batch_size < 64
    assert found == {f"{number:03}.png": tiny_vlm.SENTENCE for number in range(64)}
    made._engine.close()


def leave_room_for(engine, count: int, monkeypatch) -> None:
    """Where there is no GPU whose memory could run out: more rows than that raise as one does."""
    generate = engine.model.generate

    def bounded(**inputs):
        if len(inputs["input_ids"]) > count:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return generate(**inputs)

    monkeypatch.setattr(engine.model, "generate", bounded)
