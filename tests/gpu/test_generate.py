"""Drawing on a GPU: tiny pipelines, wherever their parts are while they work, and what stays on the GPU of the text encoders.

TRY_ON_CPU=1 runs the same tests where there is no GPU, to see that the tests themselves are in order.
"""

import os

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from shared.generation.generator import Generator, Request  # noqa: E402
from shared.generation.placement import CHOICES  # noqa: E402
from tests import tiny_generators  # noqa: E402

ON_CPU = bool(os.environ.get("TRY_ON_CPU")) and not torch.cuda.is_available()
DEVICE = "cpu" if ON_CPU else "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available() and not ON_CPU, reason="needs an NVIDIA GPU"),
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # of diffusers
]
PROMPTS = ["a cat", "a red house"]
IN_BFLOAT16 = 3  # of 255: how much the same image may differ, drawn beside another or with its parts elsewhere


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {name: str(make(folder / name)) for name, make in tiny_generators.KINDS.items()}


def drawn(model: str, offload: str = "none") -> tuple[Generator, np.ndarray]:
    generator = Generator(model, Request(64, 48, 2), offload=offload)
    generator.load(DEVICE, "bfloat16")
    return generator, generator.draw(generator.encode(PROMPTS), [1, 2])


@pytest.mark.parametrize("name", tiny_generators.KINDS)
def test_an_image_depends_on_its_prompt_and_seed_and_not_on_its_batch(models, name):
    generator, together = drawn(models[name])
    alone = generator.draw(generator.encode(PROMPTS[1:]), [2])
    assert np.abs(together[1] - alone[0]).mean() * 255 <= IN_BFLOAT16


@pytest.mark.parametrize("offload", [how for how in CHOICES if how != "none"])
def test_wherever_its_parts_are_it_draws_the_same(models, offload):
    if ON_CPU:
        pytest.skip("nothing is moved on a CPU")
    _, there = drawn(models["FluxPipeline"])
    generator, elsewhere = drawn(models["FluxPipeline"], offload)
    assert np.abs(there - elsewhere).mean() * 255 <= IN_BFLOAT16
    assert {encoder.device.type for encoder in generator.encoders.values()} == {"cpu"}
