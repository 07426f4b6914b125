import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from shared.light.sights import INPUT_SIDE, network_input
from tests import fit_sights
from tests.efficientnet import CHANNELS, EfficientNet
from tests.fit_sights import (
    AS_IT_IS,
    ODDS,
    PATTERNS,
    SOME_VIEWS,
    VIEWS,
    Examples,
    Told,
    fit,
    left_out,
    patterns,
    report,
    shapes,
)


class Brightness(torch.nn.Module):
    """In place of a network: one feature of each pixel."""

    def forward(self, pixels):
        return pixels.mean(1, keepdim=True)


def photographs(folder, count=3):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        Image.fromarray(rng.integers(100, 156, (90, 120, 3), np.uint8)).save(folder / f"{number}.png")
        rows.append({"package": f"package {number}", "path": f"{number}.png", "people": "no"})
    return rows


def test_the_view_as_the_project_looks_is_among_both():
    assert VIEWS[AS_IT_IS] == SOME_VIEWS[AS_IT_IS] == (INPUT_SIDE, False)


def test_what_tells_kinds_apart_is_learned_from_features_of_any_scale():
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(300, 5, generator=draw) * torch.tensor([0.01, 1, 50, 1, 1]) + torch.tensor(
        [3, 0, -200, 0, 0]
    )
    truths = torch.stack([features[:, 0] > 3, features[:, 2] < -200], dim=1)
    with torch.no_grad():
        odds = fit(features, truths)(features)
    assert ((odds > 0) == truths).float().mean() > 0.9


def test_nobody_is_judged_by_who_has_seen_the_same_package(monkeypatch):
    """What holds of one package alone does not make its own pictures sure."""
    monkeypatch.setattr(fit_sights, "GROUPINGS", 1)
    packages = [str(number // 4) for number in range(48)]
    features = torch.nn.functional.one_hot(torch.arange(48) // 4).float()[:, None].repeat(1, len(SOME_VIEWS), 1)
    truths = torch.tensor([[int(package) % 2 == 0] for package in packages])
    sure = left_out(Examples(["day"], features, truths, packages, packages))
    assert sure.shape == (48, 1)
    assert sure[truths].mean() < 0.3  # 0.9 to who has seen them


def test_patterns_are_cast_on_every_photograph_which_is_shown_as_it_is_too(tmp_path):
    examples = patterns(photographs(tmp_path), [tmp_path], Brightness())
    a_photograph = 1 + 2 * len(PATTERNS)
    assert examples.names == ["dappled", "striped", "window"] and examples.features.shape == (
        3 * a_photograph,
        len(SOME_VIEWS),
        2,
    )
    assert examples.truths[:a_photograph].tolist() == [
        [False] * 3,
        *[[True, False, False]] * 2,
        *[[False, True, False]] * 2,
        *[[False, False, True]] * 2,
    ]
    assert examples.packages[:a_photograph] == ["package 0"] * a_photograph
    spread = examples.features[:, AS_IT_IS, 1].reshape(3, a_photograph)
    assert (spread[:, 1:] > 1.5 * spread[:, :1]).all()  # shade beside light


def test_where_nothing_looks_like_people_there_is_no_shape_to_learn_from(tmp_path):
    rows = photographs(tmp_path)
    astronaut = pytest.importorskip("skimage").data.astronaut()
    Image.fromarray(astronaut).save(tmp_path / "astronaut.png")
    rows.append({"package": "people", "path": "astronaut.png", "people": "yes"})
    examples = shapes(rows, [tmp_path], Brightness())
    assert (examples.packages, examples.truths.tolist()) == (["people"], [[True]])


def test_the_report_names_the_bound_and_what_comes_next(capsys):
    sure, truth = torch.tensor([3.0, 2.5, 1.0, 0.5, -1.0]), torch.tensor([True, True, False, True, False])
    report("day", sure, truth, ["a/1.jpg", "a/2.jpg", "a/dog.jpg", "a/4.jpg", "a/5.jpg"])
    said = capsys.readouterr().out
    assert "day: 2 told of 3, from 2.50 on" in said and "1.00 dog.jpg, -1.00 5.jpg" in said


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_with_its_odds_is_written_to_a_file_that_opencv_runs(tmp_path):
    timm = pytest.importorskip("timm")
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), tmp_path / "weights.pth")
    panes = torch.nn.Conv2d(CHANNELS, 1, 1)
    torch.nn.init.normal_(panes.weight, std=0.01)
    network = Told(EfficientNet(tmp_path / "weights.pth"), torch.nn.Linear(2 * CHANNELS, len(ODDS)), panes)
    photograph = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)
    pixels = network_input(photograph)
    assert pixels.shape[2] * pixels.shape[3] == pytest.approx(INPUT_SIDE**2, rel=0.2)
    with torch.no_grad():
        expected = [part.numpy() for part in network(torch.from_numpy(pixels))]

    fit_sights.write(network, tmp_path / "sights.onnx")
    opencv = cv2.dnn.readNetFromONNX(str(tmp_path / "sights.onnx"))
    opencv.setInput(pixels, "pixels")
    for found, true in zip(opencv.forward(["odds", "panes"]), expected, strict=True):
        np.testing.assert_allclose(found, true, atol=0.1)  # eight bits a weight
