"""Options of the degrade step, and the images that it refuses to make."""

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.errors import ConfigError
from shared.images import Rejected
from shared.light.colour import linear_to_srgb
from shared.run.config import checked
from tests.workers.degrading import degrade, item_of, worker
from workers.degrade import Degrade


def test_a_black_and_white_photograph_is_not_tinted(tmp_path):
    path = tmp_path / "grey.png"
    Image.fromarray(data.camera()).save(path)
    found = degrade(worker(light_sampling={"colour_temperature_range": [2500, 2600]}), item_of(path))
    assert np.ptp(found["output_image_path"].image.astype(int), axis=-1).max() <= 1
    assert found["colour_temperature"] == 6504


WITHOUT = {"soft_shading": {"weight": 0}}


def soft(**options):
    return {"soft_shading": options}


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ({"degradation": WITHOUT | {"hard_shadow": {"weight": 1}}}, "degradation_type", "hard_shadow"),
        ({"degradation": WITHOUT | {"specular": {"weight": 1}}}, "has_specular", True),
        ({"degradation": WITHOUT | {"advanced_shading": {"weight": 1}}}, "degradation_type", "advanced_shading"),
        (
            {"degradation": {"pattern_weights": {"lattice": 1}, **soft(pattern_probability=1)}},
            "pattern_type",
            "lattice",
        ),
        ({"degradation": soft(pattern_probability=0)}, "has_pattern", False),
        ({"degradation": soft(softness_range=[0.21, 0.21])}, "softness", 0.21),
        ({"degradation": soft(ambient_range=[0.5, 0.5])}, "ambient", 0.5),
        ({"degradation": soft(specular_intensity_range=[0.3, 0.3])}, "specular_intensity", 0.3),
        ({"degradation": soft(shadow_opacity_range=[0.7, 0.7])}, "shadow_opacity", 0.7),
        ({"light_sampling": {"method": "hemisphere_uniform"}}, "has_pattern", True),
        ({"light_sampling": {"elevation_range": [90, 90]}}, "light_direction", [0.0, 0.0, 1.0]),
        ({"light_sampling": {"exposure_range": [-0.25, -0.25]}}, "exposure_ev", -0.25),
        ({"blend_with_original": [0.2, 0.2]}, "blend_ratio", 0.2),
    ],
)
def test_every_option_has_its_effect(photograph, options, field, expected):
    plain = degrade(worker(), item_of(photograph))
    found = degrade(worker(**options), item_of(photograph))
    assert found[field] == expected
    assert found["output_image_path"].image.tobytes() != plain["output_image_path"].image.tobytes()


@pytest.mark.parametrize(
    ("quality", "sentence"),
    [
        ({"most_psnr": 7, "least_psnr": 6}, "hardly differs: PSNR"),
        ({"least_psnr": 60, "most_psnr": 70}, "is destroyed: PSNR"),
    ],
)
def test_a_degraded_image_out_of_bounds_fails_its_item(photograph, quality, sentence):
    with pytest.raises(ValueError, match=sentence):
        degrade(worker(quality=quality), item_of(photograph))


def test_what_a_gate_rejects_comes_with_a_picture_of_it_beside_its_photograph(photograph):
    with pytest.raises(Rejected) as caught:
        degrade(worker(quality={"least_psnr": 60, "most_psnr": 70}), item_of(photograph))
    strip = picture_of(caught.value.files["thumbnail_path"])
    good = picture_of(degrade(worker(), item_of(photograph))["thumbnail_path"])
    assert np.array_equal(strip, good)  # the very same attempt

    with pytest.raises(Rejected, match=r"the mask takes 0\.0% of the image") as caught:
        degrade(worker(mask="user", mask_folder=str(empty_mask(photograph))), item_of(photograph))
    strip = picture_of(caught.value.files["thumbnail_path"])
    middle = strip.shape[1] // 2
    assert abs(strip[:, : middle - 8] - good[:, : middle - 8]).max() < 8
    assert strip[:, middle + 8 :].max() < 8  # the mask, which is black


def picture_of(file) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file.image))).astype(int)


def empty_mask(photograph):
    path = photograph.parent / "masks" / "indoor" / "a.png"
    path.parent.mkdir(parents=True)
    with Image.open(photograph) as image:
        Image.new("L", image.size).save(path)
    return path.parent.parent


def test_an_image_that_went_black_fails_its_item(photograph):
    with pytest.raises(ValueError, match="lost 100% of its pixels to black or white"):
        degrade(
            worker(light_sampling={"exposure_range": [-6, -6]}, quality={"least_psnr": 0}, blend_with_original=[0, 0]),
            item_of(linear_dark(photograph)),
        )


def linear_dark(photograph):
    path = photograph.with_name("dark.png")
    Image.fromarray(linear_to_srgb(np.full((60, 60, 3), 0.02))).save(path)
    return path


def test_an_unknown_split_fails_its_item(photograph):
    with pytest.raises(ValueError, match="the split is 'dev'; it should be one of train, val, test"):
        worker().load(item_of(photograph, split="dev"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"mask": "user"}, "mask_folder must say where the masks are"),
        ({"mask": "person", "mask_folder": "/"}, "mask_folder is used with mask: user only"),
        ({"mask": "user", "mask_folder": "/no/such"}, "mask_folder /no/such is not a folder"),
        ({"mask": "person", "grey": [1, 2, 3]}, "grey is used with background: grey only, and background is keep"),
        ({"mask": "none", "background": "grey"}, "there is nothing to put before it"),
    ],
)
def test_options_that_contradict_each_other_are_errors(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked(Degrade, options, "step 2 (degrade)").check("step 2 (degrade)")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"background": "gray"}, "background is 'gray'; input should be 'keep', 'grey' or 'whole'"),
        ({"blend_with_original": [0.3, 0.2]}, "runs backwards"),
        ({"blend_with_original": [0.3, 1.2]}, "less than or equal to 1"),
        ({"degradation": {"soft_shading": {"weight": 0}}}, "specular and advanced_shading are all 0"),
        ({"degradation": {"pattern_weights": {"fog": 1}}}, 'no pattern "fog"; the patterns are tree_foliage'),
        ({"degradation": {"soft_shadin": 1}}, "did you mean 'soft_shading'"),
        ({"degradation": {"specular": {"intensity_range": [0, 1]}}}, "did you mean 'specular_intensity_range'"),
        ({"degradation": soft(pattern_blur_range=[21, 51])}, "pattern_blur_range.0 is 21; input should be less than"),
        ({"light_sampling": {"elevation": [1, 2]}}, "did you mean 'elevation_range'"),
        ({"quality": {"least_psnr": 50}}, "least_psnr must be below most_psnr"),
        ({"keep": ["albedos"]}, "keep.0 is 'albedos'"),
        ({"max_size": 10}, "greater than or equal to 64"),
    ],
)
def test_wrong_options_are_errors_in_one_sentence(options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        checked(Degrade, options, "step 2 (degrade)")
