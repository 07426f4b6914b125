"""doctor says what steps with models and servers will cost: tiny models, loaded as the large ones are, and a chat server."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.doctor.examination import Examination
from shared.doctor.finding import Finding, ok
from shared.run.config import load_config
from shared.run.run import Run
from tests.chat_server import PHRASE, ChatServer, completion
from tests.conftest import VLLM_CACHE

ESTIMATE = (
    r" in a probe of (\d+) items, after \d+ s of loading; about .+ for (\d+) items with (\d) workers?, an estimate"
)
CPU = {"VLLM_CPU_KVCACHE_SPACE": 1, "VLLM_ENABLE_V1_MULTIPROCESSING": 0, "HF_HUB_OFFLINE": 1, "GPU_COUNT": 1}


def photographs(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def doctor(project, *steps: dict, count: int = 6, **variables) -> list[str]:
    """What it prints of a run over so many photographs; nothing may be left of it."""
    project.write_config(*steps, meta_path=str(photographs(project.folder / "photographs", count)), image_key="image")
    before = files_of(project)
    done = project.run("doctor", timeout=400, **(CPU | {"VLLM_CACHE_ROOT": VLLM_CACHE} | variables))
    assert project.processes() == []
    assert files_of(project) == before
    return done.stdout.splitlines()


def files_of(project) -> list[Path]:
    made = ("__pycache__", "cache")
    return [
        path
        for path in sorted(project.folder.rglob("*"))
        if not set(made) & set(path.relative_to(project.folder).parts)
    ]


def estimate(lines: list[str], label: str) -> tuple[int, ...]:
    """Items that were tried, items of the run, workers."""
    numbers = [
        found.groups() for line in lines if (found := re.fullmatch(f"ok    {re.escape(label)}: .+{ESTIMATE}", line))
    ]
    assert len(numbers) == 1, lines
    return tuple(map(int, numbers[0]))


@pytest.mark.slow
def test_every_step_with_models_is_tried_and_one_that_cannot_be_loaded_costs_that_finding_alone(project, tmp_path):
    for name in ("open_clip", "transformers", "diffusers", "accelerate", "vllm"):
        pytest.importorskip(name)
    from tests import tiny_clip, tiny_vision, tiny_vlm

    score = {"method": "clip", "checkpoint": str(tiny_clip.write_clip(tmp_path / "clip")), "batch_size": 2}
    degrade = {
        "mask": "sam3", "mask_model": str(tiny_vision.make_sam3(tmp_path / "sam3")), "method": "marigold",
        "albedo_model": str(tiny_vision.make_marigold(tmp_path / "marigold", "appearance")), "steps": 1, "resolution": 64,
        "quality": {"least_psnr": 0, "most_psnr": 100, "most_lost": 1, "least_mask": 0, "most_mask": 1},
    }  # fmt: skip
    broken = tiny_vlm.qwen2vl(tmp_path / "broken", PHRASE)
    settings = json.loads((broken / "config.json").read_text())
    settings["model_type"] = "no-such-model"
    (broken / "config.json").write_text(json.dumps(settings))
    in_transformers = {"engine": "transformers", "batch_size": 2}
    in_vllm = {
        "engine": "vllm", "model_path": str(tiny_vlm.qwen3vl(tmp_path / "vlm", PHRASE)), "dtype": "float32",
        "max_model_len": 2048, "max_num_seqs": 4, "engine_options": {"enforce_eager": True},
    }  # fmt: skip
    lines = doctor(
        project,
        {"type": "filter", "config": score},
        {"type": "degrade", "config": degrade},
        {"type": "caption", "name": "broken", "config": {**in_transformers, "model_path": str(broken)}},
        {"type": "caption", "name": "queued", "config": in_vllm},
    )
    labels = ["step 1 (filter)", "step 2 (degrade)", "step 4 (queued)"]
    assert [estimate(lines, label) for label in labels] == [(6, 6, 1)] * 3
    [failed] = [line for line in lines if line.startswith("FAIL  step")]
    assert failed.startswith(f"FAIL  step 3 (broken): model_path {broken} cannot be loaded (")
    [total] = [line for line in lines if line.startswith("ok    the whole run: about ")]
    assert re.fullmatch(r"ok    the whole run: about .+, without step 3 \(broken\), an estimate", total)


@pytest.fixture
def asked(tmp_path):
    """What doctor finds of one step that asks a server, and the server; its options over a step's."""
    pytest.importorskip("httpx")

    def run(server: ChatServer, count: int = 10, workers: str = "0 1", **options) -> list[Finding]:
        step = {"type": "caption", "config": {"engine": "server", "vllm_url": server.url, **options}}
        folder = photographs(tmp_path / "photographs", count)
        path = tmp_path / "run.yaml"
        path.write_text(json.dumps({"meta_path": str(folder), "steps": [step]}))
        examination = Examination(Run(load_config(path), tmp_path / "out"), workers=workers)
        return [finding for finding in examination.findings() if "step 1" in finding.sentence]

    return run


def test_a_server_is_asked_four_questions_and_what_the_run_costs_is_told(asked, tmp_path):
    with ChatServer() as server:
        _, cost, price = asked(server, count=1000, price_prompt=2.5, price_completion=10.0, num_workers=8)
        assert len(server.requests) == 4
    assert re.fullmatch(
        r"step 1 \(caption\): .+ in a probe of 4 items, 4 questions to the server; if it answers 16 at once as it did 4.*; "
        r"about .+ for 1000 items with 2 workers, an estimate",
        cost.sentence,
    )
    assert price == ok(  # (1100 * 2.5 + 12 * 10) / 1e6 dollars each
        "step 1 (caption): about 2.87 dollars for 1000 items, 1100 + 12 tokens each as the probe counted them, an estimate"
    )
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_slow_makes_the_time(asked):
    with ChatServer(lambda number, body: 0.5) as server:
        _, cost = asked(server, count=200, workers="0 1 2 3", num_workers=2)
        assert (len(server.requests), server.most) == (4, 2)
    # Two at a time for half a second each; how quick they are at best is certain.
    assert int(re.search(r"(\d+) ms an item", cost.sentence)[1]) >= 250


def test_answers_that_do_not_pass_are_not_asked_for_again(asked):
    with ChatServer(lambda number, body: completion("I'm sorry, I can't help with that.")) as server:
        *_, finding = asked(server)
        assert len(server.requests) == 4
    assert finding.mark == "FAIL"
    assert finding.sentence.endswith("all of 4 items that were tried fail")


def test_several_captions_of_an_item_cost_as_many_questions(asked):
    with ChatServer() as server:
        _, cost, price = asked(server, count=100, repeat_time=5, price_prompt=2.0)
        assert len(server.requests) == 4
    assert "4 questions to the server" in cost.sentence
    assert price.sentence.startswith("step 1 (caption): about 1.10 dollars for 100 items, 5500 + 60 tokens each")


def test_a_conversation_is_asked_to_its_end_and_no_question_more(asked):
    with ChatServer() as server:
        _, cost = asked(server, prompt=["What do you see?", "What is its light?"])
        assert len(server.requests) == 4
    assert "in a probe of 2 items, 4 questions to the server" in cost.sentence


def test_no_question_is_put_where_the_server_is_not_there(asked):
    with ChatServer(models=503) as server:
        failed, skipped = asked(server)
        assert server.requests == []
    assert (failed.mark, skipped.mark) == ("FAIL", "warn")
    assert skipped.sentence == "step 1 (caption): its time cannot be probed, before that is mended"
