import numpy as np
import pytest
from skimage import data

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from shared.errors import RunError  # noqa: E402
from shared.light.colour import linear_to_srgb, srgb_to_linear  # noqa: E402
from shared.light.degradation.marigold import Layers, Marigold, decoded, finite  # noqa: E402, finite
from shared.light.degradation.photograph import Photograph  # noqa: E402
from shared.seeding import item_rng  # noqa: E402
from tests.tiny_vision import TinyModels  # noqa: E402

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)  # threads that wait for one another on a busy machine are slower than one
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def appearance(models):
    return Marigold(models.appearance, None, None, 1, CPU, set())


@pytest.fixture(scope="module")
def lighting(models):
    return Marigold(models.lighting, None, None, 1, CPU, {"residual"})


def noise(*keys, seed=7):
    return [item_rng(seed, key, "marigold") for key in keys]


def decompose(marigold, photograph, key="a", seed=7):
    return marigold.decompose([marigold.prepare(photograph)], noise(key, seed=seed))[0]


# ---- The pipeline ----


def test_the_layers_are_what_diffusers_own_pipeline_gives(models, lighting):
    from diffusers import MarigoldIntrinsicsPipeline

    photograph = np.array(data.astronaut()[::8, ::8])  # 64 pixels, the model's own size
    pipeline = MarigoldIntrinsicsPipeline.from_pretrained(models.lighting)
    pipeline.set_progress_bar_config(disable=True)
    latents = torch.from_numpy(noise("a")[0].standard_normal((1, 12, 32, 32), np.float32))
    theirs = pipeline(torch.tensor(photograph).permute(2, 0, 1)[None], latents=latents, output_type="np").prediction
    ours = decompose(lighting, photograph)
    assert (ours.small == photograph).all()
    for mine, reference in zip((ours.albedo, ours.shading, ours.residual), theirs, strict=True):
        np.testing.assert_allclose(mine, reference, atol=1e-5)


def test_an_albedo_that_is_stored_as_srgb_is_decoded_and_one_in_linear_light_is_not(models, appearance):
    assert appearance.names == ["albedo", "material"]
    assert appearance.spaces == ["srgb", "stack"]
    layers = decompose(appearance, data.astronaut())
    raw = np.linspace(0, 1, 256)
    np.testing.assert_allclose(decoded(raw), srgb_to_linear(np.arange(256, dtype=np.uint8)), atol=1e-6)
    assert layers.albedo.shape == (64, 64, 3)
    assert (layers.shading, layers.residual) == (None, None)


def test_the_long_side_becomes_the_resolution_and_the_shape_stays(appearance, models):
    assert appearance.prepare(data.astronaut()[:256]).shape == (32, 64, 3)
    assert appearance.prepare(data.astronaut()[:20, :10]).shape == (64, 32, 3)
    larger = Marigold(models.appearance, 1, 96, 1, CPU, set())
    assert decompose(larger, data.chelsea()).albedo.shape == (63, 96, 3)


def test_a_photograph_gets_the_same_albedo_alone_and_in_a_batch_of_others(appearance):
    astronaut, coffee = data.astronaut(), data.coffee()
    photographs = {"a": astronaut, "b": data.chelsea(), "c": coffee[:400, :400], "d": astronaut[::-1]}
    small = [appearance.prepare(photograph) for photograph in photographs.values()]
    together = appearance.decompose(small, noise(*photographs))
    for (key, photograph), layers in zip(photographs.items(), together, strict=True):
        assert layers.albedo.shape[:2] == appearance.prepare(photograph).shape[:2]
        np.testing.assert_allclose(layers.albedo, decompose(appearance, photograph, key).albedo, atol=1e-4)


def test_the_noise_is_the_items_own(appearance):
    one, again = (decompose(appearance, data.chelsea()) for _ in range(2))
    assert (one.albedo == again.albedo).all()
    assert (one.albedo != decompose(appearance, data.chelsea(), "b").albedo).mean() > 0.3
    assert (one.albedo != decompose(appearance, data.chelsea(), seed=8).albedo).mean() > 0.3


@pytest.mark.slow
def test_an_ensemble_is_the_median_of_answers_and_steps_count(models, appearance):
    three = Marigold(models.appearance, None, None, 3, CPU, set())
    photographs = [three.prepare(photograph) for photograph in (data.astronaut(), data.coffee()[:400, :400])]
    together = three.decompose(photographs, noise("a", "b"))
    alone = three.decompose(photographs[1:], noise("b"))
    np.testing.assert_allclose(together[1].albedo, alone[0].albedo, atol=1e-4)
    assert np.abs(together[0].albedo - decompose(appearance, data.astronaut()).albedo).mean() > 0.01
    one_step = Marigold(models.appearance, 1, None, 1, CPU, set())
    once, twice = (decompose(marigold, data.astronaut()).albedo for marigold in (one_step, appearance))
    assert np.abs(once - twice).mean() > 1e-3


def test_a_photograph_that_is_too_narrow_says_so(appearance):
    with pytest.raises(ValueError, match="4 x 400 pixels are too long and narrow for Marigold at 64 pixels"):
        appearance.prepare(np.zeros((400, 4, 3), np.uint8))


def test_an_answer_without_numbers_is_that_items_failure():
    with pytest.raises(ValueError, match="values that are no numbers"):
        finite(np.full((2, 4, 4, 3), np.nan, np.float32))


# ---- What is made of the layers ----


def scene(size=64):
    """A painted wall under a coloured light from the left: photograph, albedo, shading, all linear."""
    albedo = np.full((size, size, 3), (0.2, 0.4, 0.3), np.float32)
    albedo[size // 4 : size // 2] = (0.5, 0.1, 0.2)
    ramp = np.linspace(0.3, 1.6, size, dtype=np.float32)[::-1]
    shading = np.broadcast_to(ramp[np.newaxis, :, np.newaxis] * np.array([1.2, 1.0, 0.7], np.float32), albedo.shape)
    return linear_to_srgb(albedo * shading), albedo, shading


def test_the_flattened_photograph_is_the_albedo_up_to_scale():
    photograph, albedo, _ = scene()
    layers = Layers(photograph, albedo, None, None)
    flattened = Photograph(photograph, None, 0.0, 768, (photograph, layers.log_shading())).flattened_rows(slice(0, 64))
    scale = np.median(flattened / albedo)
    np.testing.assert_allclose(flattened, scale * albedo, rtol=0.05)
    assert np.median(np.log(srgb_to_linear(photograph) / flattened)) == pytest.approx(0, abs=0.01)


def test_at_full_size_the_light_is_out_and_the_detail_is_the_photographs():
    import cv2

    _, albedo, shading = scene(256)
    texture = 1 + 0.2 * (np.indices((256, 256)).sum(axis=0) % 2)[..., np.newaxis]  # finer than the model sees
    photograph = linear_to_srgb(albedo * shading * texture * 0.6)
    small = cv2.resize(photograph, (64, 64), interpolation=cv2.INTER_AREA)
    layers = Layers(small, cv2.resize(albedo, (64, 64), interpolation=cv2.INTER_AREA), None, None)
    flattened = Photograph(photograph, None, 0.0, 768, (small, layers.log_shading())).flattened_rows(slice(0, 256))
    ratio = flattened / (albedo * texture)
    inner = ratio[140:250, 8:-8]
    assert np.std(np.log(inner)) < 0.25 * np.std(np.log(shading[140:250, 8:-8]))


def test_what_is_nearly_black_is_not_brightened_without_end():
    photograph, albedo, _ = scene()
    photograph = photograph.copy()
    photograph[:, :8] = 0
    assert np.abs(Layers(photograph, albedo, None, None).log_shading()).max() <= np.log(20) + 1e-5


def test_a_black_and_white_photograph_stays_so():
    photograph, albedo, _ = scene()
    grey = np.repeat(photograph[..., :1], 3, axis=-1)
    flattened = Photograph(grey, None, 0.0, 768, (grey, Layers(grey, albedo, None, None).log_shading())).flattened()
    assert np.ptp(flattened.astype(int), axis=-1).max() <= 1


def test_the_pictures_of_shading_and_residual_have_the_photographs_size():
    photograph, albedo, shading = scene()
    layers = Layers(photograph, albedo, np.array(shading), np.full_like(albedo, 0.2))
    picture = layers.picture("shading", 100, 200)
    assert (picture.shape, picture.dtype, picture.max()) == ((100, 200, 3), np.uint8, 255)
    assert picture[50, 10, 1] > picture[50, 190, 1]
    assert (layers.picture("residual", 10, 20) == linear_to_srgb(np.full(3, 0.2))).all()


# ---- Models that cannot be used ----


def test_layers_that_a_model_does_not_give_are_refused_with_the_one_that_does(models):
    with pytest.raises(RunError, match=r"gives albedo, material, and not residual; Marigold's lighting model gives"):
        Marigold(models.appearance, None, None, 1, CPU, {"residual"})


def test_a_scheduler_that_draws_noise_on_its_way_is_refused(models, tmp_path):
    from diffusers import LCMScheduler, MarigoldIntrinsicsPipeline

    pipeline = MarigoldIntrinsicsPipeline.from_pretrained(models.appearance)
    pipeline.register_modules(scheduler=LCMScheduler.from_config(pipeline.scheduler.config))
    pipeline.save_pretrained(tmp_path / "lcm")
    with pytest.raises(RunError, match="has the scheduler LCMScheduler; only DDIM gives the same answer twice"):
        Marigold(str(tmp_path / "lcm"), None, None, 1, CPU, set())


def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        RunError, match=r"albedo_model prs-eth/marigold-x is not on this machine .*`hf download prs-eth/"
    ):
        Marigold("prs-eth/marigold-x", None, None, 1, CPU, set())
    with pytest.raises(RunError, match=r"albedo_model /no/such is neither a folder here nor a model on the Hub"):
        Marigold("/no/such", None, None, 1, CPU, set())
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"albedo_model .*empty cannot be loaded .*of another kind of model"):
        Marigold(str(tmp_path / "empty"), None, None, 1, CPU, set())
