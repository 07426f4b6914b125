"""CLIP workers at work: batches, memory, embeddings, kills."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from shared.images import open_image
from shared.worker import Loaded
from tests.conftest import ROOT, wait_until
from tests.selection.scoring.clip_models import NAMES, SAMPLES, by_open_clip, items, make, rate
from workers.filter import Filter

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("open_clip"), reason="needs requirements.txt")


def streamed(worker: Filter, folder: Path, queued: bool) -> dict[str, object]:
    worker.rater.is_queued = queued  # as on a GPU, but that nothing is really queued here
    loaded = (Loaded(item, worker.load(item)) for item in items(folder))
    return {item["key"]: found for item, found in worker.stream(loaded)}


@pytest.mark.parametrize("queued", [False, True])
def test_the_batch_is_halved_when_the_gpus_memory_runs_out(tiny, small, queued):
    import torch

    worker = make(tiny, batch_size=12)
    expected = dict(zip(NAMES, rate(worker, small), strict=True))
    encode, sizes = worker.rater.clip.model.encode_image, []

    def with_little_memory(images):
        sizes.append(len(images))
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return encode(images)

    worker.rater.clip.model.encode_image = with_little_memory
    found = streamed(worker, small, queued)
    assert worker.batch_size == 3
    assert sizes[-4:] == [3, 6, 3, 3]
    assert max(sizes) == 12
    assert sorted(found) == [path.name for path in sorted(small.iterdir())]
    for name, row in expected.items():
        assert found[f"{Path(name).stem}.png"]["lighting_score"] == pytest.approx(row["lighting_score"], abs=2e-6)


@pytest.mark.parametrize("queued", [False, True])
def test_a_photograph_whose_answer_is_not_a_number_costs_itself_alone(tiny, small, queued):
    import torch

    worker = make(tiny, batch_size=5)
    encode = worker.rater.clip.model.encode_image
    bad = torch.from_numpy(worker.load(items(small)[3]).pixels.astype(np.float32))
    mean, deviation = worker.rater.clip.mean, worker.rater.clip.std
    bad = ((bad.permute(2, 0, 1)[None] / 255 - mean) / deviation)[0]

    def sometimes_not_a_number(images):
        vectors = encode(images).clone()
        for number, image in enumerate(images):
            if torch.allclose(image, bad, atol=1e-4):
                vectors[number] = torch.nan
        return vectors

    worker.rater.clip.model.encode_image = sometimes_not_a_number
    found = streamed(worker, small, queued)
    assert [key for key, row in found.items() if isinstance(row, Exception)] == [items(small)[3]["key"]]
    assert str(found[items(small)[3]["key"]]) == "the model's answer is not a number"
    assert len(found) == 12


def test_with_one_batch_in_flight_every_photograph_is_answered_in_order_with_its_own_score(tiny, small):
    worker = make(tiny, batch_size=5)
    plain, queued = streamed(worker, small, False), streamed(worker, small, True)
    assert list(queued.items()) == list(plain.items())


def test_embeddings_are_the_models_vectors_named_by_what_is_in_them(tiny, small):
    vectors, _, _ = by_open_clip(tiny, small, ["a"])
    worker = make(tiny, save_embeddings=True)
    found = rate(worker, small)
    block = found[0]["embedding_path"]
    assert [row["embedding_path"] for row in found[1:]] == [block.path] * 11
    assert [row["embedding_row"] for row in found] == list(range(12))
    kept = np.load(as_file(block.image))
    assert (kept.dtype, kept.shape) == (np.float16, (12, 32))
    assert np.abs(kept - vectors.numpy()).max() < 1e-3
    again = rate(worker, small)[0]["embedding_path"]
    assert (again.path, again.image) == (block.path, block.image)
    fewer = worker.process([Loaded(item, worker.load(item)) for item in items(small)[:5]])
    assert fewer[0]["embedding_path"].path != block.path


def as_file(data: bytes):
    import io

    return io.BytesIO(data)


@pytest.mark.slow
def test_killed_and_run_again_by_two_workers_every_photograph_is_scored_once_and_embeddings_are_whole(project, tiny):
    photographs = project.folder / "photographs"
    for number in range(30):
        (photographs / str(number)).mkdir(parents=True)
        for name in NAMES:
            os.link(SAMPLES / name, photographs / str(number) / name)
    (photographs / "broken.jpg").write_bytes(b"\xff\xd8\xff no photograph")
    options = {"method": "clip", "checkpoint": str(tiny), "save_embeddings": True, "batch_size": 4, "num_images": 20}
    options["duplicates"] = "all"
    project.write_config({"type": "filter", "config": options}, meta_path=str(photographs), image_key="image")
    step = project.output / "step_1_filter"

    process = project.launch()
    wait_until(lambda: len(list(step.glob("records/*/*.json"))) > 8, 120)
    pids = [process.pid, *worker_pids(project)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in step.glob("records/*/*.json")}
    assert len(pids) == 3
    assert 8 < len(before) < 360

    done = project.run(timeout=300)
    assert done.returncode == 3, done.stdout
    assert "20 of 360 photographs kept" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before
    logs = [(project.folder / "logs" / f"gpu{gpu}.log").read_text() for gpu in (0, 1)]
    assert all("no GPU: CLIP runs on the CPU, many times slower" in log for log in logs)
    assert not any("Traceback" in log or "Parsing model identifier" in log for log in logs)
    assert project.run("verify").returncode == 0

    records = [json.loads(path.read_text()) for path in step.glob("records/*/*.json")]
    assert len(records) == 360
    check_scores(records, tiny)
    check_embeddings(records, step, tiny)
    [failure] = [json.loads(path.read_text()) for path in step.glob("failures/*.json")]
    assert (failure["key"], failure["error"]) == ("broken.jpg", "ImageError")

    rows = project.rows("step_1_filter")
    assert {(row["method"], row["model_name"], row["checkpoint"]) for row in rows} == {("clip", "tiny", str(tiny))}
    best = sorted((row["lighting_score"] for row in records), reverse=True)[:20]
    assert sorted((row["lighting_score"] for row in rows), reverse=True) == best
    assert [path for path in step.rglob("*") if path.name.endswith(".part")] == []


def check_scores(records, tiny):
    expected = dict(zip(NAMES, rate(make(tiny), SAMPLES), strict=True))
    for record in records:
        assert record["lighting_score"] == pytest.approx(expected[Path(record["key"]).name]["lighting_score"], abs=2e-6)


def check_embeddings(records, step, tiny):
    places = [(record["embedding_path"], record["embedding_row"]) for record in records]
    assert len(set(places)) == len(records)
    clip = make(tiny).rater.clip
    views = [clip.prepare(open_image(SAMPLES / name, shorter_side=64)) for name in NAMES]
    vectors = dict(zip(NAMES, clip.embed(views).numpy(), strict=True))
    for record, (path, row) in zip(records, places, strict=True):
        assert np.abs(np.load(step / path)[row] - vectors[Path(record["key"]).name]).max() < 1e-3


def worker_pids(project) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            if os.readlink(entry / "cwd") == str(project.folder) and b"workers.filter" in words:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_missing_weights_stop_the_run_with_their_sentence_and_without_a_restart(project):
    project.write_config({"type": "filter", "config": {"method": "clip"}}, meta_path=str(SAMPLES), image_key="image")
    done = project.run(HF_HUB_OFFLINE="1", HF_HOME=project.folder / "home", GPU_COUNT=1, timeout=300)
    assert done.returncode == 2
    assert done.stdout.startswith("launcher: error: step 1 (filter): model_name ViT-B/32")
    assert "(`hf download timm/vit_base_patch32_clip_224.openai`)" in done.stdout
    assert "Traceback" not in done.stdout
    assert not project.output.exists()


def test_the_workers_help_needs_neither_torch_nor_open_clip():
    heavy = ("torch", "open_clip", "huggingface_hub")
    code = f"import sys, workers.filter; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
