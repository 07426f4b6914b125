import subprocess
import sys
import threading

import numpy as np
import pytest

from shared.light.scenes.network.paints import PAINTS
from shared.light.scenes.network.worlds import draw, silhouette
from tests.conftest import ROOT


def test_a_world_has_the_parts_of_a_picture():
    kinds = {"flat": 0, "hard": 0, "directed": 0}
    for seed in range(40):
        world = draw(np.random.default_rng(seed), 64)
        assert world.reflectance.shape == world.shading.shape == (64, 64, 3)
        assert world.reflectance.min() >= 0.029 and world.reflectance.max() <= 0.951
        assert world.shading.min() > 0 and np.isfinite(world.shading).all()
        assert not (world.is_flat and world.azimuth_degrees is not None)
        kinds["flat"] += world.is_flat
        kinds["hard"] += world.is_hard is True
        kinds["directed"] += world.azimuth_degrees is not None
    assert min(kinds.values()) >= 2


def test_the_same_seed_draws_the_same_world():
    one, other = (draw(np.random.default_rng(7), 48) for _ in range(2))
    assert one.reflectance.tobytes() == other.reflectance.tobytes()
    assert one.shading.tobytes() == other.shading.tobytes()


@pytest.mark.slow
def test_things_are_brighter_towards_their_light():
    """Over many worlds: what faces the light is brighter, so the shading correlates with the position on each thing."""
    agreements = []
    for seed in range(60):
        world = draw(np.random.default_rng(1000 + seed), 64)
        if world.azimuth_degrees is None:
            continue
        log = np.log(world.shading).mean(axis=-1)
        down, across = np.gradient(log)
        angle = np.radians(world.azimuth_degrees)
        agreements.append(np.sign((across * np.cos(angle) - down * np.sin(angle)).sum()))
    assert len(agreements) >= 18
    assert np.mean(agreements) > 0.3


@pytest.mark.parametrize("paint", PAINTS, ids=lambda paint: paint.__name__)
def test_each_paint_covers_the_picture_and_is_not_one_colour(paint):
    covered = paint(np.random.default_rng(3), 64)
    assert covered.shape == (64, 64, 3)
    assert np.isfinite(covered).all() and covered.min() > 0
    assert covered.std() > 0.005


def test_silhouettes_are_things_of_many_sizes():
    areas = [float(silhouette(np.random.default_rng(seed), 96).mean()) for seed in range(30)]
    assert min(areas) < 0.05 < 0.1 < max(areas)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["light", "shapes"])
def test_a_network_that_learned_is_exported_to_a_file_that_opencv_runs(name, tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    pytest.importorskip("onnx")
    pool, weights, onnx = tmp_path / "pool", tmp_path / "light.pt", tmp_path / "light.onnx"
    run("render", "--pool", pool, "--worlds", 10)
    assert np.load(pool / "reflectance.npy", mmap_mode="r").shape == (10, 3, 192, 192)
    run("train", name, "--pool", pool, "--minutes", 0.1, "--out", weights)
    run("export", name, "--weights", weights, "--out", onnx)

    from shared.light import network
    from shared.light.scenes.network.fit import features_of
    from shared.light.scenes.network.unet import LIGHT_NETS, LightNet
    from shared.light.scenes.scenes import render

    monkeypatch.setitem(network.NETWORK_FILES, name, onnx)
    monkeypatch.setattr(network, "_of_thread", threading.local())  # where the network that was loaded stays
    photograph = render("subject", 5, 128).image

    learned = LightNet(LIGHT_NETS[name])
    learned.load_state_dict(torch.load(weights))
    pictures = torch.from_numpy(np.stack([photograph, photograph[:, ::-1]])).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        maps, told = learned(features_of(pictures))
    maps = torch.nn.functional.pixel_shuffle(maps, 2).numpy()
    if name == "shapes":
        rightwards = (maps[0, 0] - maps[1, 0, :, ::-1]) / 2
        np.testing.assert_allclose(network.look_at_shapes(photograph)[..., 0], rightwards, atol=0.02)
        assert np.ptp(rightwards) > 0  # some was learned
        return
    found = network.look(photograph)
    expected = (maps[0, 0] + maps[1, 0, :, ::-1]) / 2
    np.testing.assert_allclose(found.log_shading, expected - expected.mean(), atol=5e-3)
    np.testing.assert_allclose(found.towards_light, (told[0] + told[1] * torch.tensor([-1, 1, 1]))[:2] / 2, atol=5e-3)
    assert np.ptp(expected) > 0


def run(*arguments):
    command = [sys.executable, "-W", "ignore", "-m", "shared.light.scenes.network.fit", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
