"""The degrade step with models: SAM 3, SAM 2 and Marigold intrinsics, tiny and random, loaded as the large ones are."""

import http.server
import json
import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

torch = pytest.importorskip("torch")
for package in ("sam2", "transformers", "diffusers"):
    pytest.importorskip(package)

from shared.errors import ConfigError  # noqa: E402
from shared.images import ImageFile  # noqa: E402
from shared.light.colour import srgb_to_linear  # noqa: E402
from shared.run.config import checked  # noqa: E402
from shared.worker import Loaded  # noqa: E402
from tests.conftest import ROOT, Project, wait_until  # noqa: E402
from tests.tiny_vision import TinyModels  # noqa: E402
from workers.degrade import Degrade  # noqa: E402

# sam2 1.1 calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

SAMPLES = ("astronaut.jpg", "cat.jpg", "coffee.jpg", "admiral.jpg")
SURE_OF_ANYTHING = {"detection_threshold": 0.2}  # a random SAM 3 is about 0.25 sure
TRY_LITTLE = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
ANY_DIFFERENCE = {"least_psnr": 0, "most_psnr": 100, "most_lost": 1, "least_mask": 0, "most_mask": 1}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    torch.set_num_threads(1)  # threads that wait for one another on a busy machine are slower than one
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Four small photographs in a folder."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in SAMPLES:
        with Image.open(ROOT / "configs" / "samples" / name) as image:
            image.thumbnail((200, 200))
            image.convert("RGB").save(folder / name, quality=95)
    return folder


def worker(**options):
    made = checked(Degrade, {"quality": ANY_DIFFERENCE, **options}, "step 2 (degrade)")
    made.check("step 2 (degrade)")
    made.fill_in("step 2 (degrade)")
    made.seed = 7
    made.setup()
    return made


def items_of(photographs, *names):
    return [{"key": name, "image_path": str(photographs / name), "split": "train"} for name in names or SAMPLES]


def loaded(made, items):
    return [Loaded(item, made.load(item)) for item in items]


def degrade(made, photographs, *names):
    return made.process(loaded(made, items_of(photographs, *names)))


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


# ---- Masks ----


def check_that_only_the_mask_changed(found, photograph):
    mask, output = found["mask_path"].image, found["output_image_path"].image
    assert mask.shape == photograph.shape[:2]
    assert (mask == 0).any()
    assert (output[mask == 0] == photograph[mask == 0]).all()
    assert (output[mask == 255] != photograph[mask == 255]).any(axis=-1).mean() > 0.5


def test_outside_what_sam3_finds_the_output_is_the_photograph_bit_for_bit(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, keep=["mask"], **SURE_OF_ANYTHING)
    for name, found in zip(SAMPLES, degrade(made, photographs), strict=True):
        check_that_only_the_mask_changed(found, pixels_of(photographs / name))
        assert (found["mask"], found["background"], len(found["mask_scores"])) == ("sam3", "keep", 5)
        assert found["mask_scores"] == sorted(found["mask_scores"], reverse=True)


def test_all_instances_form_the_subject_unless_the_best_is_asked_for(models, photographs):
    options = {"mask": "sam3", "mask_model": models.sam3, "keep": ["mask"], **SURE_OF_ANYTHING}
    [everybody] = degrade(worker(**options), photographs, "cat.jpg")
    [best] = degrade(worker(**options, instances="best"), photographs, "cat.jpg")
    union, one = everybody["mask_path"].image.astype(int), best["mask_path"].image.astype(int)
    assert (union >= one).all()
    assert (union > one).mean() > 0.02
    assert best["mask_scores"] == everybody["mask_scores"][:1]


def test_sam2_takes_boxes_from_a_file_else_faces_else_everything(models, photographs, tmp_path):
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(json.dumps({"key": "cat.jpg", "boxes": [[20, 10, 90, 100], [90, 20, 180, 120]]}) + "\n")
    options = {"mask": "sam2", "mask_model": models.sam2, "automatic": TRY_LITTLE, "keep": ["mask"]}
    found = degrade(worker(**options, prompt_file=prompts), photographs, "cat.jpg", "astronaut.jpg", "coffee.jpg")
    assert [one["mask_prompt"] for one in found] == ["file", "face", "automatic"]
    assert [len(one["mask_scores"]) for one in found[:2]] == [2, 1]
    check_that_only_the_mask_changed(found[0], pixels_of(photographs / "cat.jpg"))
    [best] = degrade(worker(**options, prompt_file=prompts, instances="best"), photographs, "cat.jpg")
    assert best["mask_scores"] == [max(found[0]["mask_scores"])]


def test_where_nothing_is_found_the_photograph_is_relit_as_a_whole_or_fails(models, photographs):
    options = {"mask": "sam3", "mask_model": models.sam3, "detection_threshold": 0.99}
    [whole] = degrade(worker(**options), photographs, "coffee.jpg")
    assert (whole["mask"], whole["background"], whole["mask_scores"]) == ("none", "whole", [])
    for prompt, sentence in (("person", "no person detected"), ("dog", "no dog detected")):
        with pytest.raises(ValueError, match=sentence):
            degrade(worker(**options, mask_required=True, text_prompt=prompt), photographs, "coffee.jpg")


def test_a_face_may_be_required_too(photographs):
    with pytest.raises(ValueError, match="no person detected"):
        degrade(worker(mask="face", mask_required=True), photographs, "coffee.jpg")


# ---- Albedo ----


def test_marigold_takes_the_place_of_flattening(models, photographs):
    [by_model] = degrade(worker(mask="none", method="marigold", albedo_model=models.appearance), photographs, "cat.jpg")
    [by_pixels] = degrade(worker(mask="none"), photographs, "cat.jpg")
    assert (by_model["albedo_method"], by_pixels["albedo_method"]) == ("marigold", "flatten")
    assert by_model["light_direction"] == by_pixels["light_direction"]
    assert by_model["output_image_path"].image.shape == pixels_of(photographs / "cat.jpg").shape
    assert (by_model["output_image_path"].image != by_pixels["output_image_path"].image).mean() > 0.5


def test_the_layers_of_the_lighting_model_are_kept_on_request(models, photographs):
    made = worker(
        mask="none", method="marigold", albedo_model=models.lighting, keep=["albedo", "shading", "residual"],
        blend_with_original=[0, 0], resolution=200,
    )  # fmt: skip
    [found] = degrade(made, photographs, "astronaut.jpg")
    photograph = pixels_of(photographs / "astronaut.jpg")
    for name in ("albedo", "shading", "residual"):
        assert found[f"{name}_path"].path == f"data-train/astronaut.jpg_{name}.png"
        assert found[f"{name}_path"].image.shape == photograph.shape
    # At the model's own resolution the flattened photograph is the albedo, but for its scale and what is nearly black.
    layers = made.see(loaded(made, items_of(photographs, "astronaut.jpg")))[0].layers
    flattened = srgb_to_linear(found["albedo_path"].image)
    usable = (layers.albedo > 0.05) & (flattened > 0.02) & (flattened < 0.9) & (np.abs(layers.log_shading()) < 2.9)
    assert usable.mean() > 0.1
    assert np.log(flattened[usable] / layers.albedo[usable]).std() < 0.1


def test_without_the_lighting_model_the_shading_is_what_lies_between(models, photographs):
    made = worker(mask="none", method="marigold", albedo_model=models.appearance, keep=["shading"])
    [found] = degrade(made, photographs, "cat.jpg")
    assert found["shading_path"].image.shape == pixels_of(photographs / "cat.jpg").shape


# ---- Batches ----


def close(one, other):
    assert one.keys() == other.keys()
    for name in one.keys() - {"psnr", "ssim", "mask_scores"}:
        assert isinstance(one[name], ImageFile) or one[name] == other[name]
    pictures = [found["output_image_path"].image.astype(int) for found in (one, other)]
    assert (
        np.abs(pictures[0] - pictures[1]).max() <= 2
    )  # the last bits of a batched product are not those of a lone one
    assert (pictures[0] != pictures[1]).mean() < 0.01


def test_an_item_comes_out_the_same_alone_and_in_a_batch_and_twice(models, photographs):
    made = worker(
        mask="sam3", mask_model=models.sam3, method="marigold", albedo_model=models.appearance, **SURE_OF_ANYTHING
    )  # fmt: skip
    assert made.batch_size == 8
    together, again = degrade(made, photographs), degrade(made, photographs)
    for name, found, repeated in zip(SAMPLES, together, again, strict=True):
        assert (found["output_image_path"].image == repeated["output_image_path"].image).all()
        [alone] = degrade(made, photographs, name)
        close(found, alone)


def test_two_items_with_one_photograph_get_noise_of_their_own(models, photographs):
    made = worker(mask="none", method="marigold", albedo_model=models.appearance)
    [item] = items_of(photographs, "cat.jpg")
    first, second = (sight.layers for sight in made.see(loaded(made, [item, item | {"key": "copy"}])))
    assert (first.albedo != second.albedo).mean() > 0.3


def test_out_of_gpu_memory_halves_the_batch_and_nothing_is_lost(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=4, **SURE_OF_ANYTHING)
    real, sizes = made.segmenter.model.forward, []

    def forward(pixel_values, **rest):
        sizes.append(len(pixel_values))
        if len(pixel_values) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return real(pixel_values=pixel_values, **rest)

    made.segmenter.model.forward = forward
    found = {item["key"]: found for item, found in made.stream(iter(loaded(made, items_of(photographs))))}
    assert sizes == [4, 2, 2]
    assert made.batch_size == 2
    assert {key: one["mask"] for key, one in found.items()} == dict.fromkeys(SAMPLES, "sam3")


def test_one_photograph_that_the_model_cannot_do_costs_itself_alone(models, photographs):
    made = worker(mask="none", method="marigold", albedo_model=models.appearance, batch_size=4)
    real = made.intrinsic._layers

    def layers(small, found):
        if small.shape == made.intrinsic.prepare(pixels_of(photographs / "cat.jpg")).shape:
            raise ValueError("values that are no numbers")
        return real(small, found)

    made.intrinsic._layers = layers
    both = loaded(made, items_of(photographs, "astronaut.jpg", "cat.jpg"))
    found = {item["key"]: found for item, found in made.stream(iter(both))}
    assert isinstance(found["cat.jpg"], ValueError)
    assert found["astronaut.jpg"]["albedo_method"] == "marigold"


def test_while_one_batch_is_relit_the_next_is_with_the_models(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=1, **SURE_OF_ANYTHING)
    second_was_seen = threading.Event()
    see, relight, seen = made.see, made.degrade, []

    def watched_see(batch):
        seen.append(batch[0].item["key"])
        if len(seen) == 2:
            second_was_seen.set()
        return see(batch)

    def watched_degrade(item, sight):
        assert second_was_seen.wait(timeout=60), "the models waited for the CPU"
        return relight(item, sight)

    made.see, made.degrade = watched_see, watched_degrade
    found = list(made.stream(iter(loaded(made, items_of(photographs)))))
    assert {item["key"]: one["mask"] for item, one in found} == dict.fromkeys(SAMPLES, "sam3")
    assert seen == list(SAMPLES)


def test_no_more_waits_for_the_cpu_than_was_agreed(models, photographs):
    made = worker(mask="sam3", mask_model=models.sam3, batch_size=1, **SURE_OF_ANYTHING)
    taken = []

    def feed():
        for one in loaded(made, items_of(photographs) * 5):
            taken.append(one.item["key"])
            yield one

    stream = made.stream(feed())
    next(stream)
    assert len(taken) <= 1 + 2 * made.cores + 2
    stream.close()


# ---- Options ----


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mask_model": "facebook/sam3"}, "mask_model is used with mask: sam3 or sam2 or u2net only, and mask is face"),
        ({"mask": "sam3", "prompt_file": "x.csv"}, "prompt_file is used with mask: sam2 only, and mask is sam3"),
        ({"albedo_model": "x/y"}, "albedo_model is used with method: marigold only, and method is flatten"),
        ({"steps": 4}, "steps is used with method: marigold only"),
        ({"keep": ["residual"]}, "keep has residual, which method: marigold finds"),
        ({"mask": "none", "mask_required": True}, "mask_required needs a mask, and mask is none"),
        ({"mask": "sam2", "prompt_file": "/no/such.csv"}, "prompt_file /no/such.csv cannot be read"),
        ({"mask": "sam4"}, "mask is 'sam4'; input should be 'face', 'user', 'u2net', 'sam3', 'sam2' or 'none'"),
        ({"detection_threshold": 1.5}, "less than or equal to 1"),
        ({"automatic": {"points_per_sid": 3}}, "did you mean 'points_per_side'"),
        ({"resolution": 3}, "greater than or equal to 64"),
    ],
)
def test_options_that_do_not_fit_are_errors_before_anything_loads(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked(Degrade, options, "step 2 (degrade)").check("step 2 (degrade)")


def test_the_models_of_a_worker_are_float32_on_the_cpu_and_keep_no_gradients(models, photographs):
    made = worker(
        mask="sam3", mask_model=models.sam3, method="marigold", albedo_model=models.lighting, **SURE_OF_ANYTHING
    )
    assert {parameter.dtype for parameter in made.segmenter.model.parameters()} == {torch.float32}
    assert {parameter.dtype for parameter in made.intrinsic.pipeline.unet.parameters()} == {torch.float32}
    degrade(made, photographs, "cat.jpg")
    assert all(parameter.grad is None for parameter in made.segmenter.model.parameters())
    assert not made.segmenter.text.pooler_output.requires_grad


# ---- Through the launcher ----


def write_config(project: Project, photographs: Path, **options) -> None:
    step = {"type": "degrade", "config": {"quality": ANY_DIFFERENCE, "keep": ["mask"], **options}}
    project.config.write_text(yaml.safe_dump({"meta_path": str(photographs), "steps": [step]}))


def records_of(project: Project) -> dict[str, dict]:
    folder = project.output / "step_1_degrade" / "records"
    return {record["key"]: record for record in map(json.loads, (path.read_text() for path in folder.rglob("*.json")))}


def worker_pids(project: Project) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words, place = (entry / "cmdline").read_bytes(), os.readlink(entry / "cwd")
        except OSError:
            continue
        if place == str(project.folder) and b"workers.degrade" in words:
            found.append(int(entry.name))
    return found


@pytest.mark.slow
def test_two_workers_killed_and_started_again_do_every_photograph_once(project, models, photographs, tmp_path):
    write_config(
        project, photographs, mask="sam3", mask_model=models.sam3, method="marigold", albedo_model=models.lighting,
        batch_size=1, load_threads=1, steps=6, resolution=128, **SURE_OF_ANYTHING,
    )  # fmt: skip
    process = project.launch(MAX_RESTARTS=0)
    folder = project.output / "step_1_degrade" / "records"
    wait_until(lambda: list(folder.glob("*.json")), 120)
    for pid in worker_pids(project):
        os.kill(pid, signal.SIGKILL)
    process.communicate(timeout=60)
    assert len(list(folder.glob("*.json"))) < len(SAMPLES)
    before = {path: path.read_bytes() for path in folder.glob("*.json")}
    done = project.run(timeout=240)
    assert done.returncode == 0, done.stdout
    records = records_of(project)
    assert sorted(records) == sorted(SAMPLES)
    assert {path: path.read_bytes() for path in before} == before  # what was done is not done again
    for key, record in records.items():
        step = project.output / "step_1_degrade"
        mask, output = np.asarray(Image.open(step / record["mask_path"])), pixels_of(step / record["output_image_path"])
        assert (output[mask == 0] == pixels_of(photographs / key)[mask == 0]).all()
        assert (record["mask"], record["albedo_method"]) == ("sam3", "marigold")
    assert project.leftovers() == []
    assert project.processes() == []
    # A run of its own, in batches, has the same pictures.
    write_config(
        project, photographs, mask="sam3", mask_model=models.sam3, method="marigold", albedo_model=models.lighting,
        steps=6, resolution=128, **SURE_OF_ANYTHING,
    )  # fmt: skip
    other = tmp_path / "other"
    done = project.run(OUTPUT_DIR=other, timeout=240)
    assert done.returncode == 0, done.stdout
    for record in records.values():
        paths = [folder / "step_1_degrade" / record["output_image_path"] for folder in (project.output, other)]
        one, two = (pixels_of(path).astype(int) for path in paths)
        assert np.abs(one - two).max() <= 2
        assert (one != two).mean() < 0.01


@pytest.mark.slow
def test_sam2_with_a_prompt_file_through_the_launcher(project, models, photographs, tmp_path):
    prompts = tmp_path / "prompts.csv"
    prompts.write_text("key,x0,y0,x1,y1\ncat.jpg,20,10,150,100\ncoffee.jpg,50,20,900,90\n")
    options = {"prompt_file": str(prompts), "automatic": TRY_LITTLE}
    write_config(project, photographs, mask="sam2", mask_model=models.sam2, **options)
    done = project.run(timeout=240)
    assert done.returncode == 3, done.stdout  # coffee.jpg's box lies outside
    assert {key: record["mask_prompt"] for key, record in records_of(project).items()} == {
        "admiral.jpg": "face", "astronaut.jpg": "face", "cat.jpg": "file",
    }  # fmt: skip
    failure = json.loads((project.output / "step_1_degrade" / "failures" / "coffee.jpg.json").read_text())
    assert failure["message"] == (
        "the prompt [50.0, 20.0, 900.0, 90.0] lies outside the photograph, which is 200 x 133 pixels"
    )
    log = (project.folder / "logs" / "gpu0.log").read_text() + (project.folder / "logs" / "gpu1.log").read_text()
    assert "embeddings" not in log


@pytest.fixture
def gating_hub():
    """A Hub that shows its models to nobody."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(403)
            self.send_header("X-Error-Code", "GatedRepo")
            self.end_headers()

        do_GET = do_HEAD

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (
            {"mask": "sam3"},
            "mask_model facebook/sam3 is gated: accept its terms on https://huggingface.co/facebook/sam3",
        ),
        (
            {"mask": "none", "method": "marigold", "keep": []},
            "albedo_model prs-eth/marigold-iid-appearance-v1-1 is gated",
        ),
    ],
)
def test_a_gated_model_stops_the_run_with_one_sentence(project, photographs, gating_hub, tmp_path, options, named):
    write_config(project, photographs, **options)
    done = project.run(HF_ENDPOINT=gating_hub, HF_HOME=tmp_path / "hub", GPU_COUNT=1, timeout=120)
    log = (project.folder / "logs" / "gpu0.log").read_text()
    assert done.returncode not in (0, 3, 4), done.stdout
    assert named in log
    assert "Traceback" not in log + done.stdout
    assert records_of(project) == {}
