import numpy as np
import pytest
import torch

from shared.light.sights import NO_WINDOW, network_input
from tests import fit_panes as module
from tests.efficientnet import CHANNELS, EfficientNet, around
from tests.fit_panes import fit_panes, left_out, look_at


class Known:
    """In place of the network: the first feature is how red a place is, and what is red is a window."""

    def __call__(self, pixels):
        places = torch.nn.functional.avg_pool2d(pixels, 32)
        return torch.cat([places, torch.zeros(1, CHANNELS - 3, *places.shape[2:])], 1)

    def windows(self, pixels):
        return 10 * around(self(pixels))[0, 0] - 3


def photographs(count):
    rng = np.random.default_rng(0)
    return [np.kron(rng.integers(0, 256, (9, 9, 3)), np.ones((16, 16, 1))).astype(np.uint8) for _ in range(count)]


def test_what_is_no_room_has_no_window_whatever_the_network_says():
    rooms, other = (look_at(photographs(2), [True, may_be_room], Known()) for may_be_room in (True, False))
    assert float(rooms.odds[rooms.pictures == 1].max()) > 2
    assert float(other.odds[other.pictures == 1].max()) == module.LIKELY
    assert rooms.odds[rooms.pictures == 0].equal(other.odds[other.pictures == 0])


@pytest.fixture
def quickly(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 200)
    monkeypatch.setattr(module, "BATCH", 256)


def test_the_head_learns_what_the_whole_network_takes_a_place_for(quickly):
    places = look_at(photographs(6), [True] * 6, Known())
    head = fit_panes(places)
    pixels = torch.from_numpy(network_input(photographs(8)[-1]))
    with torch.no_grad():
        told = head(around(Known()(pixels)))[0, 0]
    assert told.shape == (9, 9)
    assert np.corrcoef(told.flatten(), Known().windows(pixels).flatten())[0, 1] > 0.95


def test_whole_photographs_are_looked_at_and_parts_of_them():
    places = look_at(photographs(2), [True] * 2, Known())
    counts = places.pictures.bincount().tolist()  # of whole photographs 81 each; parts have other shapes
    assert counts == pytest.approx([(1 + module.PARTS) * 81] * 2, rel=0.1)
    assert len(places.features) == len(places.odds) == len(places.pictures)


def test_nobody_is_judged_by_who_has_seen_the_same_package(quickly, monkeypatch):
    monkeypatch.setattr(
        module, "fit_panes", lambda places: seen.append(set(places.pictures.tolist())) or fit_panes(places)
    )
    seen: list[set[int]] = []
    pictures = photographs(6)
    places = look_at(pictures, [True] * 6, Known())
    packages = ["a", "b", "b", "c", "d", "d"]
    sure = left_out(places, packages, pictures, Known())
    assert sure.shape == (6,) and bool((sure >= NO_WINDOW).all())
    assert left_out(places, packages, pictures[:2], Known()).equal(sure[:2])
    for package in "abcd":
        own = {index for index, name in enumerate(packages) if name == package}
        assert any(not own & shown for shown in seen)


def test_windows_are_what_all_of_the_network_says_with_what_is_next_to_a_place(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    whole = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    network = EfficientNet(tmp_path / "weights.pth")
    pixels = torch.rand(1, 3, 96, 96)  # three places a side: the middle one is next to all
    with torch.no_grad():
        chances = whole(pixels)[0].softmax(0)
    odds = network.windows(pixels)
    assert odds.shape == (3, 3) and network(pixels).shape == (1, CHANNELS, 3, 3)
    assert float(odds[1, 1].sigmoid()) == pytest.approx(float(chances[[789, 799, 904, 905]].sum()), rel=1e-3)


def test_what_lies_outside_of_a_picture_does_not_count():
    assert around(torch.ones(1, 2, 2, 5)).allclose(torch.ones(1, 2, 2, 5))
