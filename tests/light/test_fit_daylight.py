import cv2
import numpy as np
import pytest
import torch

from shared.light.daylight import INPUT_SIDE, network_input
from tests import fit_daylight
from tests.fit_daylight import VIEWS, Backbone, Told, fit, surest


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
    """What holds of one package alone does not make its own photographs sure."""
    monkeypatch.setattr(fit_daylight, "GROUPINGS", 1)
    packages = [str(number // 4) for number in range(48)]
    features = torch.nn.functional.one_hot(torch.arange(48) // 4).float()[:, None].repeat(1, len(VIEWS), 1)
    truths = torch.tensor([[int(package) % 2 == 0, False, False] for package in packages])
    sure = surest(features, truths, packages)
    assert sure.shape == (48,)
    assert sure[truths[:, 0]].mean() < 0.3  # 0.9 to who has seen them


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_backbone_with_its_odds_is_written_to_a_file_that_opencv_runs(tmp_path):
    timm = pytest.importorskip("timm")
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict(), tmp_path / "weights.pth")
    network = Told(Backbone(tmp_path / "weights.pth"), torch.nn.Linear(384, 3))
    photograph = np.random.default_rng(0).integers(0, 256, (90, 140, 3), np.uint8)
    pixels = network_input(photograph)
    assert pixels.shape[2] * pixels.shape[3] == pytest.approx(INPUT_SIDE**2, rel=0.2)
    with torch.no_grad():
        expected = network(torch.from_numpy(pixels))[0].numpy()

    fit_daylight.write(network, tmp_path / "daylight.onnx")
    opencv = cv2.dnn.readNetFromONNX(str(tmp_path / "daylight.onnx"))
    opencv.setInput(pixels, "pixels")
    np.testing.assert_allclose(opencv.forward().ravel(), expected, atol=0.05)
