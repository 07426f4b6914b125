import json
import warnings

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("diffusers")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

import torch  # noqa: E402

from shared.errors import RunError  # noqa: E402
from shared.relighter.inference.background import keep_background  # noqa: E402
from shared.relighter.inference.relighter import Relighter, limited, pad  # noqa: E402

torch.set_num_threads(1)
CPU = torch.device("cpu")
STEPS = {"num_inference_steps": 2}


def photograph(seed: int = 0, width: int = 75, height: int = 61) -> Image.Image:
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows * 2 + seed, columns * 2, rows + columns], -1) % 256
    return Image.fromarray(pixels.astype(np.uint8))


def distance(one, other) -> int:
    return int(np.abs(np.asarray(one, int) - np.asarray(other, int)).max())


@pytest.fixture(scope="module")
def sd15(tiny_sd15_edits):
    return Relighter.load(tiny_sd15_edits, CPU)


@pytest.mark.parametrize(
    "name",
    ["tiny_sd15_edits", *(pytest.param(name, marks=pytest.mark.slow) for name in ("tiny_sdxl_edits", "tiny_flux"))],
)
def test_an_image_of_any_size_comes_back_in_its_size_and_the_seed_decides(name, request):
    relighter = Relighter.load(request.getfixturevalue(name), CPU)
    images = [photograph(0), photograph(40), photograph(0, 33, 90)]
    texts = ["light from the left", "warm light", "soft light"]
    together = relighter.relight(images, texts, [7, 8, 9], **STEPS)
    assert [image.size for image in together] == [(75, 61), (75, 61), (33, 90)]
    for image, text, seed, found in zip(images, texts, [7, 8, 9], together, strict=True):
        [alone] = relighter.relight([image], [text], [seed], **STEPS)
        assert distance(alone, found) <= 1
    [other] = relighter.relight([images[0]], [texts[0]], [70], **STEPS)
    assert distance(other, together[0]) > 5


def test_photograph_words_and_scales_all_change_the_result(sd15):
    def relit(image, text, **more):
        return sd15.relight([image], [text], [1], **STEPS, **more)[0]

    usual = relit(photograph(), "warm light from the left")
    assert distance(usual, relit(photograph(90), "warm light from the left")) > 1
    assert distance(usual, relit(photograph(), "a cold blue night")) > 1
    assert distance(usual, relit(photograph(), "warm light from the left", image_guidance_scale=4.0)) > 1
    assert distance(usual, relit(photograph(), "warm light from the left", guidance_scale=20.0)) > 1
    same = relit(photograph(), "warm light from the left", image_guidance_scale=1.5, guidance_scale=7.5)
    assert distance(usual, same) == 0


def test_a_model_that_keeps_its_input_gives_back_the_photograph_in_place():
    """What is padded lies at the right and below, and goes again."""

    class Keeper:
        device = CPU

        def __init__(self):
            self.components = {}

        def set_progress_bar_config(self, disable):
            pass

        def __call__(self, image, **settings):
            assert tuple(image.shape) == (1, 3, 64, 80)
            return type("Output", (), {"images": image.permute(0, 2, 3, 1).numpy()})

    assert distance(Relighter(Keeper(), "sd15").relight([photograph()], [""], [0])[0], photograph()) == 0


def test_padding_mirrors_and_a_multiple_stays():
    padded = pad(photograph(), 16)
    assert padded.shape == (64, 80, 3)
    assert np.array_equal(padded[:61, :75], np.asarray(photograph()))
    assert np.array_equal(padded[61], padded[59]) and np.array_equal(padded[:, 75], padded[:, 73])
    assert pad(photograph(0, 80, 64), 16).shape == (64, 80, 3)
    assert pad(photograph(0, 1, 5), 8).shape == (8, 8, 3)


def test_resolution_bounds_what_the_model_sees_and_not_what_comes_out(sd15):
    assert limited(photograph(0, 300, 200), 64).size == (96, 64)
    assert limited(photograph(0, 50, 40), 64).size == (50, 40)
    [found] = sd15.relight([photograph(0, 300, 200)], ["x"], [0], resolution=64, **STEPS)
    [full] = sd15.relight([photograph(0, 300, 200)], ["x"], [0], **STEPS)
    assert found.size == full.size == (300, 200)
    assert (
        np.abs(np.diff(np.asarray(found, float), axis=1)).mean()
        < np.abs(np.diff(np.asarray(full, float), axis=1)).mean()
    )


def test_parts_of_two_precisions_work_together(tiny_sd15_edits, sd15):
    """As in the middle of training: what learns is float32, the text encoder bfloat16."""
    from diffusers import StableDiffusionInstructPix2PixPipeline

    pipeline = StableDiffusionInstructPix2PixPipeline.from_pretrained(tiny_sd15_edits, safety_checker=None)
    pipeline.text_encoder.to(torch.bfloat16)
    [mixed] = Relighter(pipeline, "sd15").relight([photograph()], ["warm"], [3], **STEPS)
    [exact] = sd15.relight([photograph()], ["warm"], [3], **STEPS)
    assert np.abs(np.asarray(mixed, float) - np.asarray(exact, float)).mean() < 6


def test_a_lora_of_flux_is_laid_over_its_base_model(tiny_flux, tmp_path):
    from diffusers import FluxKontextPipeline
    from peft import LoraConfig, get_peft_model_state_dict

    pipeline = FluxKontextPipeline.from_pretrained(tiny_flux)
    pipeline.transformer.add_adapter(
        LoraConfig(r=2, lora_alpha=2, target_modules=["attn.to_q", "attn.to_v"], init_lora_weights=False)
    )
    weights = get_peft_model_state_dict(pipeline.transformer)
    FluxKontextPipeline.save_lora_weights(
        tmp_path, transformer_lora_layers={name: 40 * value for name, value in weights.items()}
    )
    (tmp_path / "model.json").write_text(json.dumps({"family": "flux", "base_model": tiny_flux, "resolution": 64}))
    [learned] = Relighter.load(str(tmp_path), CPU).relight([photograph()], ["warm"], [3], **STEPS)
    [base] = Relighter.load(tiny_flux, CPU).relight([photograph()], ["warm"], [3], **STEPS)
    assert distance(learned, base) > 1


def test_a_pixel_model_loads_from_its_folder(tmp_path):
    from shared.relighter.families.pixel import Pixel

    family = Pixel("scratch", 16)
    family.load(CPU, torch.float32, False)
    torch.nn.init.normal_(family.trained.conv_out.weight, std=0.05)
    family.save(tmp_path)
    relighter = Relighter.load(str(tmp_path), CPU)
    assert relighter.family is Pixel
    [found] = relighter.relight([photograph()], ["warm"], [3])
    [again] = Relighter(family.pipeline(), "pixel").relight([photograph()], ["warm"], [3])
    assert found.size == (75, 61) and distance(found, again) == 0


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "holds no model: it has neither a model.json nor a model_index.json"),
        ({"model_index.json": '{"_class_name": "StableDiffusionPipeline"}'}, "names no pipeline that relights"),
        (
            {"model_index.json": '{"_class_name": "StableDiffusionInstructPix2PixPipeline"}'},
            "incomplete or of another kind",
        ),
    ],
)
def test_a_folder_that_is_no_model_is_named_in_one_sentence(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(RunError, match=sentence) as caught:
        Relighter.load(str(tmp_path), CPU)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_an_answer_that_is_no_number_is_an_error_and_no_black_image(tiny_sd15_edits):
    broken = Relighter.load(tiny_sd15_edits, CPU)
    broken.pipeline.unet.conv_out.weight.data.fill_(float("nan"))
    with warnings.catch_warnings(), pytest.raises(ValueError, match="not a number"):
        broken.relight([photograph()], ["warm"], [3], **STEPS)


def test_outside_the_mask_the_photograph_stays_bit_for_bit():
    rng = np.random.default_rng(0)
    before, relit = rng.integers(0, 256, (2, 120, 160, 3), dtype=np.uint8)
    mask = np.zeros((120, 160), np.uint8)
    mask[30:90, 40:120] = 255
    found = keep_background(relit, before, mask)
    assert np.array_equal(found[mask == 0], before[mask == 0])
    assert np.array_equal(found[34:86, 44:116], relit[34:86, 44:116])
    border = found[30, 50:110]
    assert distance(border, relit[30, 50:110]) > 10  # the seam is soft, inside
    assert np.array_equal(keep_background(relit, before, np.full_like(mask, 255)), relit)
