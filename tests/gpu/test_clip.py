"""The filter's CLIP methods on a real GPU, with a full-size ViT-B/32 of random weights."""

from pathlib import Path

import numpy as np
import pytest

from shared.models.clip import Clip
from shared.models.clip_weights import find_weights
from shared.run.config import checked
from shared.selection.scoring.clip_prompts import PROMPTS
from shared.worker import Loaded
from tests.conftest import ROOT
from tests.tiny_clip import known_architecture, write_clip
from workers.filter import Filter

pytestmark = pytest.mark.gpu

SAMPLES = ROOT / "configs" / "samples"


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    return write_clip(tmp_path_factory.mktemp("clip") / "full", {**known_architecture("ViT-B-32"), "quick_gelu": True})


def make(checkpoint: Path, **options) -> Filter:
    worker = checked(Filter, {"method": "clip", "checkpoint": str(checkpoint), **options}, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    worker.setup()
    return worker


def load(worker: Filter, times: int = 1) -> list[Loaded]:
    """The bundled photographs, so many times over."""
    paths = sorted(SAMPLES.glob("*.jpg"))
    views = [worker.load({"key": path.name, "image_path": str(path)}) for path in paths]
    return [
        Loaded({"key": f"{number} {path.name}"}, view)
        for number in range(times)
        for path, view in zip(paths, views, strict=True)
    ]


def test_vectors_and_scores_in_low_precision_are_near_those_of_float32_on_the_cpu(full):
    import torch

    worker = make(full, save_embeddings=True)
    clip = worker.rater.clip
    assert (clip.device.type, clip.dtype) == ("cuda", torch.bfloat16)
    assert clip.texts.dtype == torch.float32
    exact = Clip(find_weights("", str(full)), PROMPTS, torch.device("cpu"))
    pixels = [view.pixels for _, view in load(worker)]
    found, expected = clip.embed(pixels).cpu(), exact.embed(pixels)
    between = torch.pdist(expected).median()
    assert (found - expected).norm(dim=1).max() < 0.05 * between
    scores = np.array([row["lighting_score"] for row in worker.process(load(worker))])
    assert np.abs(scores - (expected @ exact.texts.T).mean(dim=1).numpy()).max() < 2e-3


def test_batches_in_flight_give_each_photograph_its_own_score(full):
    worker = make(full, batch_size=7)
    loaded = load(worker, 20)
    streamed = {item["key"]: found["lighting_score"] for item, found in worker.stream(iter(loaded))}
    assert list(streamed) == [item["key"] for item, _ in loaded]
    alone = [worker.process([one])[0]["lighting_score"] for one in loaded[:12]]
    for key, score in streamed.items():
        number = [item["key"].split(" ", 1)[1] for item, _ in loaded[:12]].index(key.split(" ", 1)[1])
        assert score == pytest.approx(alone[number], abs=1e-3)


def test_a_batch_that_does_not_fit_the_memory_is_halved(full):
    import torch

    worker = make(full, batch_size=256)
    loaded = load(worker, 40)
    torch.cuda.empty_cache()
    _, total = torch.cuda.mem_get_info()
    # Room for the model and some dozens of photographs.
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 250 * 2**20) / total)
    try:
        found = {item["key"]: row for item, row in worker.stream(iter(loaded))}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert len(found) == len(loaded)
    assert all(isinstance(row, dict) for row in found.values())
    assert worker.batch_size < 256


def test_a_compiled_model_gives_the_same_scores_for_a_last_batch_that_is_not_full_too(full):
    plain, compiled = make(full, batch_size=8), make(full, batch_size=8, compile_model=True)
    loaded = load(plain)
    one, other = ([row["lighting_score"] for _, row in worker.stream(iter(loaded))] for worker in (plain, compiled))
    assert one == pytest.approx(other, abs=1e-3)


def test_a_batch_is_queued_behind_what_the_gpu_is_doing_without_waiting_for_it(full):
    import torch

    worker = make(full, batch_size=32)
    loaded = load(worker, 3)[:32]
    expected = worker.process(loaded)
    for _ in range(2):
        worker.rater.begin(loaded, 32)()  # now the memory that it needs is there
    torch.cuda._sleep(4_000_000_000)  # cycles: two seconds or so
    before = torch.cuda.Event()
    before.record()
    end = worker.rater.begin(loaded, 32)
    assert not before.query()
    assert end() == expected
    assert before.query()
