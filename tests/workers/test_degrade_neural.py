"""The degrade step with models: SAM 3, SAM 2 and Marigold intrinsics, tiny and random, loaded as the large ones are."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
for package in ("sam2", "transformers", "diffusers"):
    pytest.importorskip(package)
from shared.errors import ConfigError  # noqa: E402
from shared.images import ImageFile  # noqa: E402
from shared.light.colour import srgb_to_linear  # noqa: E402
from shared.run.config import checked  # noqa: E402
from tests.workers.degrading_neurally import (  # noqa: E402
    SAMPLES,
    SURE_OF_ANYTHING,
    TRY_LITTLE,
    degrade,
    items_of,
    loaded,
    pixels_of,
    worker,
)
from workers.degrade import Degrade  # noqa: E402

# sam2 1.1 calls what torch 2.13 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


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


@pytest.mark.slow
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
        degrade(worker(mask="person", mask_required=True), photographs, "coffee.jpg")


def test_marigold_takes_the_place_of_flattening(models, photographs):
    [by_model] = degrade(worker(mask="none", method="marigold", albedo_model=models.appearance), photographs, "cat.jpg")
    [by_pixels] = degrade(worker(mask="none"), photographs, "cat.jpg")
    assert (by_model["albedo_method"], by_pixels["albedo_method"]) == ("marigold", "flatten")
    assert by_model["blend_ratio"] == by_pixels["blend_ratio"]
    assert by_model["output_image_path"].image.shape == pixels_of(photographs / "cat.jpg").shape
    assert (by_model["output_image_path"].image != by_pixels["output_image_path"].image).mean() > 0.5


@pytest.mark.slow
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


def close(one, other):
    assert one.keys() == other.keys()
    for name in one.keys() - {"psnr", "ssim", "mask_scores"}:
        assert isinstance(one[name], ImageFile) or one[name] == other[name]
    pictures = [found["output_image_path"].image.astype(int) for found in (one, other)]
    assert (
        np.abs(pictures[0] - pictures[1]).max() <= 2
    )  # the last bits of a batched product are not those of a lone one
    assert (pictures[0] != pictures[1]).mean() < 0.01


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"mask": "none", "mask_model": "facebook/sam3"},
            "mask_model is used with mask: sam3 or sam2 or u2net or person only, and mask is none",
        ),
        ({"mask": "sam3", "prompt_file": "x.csv"}, "prompt_file is used with mask: sam2 only, and mask is sam3"),
        ({"albedo_model": "x/y"}, "albedo_model is used with method: marigold only, and method is flatten"),
        ({"steps": 4}, "steps is used with method: marigold only"),
        ({"keep": ["residual"]}, "keep has residual, which method: marigold finds"),
        ({"mask": "none", "mask_required": True}, "mask_required needs a mask, and mask is none"),
        ({"mask": "sam2", "prompt_file": "/no/such.csv"}, "prompt_file /no/such.csv cannot be read"),
        (
            {"mask": "sam4"},
            "mask is 'sam4'; input should be 'person', 'user', 'u2net', 'sam3', 'sam2' or 'none'",
        ),
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
