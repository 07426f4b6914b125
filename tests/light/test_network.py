from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.network import GRID_SIZE, features, look, look_at_shapes, shrink_to_grid
from shared.light.scenes.scenes import render


def seen(family, seed, size=GRID_SIZE):
    return look(render(family, seed, size).image)


@pytest.mark.parametrize("shape", [(192, 192), (128, 192), (94, 130), (2, 2), (60, 2)])
def test_a_mirrored_photograph_gets_just_the_mirrored_answer(shape):
    photograph = np.random.default_rng(0).integers(0, 256, (*shape, 3)).astype(np.uint8)
    straight, mirrored = look(photograph), look(np.ascontiguousarray(photograph[:, ::-1]))
    np.testing.assert_allclose(mirrored.log_shading, straight.log_shading[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(mirrored.towards_light, straight.towards_light * (-1, 1), atol=1e-6)
    assert mirrored.hardness == pytest.approx(straight.hardness, abs=1e-6)
    assert straight.log_shading.shape == shape
    assert abs(straight.log_shading.mean()) < 1e-5
    shapes, other = look_at_shapes(photograph), look_at_shapes(np.ascontiguousarray(photograph[:, ::-1]))
    np.testing.assert_allclose(other, shapes[:, ::-1] * (-1, 1, 1), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(shapes, axis=-1), 1, atol=1e-5)


def test_the_shading_of_a_scene_is_found():
    shares = []
    for seed in range(8):
        scene = render("subject", seed, GRID_SIZE)
        true = np.log(scene.shading).mean(axis=-1)
        true -= true.mean()
        shares.append(((look(scene.image).log_shading - true) ** 2).mean() / (true**2).mean())
    assert np.median(shares) < 0.4


@pytest.mark.parametrize(("family", "degrees"), [("subject", 25), ("textured_relief", 30), ("solids", 45)])
def test_the_normals_of_a_scene_are_found(family, degrees):
    """Of what does not face the camera, which a plane would get wrong by about 40 degrees."""
    errors = []
    for seed in range(6):
        scene = render(family, seed, GRID_SIZE)
        angle = np.degrees(np.arccos(np.clip((look_at_shapes(scene.image) * scene.normals).sum(axis=-1), -1, 1)))
        errors.append(np.median(angle[scene.normals[..., 2] < 0.98]))
    assert np.median(errors) < degrees


def test_what_is_seen_does_not_depend_on_the_exposure():
    photograph = render("textured_relief", 3, GRID_SIZE).image
    darker = linear_to_srgb(srgb_to_linear(photograph) / 2)
    np.testing.assert_allclose(features(darker)[..., :3], features(photograph)[..., :3], atol=0.2)
    one, other = look(photograph), look(darker)
    assert np.abs(one.log_shading - other.log_shading).mean() < 0.05


def test_many_threads_get_the_answers_of_one():
    photographs = [render("two_colours", seed, 96).image for seed in range(6)] * 4
    alone = [look(photograph) for photograph in photographs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(look, photographs))
    for one, other in zip(alone, together, strict=True):
        assert one.log_shading.tobytes() == other.log_shading.tobytes()
        assert one.towards_light.tobytes() == other.towards_light.tobytes()


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((384, 384), (192, 192)),
        ((301, 400), (144, 192)),
        ((4000, 30), (192, 2)),
        ((97, 55), (96, 56)),
        ((1, 1), (2, 2)),
    ],
)
def test_the_grid_has_even_sides_and_the_photographs_proportions(shape, expected):
    assert shrink_to_grid(np.zeros((*shape, 3), np.uint8)).shape[:2] == expected


def test_hard_light_is_told_from_soft_light():
    sides: tuple[list[float], list[float]] = ([], [])
    for seed in range(16):
        scene = render("gobo", seed, GRID_SIZE)
        sides[scene.is_hard].append(look(scene.image).hardness)
    soft, hard = (np.array(side) for side in sides)
    assert (hard[:, np.newaxis] > soft).mean() > 0.85
