import numpy as np
import pytest

from shared.light.scenes.network.traced import NO_SURFACE, Thing, TracedStage, _let_through, _trace, draw_traced

UPRIGHT, FROM = np.eye(3, dtype=np.float32), np.array([0, 0, 5], np.float32)
FACES = np.concatenate([np.column_stack([side * np.eye(3), np.ones(3)]) for side in (1, -1)]).astype(np.float32)
BALL = (np.ones(3), np.zeros(3), 1.0)


def thing(size=(1, 1, 1), planes=FACES, quadric=None, centre=(0, 0, 0)):
    return Thing(np.array(centre, np.float32), UPRIGHT, np.array(size, np.float32), planes, quadric)


def towards(*targets):
    rays = np.array(targets, np.float32) - FROM
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("seen", "target", "distance", "normal"),
    [
        (thing(), (0, 0, 0), 4, (0, 0, 1)),
        (thing((2, 1, 0.5)), (0, 0, 0), 4.5, (0, 0, 1)),
        (thing(planes=np.zeros((0, 4), np.float32), quadric=BALL), (0, 0, 0), 4, (0, 0, 1)),
        (thing((1, 1, 3), np.zeros((0, 4), np.float32), BALL), (0, 0, 0), 2, (0, 0, 1)),
        (thing(), (1.5, 0, 0), np.inf, (0, 0, 0)),
        (thing(planes=np.zeros((0, 4), np.float32), quadric=BALL), (0, 1.2, 0), np.inf, (0, 0, 0)),
    ],
    ids=["box", "flat box", "ball", "long ball", "beside the box", "above the ball"],
)
def test_rays_meet_a_thing_where_geometry_says(seen, target, distance, normal):
    met, surface, normals = _trace([seen], FROM, towards(target))
    assert met[0] == pytest.approx(distance, abs=1e-4)
    assert surface[0] == (NO_SURFACE if np.isinf(distance) else 0)
    np.testing.assert_allclose(normals[0], normal, atol=1e-4)


def test_the_nearer_thing_hides_the_other():
    _, surface, _ = _trace(
        [thing(), thing(centre=(0, 0, 2), size=(0.2, 0.2, 0.2))], FROM, towards((0, 0, 0), (0.9, 0, 1))
    )
    assert surface.tolist() == [1, 0]


def test_light_does_not_pass_through_things_and_reaches_past_them():
    points, up = np.array([[0, -3, 0], [4, -3, 0]], np.float32), np.array([[0, 1, 0]] * 2, np.float32)
    rays = np.broadcast_to(np.array([0, 1, 0], np.float32), (1, 2, 3))
    assert _let_through([thing()], points, rays, up, np.inf).tolist() == [0, 1]
    assert _let_through([thing()], points, rays, up, 1.5).tolist() == [1, 1]  # further away than is looked
    assert _let_through([thing()], points, rays, -up, np.inf).tolist() == [1, 1]  # from behind: Lambert's cosine is 0


@pytest.mark.parametrize("seed", range(6))
def test_worlds_are_what_their_light_makes_of_them(seed):
    one, other = (draw_traced(np.random.default_rng(seed), 64) for _ in range(2))
    assert one.shading.tobytes() == other.shading.tobytes()
    for layer in (one.reflectance, one.shading, one.normals):
        assert layer.shape == (64, 64, 3) and layer.dtype == np.float32 and np.isfinite(layer).all()
    assert one.reflectance.min() > 0 and one.shading.min() > 0
    lengths = np.linalg.norm(one.normals, axis=-1)
    assert ((np.abs(lengths - 1) < 1e-3) | (lengths == 0)).all()
    assert (one.normals[..., 2][lengths > 0] > -0.35).mean() > 0.99  # what a camera sees faces it, but for perspective


def test_things_throw_shadows_on_the_ground():
    stages = [TracedStage(np.random.default_rng(seed), 64) for seed in range(8)]
    in_shadow = [(stage.lit < 0.1).mean() for stage in stages]
    assert max(in_shadow) > 0.03
    assert all((stage.lit > 0.9).mean() > 0.3 for stage in stages)
