"""Training on a real GPU: SD 1.5 and SDXL at full size with random weights, in 16 bits."""

import json

import pytest

torch = pytest.importorskip("torch")
for package in ("diffusers", "accelerate", "peft"):
    pytest.importorskip(package)

from shared.errors import RunError  # noqa: E402
from tests import large_diffusion  # noqa: E402
from tests.relighter.training.beginning import losses  # noqa: E402
from tests.training_run import make_step, train, write_config, write_triplets  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]


@pytest.fixture(scope="module")
def sd15(tmp_path_factory):
    return large_diffusion.make_stable_diffusion(tmp_path_factory.mktemp("sd15"))


@pytest.fixture
def begin(tmp_path):
    table = write_triplets(tmp_path / "triplets", side=512)

    def make(name, model, **options):
        options = {"resolution": 512, "gradient_checkpointing": True, "load_threads": 4, **options}
        return make_step(
            write_config(tmp_path / f"{name}.yaml", table, model_path=str(model), **options), tmp_path / name
        )

    return make


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_stable_diffusion_trains_in_low_precision_stops_and_goes_on(begin, sd15, precision):
    step = begin(precision, sd15, mixed_precision=precision, checkpointing_steps=4, validation_steps=8, max_train_steps=8,
                 validation_inference_steps=2)  # fmt: skip
    assert not train(step, stop_at=3)
    assert train(step)
    assert [line["step"] for line in losses(step)] == [8]
    assert 0.5 < losses(step)[-1]["loss"] < 2  # of random weights that predict noise
    assert (step.folder / "model" / "unet").is_dir()
    assert json.loads((step.folder / "validation" / "8" / "validation.json").read_text())["validation_psnr"] > 0


def test_cached_latents_train_alike(begin, sd15):
    plain, cached = (
        begin(name, sd15, mixed_precision="no", center_crop=True, max_train_steps=3, cache_latents=name == "cached")
        for name in ("plain", "cached")
    )
    assert train(plain) and train(cached)
    assert losses(plain)[-1]["loss"] == pytest.approx(losses(cached)[-1]["loss"], rel=1e-3)


def test_a_batch_that_does_not_fit_says_what_to_lower(begin, sd15):
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(12 * 2**30 / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.raises(RunError, match="lower train_batch_size"):
            train(begin("large", sd15, batch_size=64, gradient_checkpointing=False, mixed_precision="bf16"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_sdxl_takes_a_step_at_1024_pixels(begin, tmp_path_factory):
    model = large_diffusion.make_stable_diffusion_xl(tmp_path_factory.mktemp("sdxl"))
    step = begin("sdxl", model, family="sdxl", resolution=1024, mixed_precision="bf16", max_train_steps=2, batch_size=1,
                 use_ema=False)  # fmt: skip
    assert train(step)
    assert losses(step)[-1]["loss"] == losses(step)[-1]["loss"]
