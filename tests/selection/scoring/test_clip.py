"""The filter's CLIP methods, with real open_clip and tiny random models in the Hub's format."""

import importlib.util
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import ConfigError, RunError
from shared.images import open_image
from shared.run.config import checked
from shared.selection.scoring import clip_prompts as lighting_score
from shared.worker import Loaded
from tests.selection.scoring.clip_models import NAMES, SAMPLES, by_open_clip, items, make, rate
from tests.tiny_clip import PREPROCESS, TINY, write_clip
from workers.filter import Filter

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("open_clip"), reason="needs requirements.txt")


def test_the_score_is_the_plain_mean_of_seven_cosine_similarities(tiny, small):
    assert len(lighting_score.PROMPTS) == 7
    vectors, words, _ = by_open_clip(tiny, small, list(lighting_score.PROMPTS))
    found = [row["lighting_score"] for row in rate(make(tiny), small)]
    assert found == pytest.approx((vectors @ words.T).mean(dim=1).tolist(), abs=2e-6)
    assert np.ptp(found) > 0.05


def test_the_antonym_score_is_the_mean_share_of_the_positive_text_of_each_pair(tiny, small):
    pairs = lighting_score.PROMPT_PAIRS
    expected = 0
    for pair in pairs:
        vectors, words, scale = by_open_clip(tiny, small, list(pair))
        expected = expected + (scale * vectors @ words.T).softmax(dim=1)[:, 0] / len(pairs)
    found = [row["lighting_score"] for row in rate(make(tiny, "clip_antonym"), small)]
    assert found == pytest.approx(expected.tolist(), abs=2e-6)
    assert np.ptp(found) > 0.05


def test_prompts_of_ones_own_take_the_place_of_those_built_in(tiny, small):
    vectors, words, scale = by_open_clip(tiny, small, ["golden hour", "harsh flash"])
    similar = vectors @ words.T
    one = [row["lighting_score"] for row in rate(make(tiny, prompts=["golden hour"]), small)]
    assert one == pytest.approx(similar[:, 0].tolist(), abs=2e-6)
    worker = make(tiny, "clip_antonym", prompt_pairs=[["golden hour", "harsh flash"]])
    share = [row["lighting_score"] for row in rate(worker, small)]
    assert share == pytest.approx((scale * similar).softmax(dim=1)[:, 0].tolist(), abs=2e-6)


def test_a_score_does_not_depend_on_the_batch(tiny, small):
    worker = make(tiny)
    together = rate(worker, small)
    alone = [worker.process([Loaded(item, worker.load(item))])[0] for item in items(small)]
    for one, other in zip(alone, together, strict=True):
        assert one["lighting_score"] == pytest.approx(other["lighting_score"], abs=2e-6)
        assert {**one, "lighting_score": 0} == {**other, "lighting_score": 0}


def test_a_record_says_score_method_model_checkpoint_hashes_and_size(tiny):
    worker = make(tiny)
    item = {"key": "dogs.jpg", "image_path": str(SAMPLES / "dogs.jpg")}
    [row] = worker.process([Loaded(item, worker.load(item))])
    assert set(row) == {
        "lighting_score", "method", "model_name", "checkpoint", "phash", "phash_mirrored", "phash_fine", "width",
        "height", "sharpness", "picture",
    }  # fmt: skip
    assert (row["method"], row["model_name"], row["checkpoint"]) == ("clip", "tiny", str(tiny))
    assert (row["width"], row["height"]) == (511, 768)
    json.dumps(row)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["clip", "clip_antonym"])
def test_all_but_the_score_is_that_of_the_photometric_method(tmp_path, method):
    vision = {**TINY["vision_cfg"], "image_size": 224}  # as real models have it: photographs are opened at twice that
    by_clip = make(
        write_clip(tmp_path / "clip", {**TINY, "vision_cfg": vision}), method, describe_light=True, faces="none"
    )
    some = tmp_path / "some"
    some.mkdir()
    for name in ("astronaut.jpg", "coffee.jpg", "fig.jpg"):
        (some / name).write_bytes((SAMPLES / name).read_bytes())
    for one, other in zip(rate(by_clip, some), rate(make("openai", "photometric", faces="none"), some), strict=True):
        assert one["light"] == other["light"]
        assert one["faces"] == other["faces"]
        assert one["sharpness"] == pytest.approx(other["sharpness"], abs=0.05)
        for name, most in (("phash", 2), ("phash_mirrored", 2), ("phash_fine", 6)):
            assert (int(one[name], 16) ^ int(other[name], 16)).bit_count() <= most


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [32, [24, 48]])
def test_the_model_sees_the_pixels_that_open_clips_own_transform_gives(tmp_path, small, mode, size):
    from open_clip.transform import PreprocessCfg, image_transform_v2

    vision = {**TINY["vision_cfg"], "image_size": size}
    folder = write_clip(tmp_path / "clip", {**TINY, "vision_cfg": vision}, {**PREPROCESS, "resize_mode": mode})
    worker = make(folder)
    transform = image_transform_v2(
        PreprocessCfg(size=tuple(np.broadcast_to(size, 2).tolist()), resize_mode=mode), is_train=False
    )
    mean, deviation = (np.array(PREPROCESS[name])[:, None, None] for name in ("mean", "std"))
    for item in items(small):
        expected = transform(Image.open(item["image_path"])).numpy()
        pixels = worker.load(item).pixels
        assert pixels.dtype == np.uint8
        found = (pixels.transpose(2, 0, 1) / 255 - mean) / deviation
        assert np.abs(found - expected).max() < 1e-5


def test_large_photographs_are_decoded_small_and_are_the_same_to_the_model(tiny):
    """The models' vectors differ by far less than those of two photographs."""
    import torch

    clip = make(tiny).rater.clip
    small_decodes = [open_image(SAMPLES / name, shorter_side=2 * clip.side) for name in NAMES]
    whole = [open_image(SAMPLES / name) for name in NAMES]
    assert all(2 * clip.side <= min(image.size) < 4 * clip.side for image in small_decodes)
    found, expected = (clip.embed([clip.prepare(image) for image in images]) for images in (small_decodes, whole))
    between = torch.pdist(expected).median()
    assert (found - expected).norm(dim=1).max() < 0.05 * between
    views = [np.asarray(clip.prepare(image), dtype=float) for image in small_decodes]
    exact = [np.asarray(clip.prepare(image), dtype=float) for image in whole]
    assert max(np.sqrt(((a - b) ** 2).mean()) for a, b in zip(views, exact, strict=True)) < 4


def test_a_narrow_photograph_keeps_all_its_pixels(tmp_path, tiny):
    with Image.open(SAMPLES / "fig.jpg") as image:
        image.resize((2000, 40)).save(tmp_path / "narrow.jpg")
    worker = make(tiny)
    assert open_image(tmp_path / "narrow.jpg", shorter_side=64).size == (2000, 40)
    [row] = rate(worker, tmp_path)
    assert (row["width"], row["height"]) == (2000, 40)


@pytest.fixture
def known(tmp_path, monkeypatch, tiny) -> Path:
    """open_clip knows the architectures tiny-clip and tiny-clip-quickgelu; returns a folder with weights of theirs."""
    import open_clip

    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", [*open_clip.factory._MODEL_CONFIG_PATHS])
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    for name, more in (("tiny-clip", {}), ("tiny-clip-quickgelu", {"quick_gelu": True})):
        (tmp_path / f"{name}.json").write_text(json.dumps({**TINY, **more}))
        open_clip.add_model_config(tmp_path / f"{name}.json")
    return tiny


def scores(worker: Filter, folder: Path) -> list[float]:
    return [row["lighting_score"] for row in rate(worker, folder)]


def test_openai_weights_get_the_activation_they_were_trained_with(known, monkeypatch, small):
    import open_clip
    from open_clip.transformer import QuickGELU

    tag = {"url": "http://nowhere.invalid/x.pt", "hf_hub": "a/tiny-clip/", "quick_gelu": True, "mean": (0.5, 0.5, 0.5)}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny-clip", {"openai": tag})
    fill_cache("a/tiny-clip", known / "open_clip_model.safetensors")
    quick, plain = make("openai", model_name="tiny/clip"), make(known)
    activations = [{type(module) for module in worker.rater.clip.model.modules()} for worker in (quick, plain)]
    assert [QuickGELU in kinds for kinds in activations] == [True, False]
    assert quick.rater.clip.mean.flatten().tolist() == [0.5] * 3
    assert np.abs(np.subtract(scores(quick, small), scores(plain, small))).max() > 1e-4
    assert rate(quick, small)[0]["model_name"] == "tiny/clip"


def fill_cache(repository: str, file: Path) -> None:
    """As the Hub's client leaves a download."""
    from huggingface_hub import constants

    place = Path(constants.HF_HUB_CACHE) / ("models--" + repository.replace("/", "--"))
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("1" * 40)
    (place / "snapshots" / ("1" * 40)).mkdir(parents=True)
    shutil.copy(file, place / "snapshots" / ("1" * 40) / file.name)


@pytest.mark.parametrize("model", ["ViT-B/32", "ViT-B/16", "ViT-L/14"])
def test_the_models_of_the_contract_have_openai_weights_with_quick_gelu(model):
    import open_clip

    tag = open_clip.get_pretrained_cfg(model.replace("/", "-"), "openai")
    assert tag["quick_gelu"] is True
    assert tag["hf_hub"].endswith(".openai/")


@pytest.mark.slow
def test_a_file_of_weights_is_of_the_model_that_is_named(known, tmp_path, small, caplog):
    caplog.set_level("INFO")
    file = shutil.copy(known / "open_clip_model.safetensors", tmp_path / "weights.safetensors")
    plain = scores(make(file, model_name="tiny-clip"), small)
    assert "weights.safetensors is taken for a tiny-clip; weights of OpenAI's training need " in caplog.text
    assert "model_name: tiny-clip-quickgelu" in caplog.text
    assert plain == scores(make(known), small)
    assert plain != scores(make(file, model_name="tiny-clip-quickgelu"), small)
    with pytest.raises(
        RunError, match=r"weights.safetensors cannot be loaded as the CLIP model ViT-B/32: text pos_embed"
    ):
        make(file)


def test_a_file_in_a_folder_from_the_hub_is_of_the_model_that_the_folder_says(tiny, small):
    assert scores(make(tiny / "open_clip_model.safetensors"), small) == scores(make(tiny), small)


def test_missing_weights_are_one_sentence_that_names_the_tag_and_the_way_out():
    with pytest.raises(RunError) as raised:
        make("openai")
    message = str(raised.value)
    assert "\n" not in message
    assert message.startswith(
        "the CLIP weights 'openai' of ViT-B/32 are not on this machine; run "
        "`hf download timm/vit_base_patch32_clip_224.openai --local-dir clip` where there is a network "
        "and set checkpoint: clip ("
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_name": "ViT-B/23"}, r"^open_clip has no model 'ViT-B/23'; did you mean ViT-B-32"),
        (
            {"checkpoint": "opnai"},
            r"^ViT-B/32 has no weights 'opnai'; there are openai, laion400m_e31, .*or name a file",
        ),
        ({"model_name": "hf-hub:a/b"}, r"^hf-hub:a/b cannot be loaded as the CLIP model hf-hub:a/b: "),
    ],
)
def test_a_name_that_is_not_known_is_named(options, message):
    with pytest.raises(RunError, match=message):
        make(**{"checkpoint": "openai", **options})


def test_a_folder_or_file_that_is_not_whole_is_named(tmp_path, tiny):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunError, match=r"empty has no open_clip_config\.json; name a file of weights"):
        make(tmp_path / "empty")
    shutil.copytree(tiny, tmp_path / "half")
    weights = tmp_path / "half" / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(RunError, match="half cannot be loaded as the CLIP model half: "):
        make(tmp_path / "half")
    weights.unlink()
    with pytest.raises(RunError, match=r"half has no weights beside its open_clip_config\.json"):
        make(tmp_path / "half")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "clip", "checkpoint": "./nowhere"}, r"the checkpoint ./nowhere does not exist; it should be"),
        ({"save_embeddings": True}, r"save_embeddings is for method: clip or clip_antonym, and method is photometric"),
        ({"method": "clip_antonym", "prompts": ["a"]}, r"prompts is for method: clip, and method is clip_antonym"),
        ({"method": "clip", "prompt_pairs": [["a", "b"]]}, r"prompt_pairs is for method: clip_antonym, and method"),
        ({"method": "clip", "prompts": []}, r"prompts is \[\]; list should have at least 1 item"),
        ({"method": "clip_antonym", "prompt_pairs": [["a"]]}, r"prompt_pairs.0.1"),
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_loads(options, message):
    with pytest.raises(ConfigError, match=message):
        checked(Filter, options, "step 1 (filter)").check("step 1 (filter)")


@pytest.mark.parametrize(
    ("options", "size"), [({}, 1), ({"method": "clip"}, 32), ({"method": "clip", "batch_size": 64}, 64)]
)
def test_the_batch_is_as_the_method_needs_it_where_none_is_given(options, size):
    worker = checked(Filter, options, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    assert worker.batch_size == size


def test_a_gpu_that_torch_cannot_use_is_told_and_not_replaced_by_the_cpu(tmp_path, monkeypatch, caplog):
    import torch

    from shared.models.device import find_device

    if torch.cuda.is_available() or not torch.version.cuda:
        pytest.skip("needs torch for CUDA on a machine where it finds no GPU")
    caplog.set_level("INFO")
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho '0, 0, 1000'\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert find_device("CLIP").type == "cpu"
    assert caplog.messages == ["no GPU: CLIP runs on the CPU, many times slower"]
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(
        RunError, match=r"there are 1 NVIDIA GPUs and torch .* cannot use them; it needs a driver for CU"
    ):
        find_device("CLIP")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert find_device("CLIP").type == "cpu"
