"""The degrade step on a GPU: the models at their full sizes with random weights, and what only a GPU can show."""

import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
for package in ("sam2", "transformers", "diffusers"):
    pytest.importorskip(package)

from shared.light.degradation.marigold import Marigold  # noqa: E402
from shared.masks.automatic import AutomaticMasks  # noqa: E402
from shared.masks.instance import mask_of  # noqa: E402
from shared.masks.prompts import Prompt  # noqa: E402
from shared.masks.sam2 import Sam2  # noqa: E402
from shared.masks.sam3 import Sam3  # noqa: E402
from shared.run.config import checked  # noqa: E402
from shared.seeding import item_rng  # noqa: E402
from shared.worker import Loaded  # noqa: E402
from tests import large_vision  # noqa: E402
from tests.tiny_vision import TinyModels  # noqa: E402
from workers.degrade import Degrade, Opened  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
    # sam2 1.1 calls what torch has deprecated, and says so where its optional CUDA extension is not built.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:cannot import name '_C' from 'sam2':UserWarning"),
]

PROMPTS = {"a": [Prompt((40, 20, 400, 280))], "b": [Prompt((10, 10, 500, 500))]}
ANY_DIFFERENCE = {"least_psnr": 0, "most_psnr": 100, "most_lost": 1, "least_mask": 0, "most_mask": 1}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return TinyModels(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The folders of the full-size models; 7 GB."""
    folder = tmp_path_factory.mktemp("large")
    return {
        "sam3": large_vision.make_sam3(folder / "sam3"),
        "sam2": large_vision.make_sam2(folder / "sam2"),
        "marigold": large_vision.make_marigold(folder / "marigold", "lighting"),
    }


@pytest.fixture(autouse=True)
def free_memory():
    yield
    torch.cuda.empty_cache()


def segmenter(kind, folder, device):
    if kind == "sam3":
        return Sam3(folder, "person", 0.0, 0.5, torch.device(device))
    return Sam2(folder, PROMPTS, AutomaticMasks(), torch.device(device))


def found_in(model, keys=("a", "b")):
    photographs = {"a": data.chelsea(), "b": data.astronaut()}
    return model.find([model.prepare(key, photographs[key]) for key in keys])


@pytest.mark.parametrize("kind", ["sam3", "sam2"])
def test_the_gpu_finds_what_the_cpu_finds(tiny, kind):
    folder = getattr(tiny, kind)
    for here, there in zip(
        found_in(segmenter(kind, folder, "cuda")), found_in(segmenter(kind, folder, "cpu")), strict=True
    ):
        assert len(here) == len(there) > 0
        for one, other in zip(here, there, strict=True):
            assert one.score == pytest.approx(other.score, abs=0.02)  # bfloat16 has 8 bits
            assert ((one.values > 0.5) == (other.values > 0.5)).mean() > 0.97


@pytest.mark.parametrize("kind", ["sam3", "sam2"])
def test_at_full_size_a_photograph_gets_the_same_mask_alone_and_in_a_batch(large, kind):
    model = segmenter(kind, large[kind], "cuda")
    together, alone = found_in(model), [found_in(model, (key,))[0] for key in ("a", "b")]
    for one, other in zip(together, alone, strict=True):
        assert len(one) == len(other)
        for left, right in zip(one[:5], other[:5], strict=True):
            assert left.score == pytest.approx(right.score, abs=0.02)
            assert ((left.values > 0.5) == (right.values > 0.5)).mean() > 0.95
        assert mask_of(one[:1], 300, 451).shape == (300, 451)


def test_marigold_runs_in_half_precision_and_its_noise_is_the_items_own(large):
    marigold = Marigold(large["marigold"], None, None, 1, torch.device("cuda"), {"residual"})
    assert {parameter.dtype for parameter in marigold.pipeline.unet.parameters()} == {torch.float16}
    small = [marigold.prepare(photograph) for photograph in (data.astronaut(), data.astronaut()[::-1].copy())]
    noise = [item_rng(7, key, "marigold") for key in "ab"]
    together = marigold.decompose(small, noise)
    [alone] = marigold.decompose(small[1:], [item_rng(7, "b", "marigold")])
    assert together[1].albedo.shape == (768, 768, 3)
    assert np.abs(together[1].albedo - alone.albedo).mean() < 0.02


def test_the_noise_on_the_gpu_is_that_on_the_cpu(tiny):
    layers = []
    for device in ("cuda", "cpu"):
        marigold = Marigold(tiny.appearance, None, None, 1, torch.device(device), set())
        layers += marigold.decompose([marigold.prepare(data.astronaut())], [item_rng(7, "a", "marigold")])
    assert np.abs(layers[0].albedo - layers[1].albedo).mean() < 0.02


def worker(**options):
    made = checked(Degrade, {"quality": ANY_DIFFERENCE, **options}, "step 2 (degrade)")
    made.check("step 2 (degrade)")
    made.fill_in("step 2 (degrade)")
    made.setup()
    return made


def loaded(made, count):
    photograph = data.astronaut()
    source = Opened(
        photograph, None, None,
        made.segmenter.prepare("x", photograph) if made.segmenter else None,
        made.intrinsic.prepare(photograph) if made.intrinsic else None,
    )  # fmt: skip
    return [Loaded({"key": str(number), "image_path": "a.png"}, source) for number in range(count)]


def test_a_batch_that_is_too_large_for_the_gpu_is_halved_until_it_fits(large):
    made = worker(mask="none", method="marigold", albedo_model=large["marigold"], batch_size=64, steps=1)
    items = loaded(made, 64)
    list(made.stream(iter(items[:1])))
    torch.cuda.empty_cache()
    room = torch.cuda.memory_allocated() + 12 * 2**30
    torch.cuda.set_per_process_memory_fraction(min(1.0, room / torch.cuda.get_device_properties(0).total_memory))
    try:
        found = {item["key"]: one for item, one in made.stream(iter(items))}
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert made.batch_size < 64
    assert {one["albedo_method"] for one in found.values()} == {"marigold"}
    assert len(found) == 64


def test_all_models_together_fit_into_12_gigabytes_in_batches_of_8(large):
    torch.cuda.reset_peak_memory_stats()
    made = worker(
        mask="sam3",
        mask_model=large["sam3"],
        detection_threshold=0.2,
        method="marigold",
        albedo_model=large["marigold"],
    )
    made.see(loaded(made, 8))
    assert torch.cuda.max_memory_allocated() < 12 * 2**30
