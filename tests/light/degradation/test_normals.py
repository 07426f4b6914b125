"""Normals by models: tiny random ones, in the forms in which the Hub has Marigold's and Depth Anything's."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import torch
from PIL import Image

from shared.errors import RunError
from shared.light.degradation.normals import DepthNormals, MarigoldNormals, facing, normals_of_nearness
from shared.light.scenes.scenes import render
from shared.run.config import checked, renamed
from tests.tiny_vision import TinyModels
from tests.workers.degrading_neurally import ANY_DIFFERENCE, degrade, worker
from workers.degrade import Degrade

CPU = torch.device("cpu")
PHOTOGRAPH = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return TinyModels(tmp_path_factory.mktemp("models"))


def shaped(model, photograph=PHOTOGRAPH, seed=0):
    [found] = model.find([model.prepare(photograph)], [np.random.default_rng(seed)])
    return found


def test_marigold_and_a_depth_model_tell_normals_of_unit_length(models):
    for model in (MarigoldNormals(models.marigold_normals, CPU), DepthNormals(models.depth, CPU)):
        found = shaped(model)
        assert found.small.shape == found.normals.shape and found.small.dtype == np.uint8
        np.testing.assert_allclose(np.linalg.norm(found.normals, axis=-1), 1, rtol=1e-4)
        assert found.normals[..., 2].min() > 0
        assert (shaped(model).normals == found.normals).all()


def test_a_batch_has_the_normals_of_each_alone(models):
    other = PHOTOGRAPH[:, :40]
    for model in (MarigoldNormals(models.marigold_normals, CPU), DepthNormals(models.depth, CPU)):
        together = model.find(
            [model.prepare(one) for one in (PHOTOGRAPH, other)], [np.random.default_rng(n) for n in (0, 1)]
        )
        np.testing.assert_allclose(together[0].normals, shaped(model).normals, atol=1e-4)
        np.testing.assert_allclose(together[1].normals, shaped(model, other, 1).normals, atol=1e-4)


def test_what_is_nearer_to_the_right_faces_left():
    nearness = np.linspace(0, 1, 50)[np.newaxis].repeat(30, 0)
    normals = normals_of_nearness(nearness, 60, 100)
    assert normals.shape == (60, 100, 3) and normals[30, 50, 0] < -0.1 and abs(normals[30, 50, 1]) < 1e-3
    with pytest.raises(ValueError, match="no numbers"):
        normals_of_nearness(np.full((4, 4), np.nan), 4, 4)
    assert normals_of_nearness(np.ones((4, 4)), 8, 8)[4, 4].tolist() == [0, 0, 1]


def test_a_normal_that_turns_away_is_brought_back():
    assert facing(np.array([[[0.0, 0.0, -1.0]]]))[0, 0].tolist() == [0, 0, 1]
    assert facing(np.array([[[3.0, 0.0, 4.0]]]))[0, 0] == pytest.approx([0.6, 0, 0.8])


@pytest.mark.parametrize("kind", ["marigold", "depth"])
def test_the_step_lets_the_new_light_fall_on_what_the_model_tells(models, tmp_path, kind):
    Image.fromarray(render("subject", 3, 120).image).save(tmp_path / "a.png")
    model = {"marigold": models.marigold_normals, "depth": models.depth}[kind]
    options = {"mask": "none", "quality": ANY_DIFFERENCE}
    [by_model] = degrade(worker(normals=kind, normals_model=model, **options), tmp_path, "a.png")
    [by_network] = degrade(worker(**options), tmp_path, "a.png")
    assert (by_model["normals"], by_network["normals"]) == (kind, "network")
    assert (by_model["output_image_path"].image != by_network["output_image_path"].image).mean() > 0.3


def test_the_original_s_name_of_the_option_is_known_and_a_model_without_use_is_an_error(models):
    assert renamed({"normal_estimation": "depth"}, Degrade, "step 2") == {"normals": "depth"}
    made = checked(Degrade, {"normals": "depth"}, "step 2")
    made.fill_in("step 2")
    assert made.normals_model == "depth-anything/Depth-Anything-V2-Small-hf"
    assert {model.option for model in made.forecast().models} >= {"normals_model"}
    with pytest.raises(RunError, match=r"normals_model nowhere/at-all"):
        DepthNormals("nowhere/at-all", CPU)
