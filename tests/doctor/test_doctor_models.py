"""doctor says of each model whether it is there, whole, gated or absent, and whether it fits into memory."""

import shutil
from pathlib import Path

import pytest

from shared.doctor import examination
from shared.doctor.clip import find_clip
from shared.doctor.finding import fail, ok, warn
from shared.doctor.hub import Hub, HubAnswer, size_of_weights
from shared.doctor.models import check_model
from shared.doctor.weights import StoredWeights, weights_in, weights_of_file
from shared.forecast import Model
from tests.doctor.models_found import GIB, looked_at

VLM = "nobody/tiny-vlm"


@pytest.fixture(scope="session")
def complete(tmp_path_factory) -> Path:
    """A tiny Qwen2-VL as the Hub keeps it, in two files of weights."""
    pytest.importorskip("transformers")
    from transformers import AutoModelForImageTextToText

    from tests.tiny_vlm import qwen2vl

    folder = qwen2vl(tmp_path_factory.mktemp("doctor") / "one")
    model = AutoModelForImageTextToText.from_pretrained(folder)
    sharded = folder.with_name("sharded")
    shutil.copytree(folder, sharded, ignore=shutil.ignore_patterns("*.safetensors"))
    half = sum(value.nbytes for value in model.state_dict().values()) * 6 // 10
    model.save_pretrained(sharded, max_shard_size=half)
    return sharded


@pytest.fixture
def folder(complete, tmp_path) -> Path:
    return Path(shutil.copytree(complete, tmp_path / "vlm"))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """An empty Hub's cache, and no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def put_in_cache(cache: Path, name: str, files: Path) -> Path:
    """As the library lays it out: the files are links to blobs."""
    home = cache / ("models--" + name.replace("/", "--"))
    snapshot = home / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0123abcd")
    (home / "blobs").mkdir()
    for path in files.iterdir():
        shutil.copy(path, home / "blobs" / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    return snapshot


def vlm(name) -> Model:
    return Model(str(name), "model_path", "transformers", ())


def findings(model: Model, hub: Hub | None = None) -> list:
    return list(check_model("step 1 (x)", model, hub or Hub()))


def test_a_complete_folder_is_told_with_its_size(folder):
    import safetensors.torch

    shards = sorted(folder.glob("*.safetensors"))
    assert len(shards) == 2
    count = sum(tensor.nbytes for path in shards for tensor in safetensors.torch.load_file(path).values())
    found, weights = findings(vlm(folder))
    assert found == ok(f"step 1 (x): model_path {folder} is complete in {folder}, {count / 2**20:.1f} MiB")
    assert weights == StoredWeights(count, count, ())  # in 16 bit already


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda folder: (folder / "model-00002-of-00002.safetensors").unlink(), "model-00002-of-00002.safetensors is missing"),
        (lambda folder: (folder / "model.safetensors.index.json").unlink(), "model.safetensors.index.json is missing"),
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (lambda folder: (folder / "tokenizer.json").unlink() or (folder / "tokenizer_config.json").unlink(), "its tokenizer is missing"),
        (lambda folder: [path.unlink() for path in folder.glob("*processor_config.json")], "preprocessor_config.json is missing"),
        (lambda folder: [path.unlink() for path in folder.glob("model*")], "its weights are missing"),
    ],
)  # fmt: skip
def test_what_is_missing_in_a_folder_is_named(folder, spoil, problem):
    spoil(folder)
    assert findings(vlm(folder)) == [
        fail(f"step 1 (x): model_path {folder} is incomplete: {problem}; copy or download the folder again")
    ]


def test_files_that_are_not_whole_are_seen_without_reading_them(folder):
    path = folder / "model-00001-of-00002.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert weights_of_file(path).problems == (f"{path.name} is cut off after {len(whole) - 1} of {len(whole)} bytes",)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    assert weights_of_file(path).problems == (f"{path.name} is a pointer of Git LFS and not the file",)
    for garbage in (b"", b"abc", b"\0" * 8 + b"{}", b"\x05" + b"\0" * 7 + b"hello", b"\xff" * 40):
        path.write_bytes(garbage)
        assert weights_of_file(path).problems == (f"{path.name} is damaged",), garbage
    path.with_suffix(".bin").write_bytes(b"")
    assert weights_of_file(path.with_suffix(".bin")).problems == ("model-00001-of-00002.bin is empty",)


def test_a_pipeline_is_complete_when_all_its_parts_are(tmp_path):
    pytest.importorskip("diffusers")
    from tests.tiny_vision import make_marigold

    folder = make_marigold(tmp_path / "marigold", "appearance")
    whole = weights_in(folder, "diffusers", False)
    assert whole.problems == ()
    assert whole.stored > 0
    weights = next((folder / "unet").glob("*.safetensors"))
    shutil.copy(weights, weights.with_name("diffusion_pytorch_model.fp16.safetensors"))
    assert weights_in(folder, "diffusers", True) == whole  # one of the two sets counts
    for path in (folder / "unet").glob("*.safetensors"):
        path.unlink()
    shutil.rmtree(folder / "scheduler")
    (folder / "vae" / "config.json").rename(folder / "vae" / "other.json")
    assert set(weights_in(folder, "diffusers", False).problems) == {
        "unet/its weights are missing", "scheduler/ is missing", "vae/config.json is missing",
    }  # fmt: skip
    (folder / "model_index.json").unlink()
    assert weights_in(folder, "diffusers", False).problems == ("model_index.json is missing",)


def test_the_cache_of_the_hub_is_looked_into(complete, cache):
    snapshot = put_in_cache(cache, VLM, complete)
    found, weights = findings(vlm(VLM))
    assert (found.mark, f"is complete in {snapshot}" in found.sentence, weights.problems) == ("ok", True, ())
    (snapshot / "model-00002-of-00002.safetensors").resolve().unlink()  # a download that was cut off
    assert findings(vlm(VLM)) == [
        warn(f"step 1 (x): model_path {VLM} is incomplete in {snapshot}: model-00002-of-00002.safetensors is missing"),
        fail(
            f"step 1 (x): model_path {VLM} is not complete on this machine and the Hub does not answer (HF_HUB_OFFLINE is "
            f"set); download it where there is a network (`hf download {VLM}`), or name a folder that holds it"
        ),
    ]


def test_an_absent_model_is_told_without_a_network(cache, monkeypatch):
    [found] = findings(vlm(VLM))
    assert found.mark == "FAIL"
    assert (
        f"model_path {VLM} is not on this machine and the Hub does not answer (HF_HUB_OFFLINE is set)" in found.sentence
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    asked = []

    def unreachable(self, name, **more):
        asked.append(name)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr("huggingface_hub.HfApi.model_info", unreachable)
    hub = Hub()
    for name in (VLM, "nobody/another"):
        [found] = findings(vlm(name), hub)
        assert "the Hub does not answer ([Errno 101] Network is unreachable)" in found.sentence
    assert asked == [VLM]  # who does not answer is not asked again
    [found] = findings(vlm("no such: name"), Hub())
    assert found.mark == "FAIL"


@pytest.mark.parametrize(
    ("answer", "mark", "words"),
    [
        (
            HubAnswer("there", 3 * GIB),
            "warn",
            "the run will download 3.0 GiB; `hf download nobody/tiny-vlm` does so now",
        ),
        (HubAnswer("gated"), "FAIL", "is gated: accept its terms on https://huggingface.co/nobody/tiny-vlm"),
        (HubAnswer("unknown"), "FAIL", "is neither a folder here nor a model on the Hub that this account may see"),
    ],
)
def test_what_the_hub_says_is_told(cache, monkeypatch, answer, mark, words):
    monkeypatch.setattr(Hub, "ask", lambda self, name, file="": answer)
    found, *weights = findings(vlm(VLM))
    assert (found.mark, words in found.sentence) == (mark, True), found
    assert weights == ([StoredWeights(3 * GIB, 3 * GIB, is_here=False)] if mark == "warn" else [])


def test_a_download_that_the_disk_has_no_room_for_stands_in_the_way(cache, monkeypatch):
    monkeypatch.setattr(Hub, "ask", lambda self, name, file="": HubAnswer("there", 2**60))
    found, _ = findings(vlm(VLM))
    assert found.mark == "FAIL"
    assert f"are free under {cache.parent}; free some, or set HF_HOME to another disk" in found.sentence
    assert not cache.exists()


@pytest.mark.parametrize(
    ("weights", "found", "lacking", "why"),
    [
        ([], [], [], "because its models are not here"),
        ([StoredWeights(1, 1, is_here=False)], [], [], "before its models are downloaded"),
        ([StoredWeights(1, 1)], [warn("slow"), fail("too large")], [], "before that is mended"),
        ([StoredWeights(1, 1)], [warn("slow")], ["torch", "vllm"], "before torch, vllm is installed"),
        ([StoredWeights(1, 1)], [warn("slow")], [], ""),
    ],
)
def test_what_keeps_a_step_from_being_tried_is_told(tmp_path, monkeypatch, weights, found, lacking, why):
    looked = looked_at(tmp_path)
    monkeypatch.setattr(examination, "missing", lambda needed, has_gpu: lacking)
    model = looked.forecasts[1].models[0]
    assert looked.hindrance(looked.steps[0], [(model, one) for one in weights], found) == why


def test_of_what_the_hub_lists_only_what_is_loaded_counts():
    assert size_of_weights({"a.safetensors": 5, "b.safetensors": 6, "pytorch_model.bin": 11}) == 11
    assert size_of_weights({"unet/m.safetensors": 4, "unet/m.fp16.safetensors": 2, "consolidated.safetensors": 9}) == 4
    assert size_of_weights({"sam.pt": 7, "README.md": 100}) == 7
    assert size_of_weights({"README.md": 100}) == 0


def test_a_package_that_is_missing_is_named(cache, monkeypatch):
    def without(self, name):
        raise ModuleNotFoundError("No module named 'huggingface_hub'", name="huggingface_hub")

    monkeypatch.setattr(Hub, "cached", without)
    assert findings(vlm(VLM)) == [
        fail(f"step 1 (x): model_path {VLM} cannot be looked for: huggingface_hub is not installed")
    ]


def test_the_weights_of_a_clip_tag_are_looked_for_where_open_clip_has_them(tmp_path, cache):
    pytest.importorskip("open_clip")
    from tests.tiny_clip import write_clip

    folder = write_clip(tmp_path / "clip")
    clip = Model("ViT-B/32", "model_name", "clip", (), tag="openai")
    repository = "timm/vit_base_patch32_clip_224.openai"
    assert find_clip("ViT-B/32", "openai").repository == repository
    [found] = findings(clip)
    assert found.sentence.startswith("step 1 (x): model_name ViT-B/32 (openai) is not on this machine and the Hub")
    assert f"`hf download {repository}`" in found.sentence
    put_in_cache(cache, repository, folder)
    found, weights = findings(clip)
    assert (found.mark, weights.stored > weights.halved > 0) == ("ok", True)
    for name, tag, words in (
        ("ViT-Q/1", "openai", "no model that open_clip knows"),
        ("ViT-B/32", "oqenai", "there are openai"),
    ):
        [found] = findings(Model(name, "model_name", "clip", (), tag=tag))
        assert (found.mark, words in found.sentence) == ("FAIL", True), found
    for path in (folder, folder / "open_clip_model.safetensors"):
        assert findings(Model(str(path), "checkpoint", "clip", ()))[0].mark == "ok"
    (folder / "open_clip_config.json").unlink()
    assert "open_clip_config.json is missing" in findings(Model(str(folder), "checkpoint", "clip", ()))[0].sentence


def test_sam2_is_one_checkpoint(tmp_path, cache):
    name = "facebook/sam2.1-hiera-large"
    model = Model(name, "mask_model", "sam2", ())
    [found] = findings(model)
    assert found.mark == "FAIL"
    files = tmp_path / "sam2"
    files.mkdir()
    (files / "sam2.1_hiera_large.pt").write_bytes(bytes(2**20))
    put_in_cache(cache, name, files)
    assert findings(model)[1] == StoredWeights(2**20, 2**20)
    local = Model(str(files), "mask_model", "sam2", ())
    assert "it has 0 .yaml and 1 .pt files instead of one each" in findings(local)[0].sentence
    (files / "sam2.yaml").write_text("model: {}\n")
    assert findings(local)[0].mark == "ok"
