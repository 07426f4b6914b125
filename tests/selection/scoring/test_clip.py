"""The filter's CLIP methods, with real open_clip and tiny random models in the Hub's format."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.errors import ConfigError, RunError
from shared.images import open_image
from shared.run.config import checked
from shared.selection.scoring import clip_prompts as lighting_score
from shared.worker import Loaded
from tests.conftest import ROOT, wait_until
from tests.tiny_clip import PREPROCESS, TINY, write_clip
from workers.filter import Filter

pytestmark = pytest.mark.skipif(not importlib.util.find_spec("open_clip"), reason="needs requirements.txt")

SAMPLES = ROOT / "configs" / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.jpg"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """No test asks the network; an empty cache."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def make(checkpoint: object, method: str = "clip", **options) -> Filter:
    worker = checked(Filter, {"method": method, "checkpoint": str(checkpoint), **options}, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    worker.setup()
    return worker


def items(folder: Path) -> list[dict]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    return [{"key": path.name, "image_path": str(path)} for path in paths]


def rate(worker: Filter, folder: Path) -> list[dict]:
    return worker.process([Loaded(item, worker.load(item)) for item in items(folder)])


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The bundled photographs at a size that is decoded as it is."""
    folder = tmp_path_factory.mktemp("small")
    for name in NAMES:
        with Image.open(SAMPLES / name) as image:
            image = image.convert("RGB")
            image.thumbnail((90, 60))
            image.info = {}  # no colour profile, which open_clip would pass over
            image.save(folder / f"{Path(name).stem}.png")
    return folder


def by_open_clip(checkpoint: Path, folder: Path, texts: list[str]):
    """Vectors of photographs and texts, and the logit scale, as open_clip's README has it."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{checkpoint}")
    model.eval()
    images = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            images.append(preprocess(image))
    with torch.no_grad():
        vectors = model.encode_image(torch.stack(images))
        words = model.encode_text(tokenizer(texts))
        vectors /= vectors.norm(dim=-1, keepdim=True)
        words /= words.norm(dim=-1, keepdim=True)
        return vectors, words, model.logit_scale.exp()


# The score


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


# The record


def test_a_record_says_score_method_model_checkpoint_hashes_and_size(tiny):
    worker = make(tiny)
    item = {"key": "dogs.jpg", "image_path": str(SAMPLES / "dogs.jpg")}
    [row] = worker.process([Loaded(item, worker.load(item))])
    assert set(row) == {
        "lighting_score", "method", "model_name", "checkpoint", "phash", "phash_mirrored", "phash_fine", "width",
        "height", "sharpness",
    }  # fmt: skip
    assert (row["method"], row["model_name"], row["checkpoint"]) == ("clip", "tiny", str(tiny))
    assert (row["width"], row["height"]) == (511, 768)
    json.dumps(row)


@pytest.mark.parametrize("method", ["clip", "clip_antonym"])
def test_all_but_the_score_is_that_of_the_photometric_method(tmp_path, method):
    vision = {**TINY["vision_cfg"], "image_size": 224}  # as real models have it: photographs are opened at twice that
    by_clip = make(
        write_clip(tmp_path / "clip", {**TINY, "vision_cfg": vision}), method, describe_light=True, faces="none"
    )
    for one, other in zip(
        rate(by_clip, SAMPLES), rate(make("openai", "photometric", faces="none"), SAMPLES), strict=True
    ):
        assert one["light"] == other["light"]
        assert one["faces"] == other["faces"]
        assert one["sharpness"] == pytest.approx(other["sharpness"], abs=0.05)
        for name, most in (("phash", 2), ("phash_mirrored", 2), ("phash_fine", 6)):
            assert (int(one[name], 16) ^ int(other[name], 16)).bit_count() <= most


# What the model sees


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


# The weights


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


# Batches, memory and one batch in flight


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


# Embeddings


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


# Through the launcher


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

    expected = dict(zip(NAMES, rate(make(tiny), SAMPLES), strict=True))
    records = [json.loads(path.read_text()) for path in step.glob("records/*/*.json")]
    assert len(records) == 360
    for record in records:
        assert record["lighting_score"] == pytest.approx(expected[Path(record["key"]).name]["lighting_score"], abs=2e-6)
    places = [(record["embedding_path"], record["embedding_row"]) for record in records]
    assert len(set(places)) == 360
    clip = make(tiny).rater.clip
    views = [clip.prepare(open_image(SAMPLES / name, shorter_side=64)) for name in NAMES]
    vectors = dict(zip(NAMES, clip.embed(views).numpy(), strict=True))
    for record, (path, row) in zip(records, places, strict=True):
        assert np.abs(np.load(step / path)[row] - vectors[Path(record["key"]).name]).max() < 1e-3
    [failure] = [json.loads(path.read_text()) for path in step.glob("failures/*.json")]
    assert (failure["key"], failure["error"]) == ("broken.jpg", "ImageError")

    rows = project.rows("step_1_filter")
    assert {(row["method"], row["model_name"], row["checkpoint"]) for row in rows} == {("clip", "tiny", str(tiny))}
    best = sorted((row["lighting_score"] for row in records), reverse=True)[:20]
    assert sorted((row["lighting_score"] for row in rows), reverse=True) == best
    assert [path for path in step.rglob("*") if path.name.endswith(".part")] == []


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


def test_missing_weights_stop_the_run_with_their_sentence_and_without_a_restart(project):
    project.write_config({"type": "filter", "config": {"method": "clip"}}, meta_path=str(SAMPLES), image_key="image")
    done = project.run(HF_HUB_OFFLINE="1", HF_HOME=project.folder / "home", GPU_COUNT=1, timeout=120)
    assert done.returncode == 1
    assert "the CLIP weights 'openai' of ViT-B/32 are not on this machine; run `hf download timm/vit" in done.stdout
    assert "started again" not in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.output / "step_1_filter" / "failures").exists()


def test_the_workers_help_needs_neither_torch_nor_open_clip():
    heavy = ("torch", "open_clip", "huggingface_hub")
    code = f"import sys, workers.filter; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
