"""A small head on the features of shared/light/sights.onnx that tells windows place by place, as all of EfficientNet-Lite0 does."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from shared.light.sights import bright_pane, network_input
from tests.efficientnet import CHANNELS, EfficientNet, around

PARTS = 5  # of each photograph, beside the whole of it
SHARE = (0.4, 0.95)  # of its sides that a part takes
WIDTHS = (96, 48)
STEPS, BATCH, RATE, DECAY, DROPOUT = 1500, 2048, 2e-3, 0.05, 0.2
LIKELY, WEIGHT = -3.0, 5.0  # log odds from which a place counts so many times
FOLDS = 4
LEAST_ODDS, MOST_ODDS = -12.0, 8.0


class Places(NamedTuple):
    """Places of photographs and of parts of them, and what the whole network takes them for."""

    features: torch.Tensor  # n x CHANNELS
    odds: torch.Tensor  # n
    pictures: torch.Tensor  # n, the number of the photograph


def look_at(photographs: Sequence[np.ndarray], may_be_rooms: Sequence[bool], network: EfficientNet) -> Places:
    """Show whole photographs and seeded parts of them to the network; what is no room has no window, whatever it says."""
    features, odds, pictures = [], [], []
    for number, (photograph, may_be_room) in enumerate(zip(photographs, may_be_rooms, strict=True)):
        rng = np.random.default_rng(number)
        for view in [photograph, *(_part(photograph, rng) for _ in range(PARTS))]:
            pixels = torch.from_numpy(network_input(view))
            with torch.no_grad():
                features.append(around(network(pixels))[0].flatten(1).T)
            most = MOST_ODDS if may_be_room else LIKELY
            odds.append(network.windows(pixels).flatten().clamp(LEAST_ODDS, most))
            pictures.append(torch.full_like(odds[-1], number, dtype=torch.int64))
    return Places(torch.cat(features), torch.cat(odds), torch.cat(pictures))


def _part(photograph: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    high, wide = (round(rng.uniform(*SHARE) * side) for side in photograph.shape[:2])
    top, left = (int(rng.integers(side - kept + 1)) for side, kept in zip(photograph.shape, (high, wide), strict=False))
    part = photograph[top : top + high, left : left + wide]
    return np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)


def fit_panes(places: Places) -> torch.nn.Sequential:
    """The head: from features (1, CHANNELS, h, w), each the mean around() its place, to log odds (1, 1, h, w)."""
    torch.manual_seed(0)
    middle, spread = places.features.mean(0), places.features.std(0) + 1e-5
    layers: list[torch.nn.Module] = []
    for before, after in pairwise((CHANNELS, *WIDTHS)):
        layers += [torch.nn.Linear(before, after), torch.nn.ReLU(), torch.nn.Dropout(DROPOUT)]
    head = torch.nn.Sequential(*layers, torch.nn.Linear(WIDTHS[-1], 1))
    optimizer = torch.optim.AdamW(head.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        chosen = torch.randint(len(places.odds), (BATCH,))
        true = places.odds[chosen]
        told = head((places.features[chosen] - middle) / spread).flatten()
        error = F.smooth_l1_loss(told, true, reduction="none")
        optimizer.zero_grad()
        torch.where(true > LIKELY, WEIGHT * error, error).mean().backward()
        optimizer.step()
        schedule.step()
    return _of_maps(head, middle, spread)


def _of_maps(head: torch.nn.Sequential, middle: torch.Tensor, spread: torch.Tensor) -> torch.nn.Sequential:
    """The head as convolutions of one place each, of features as they are."""
    layers: list[torch.nn.Module] = []
    with torch.no_grad():
        head[0].weight /= spread
        head[0].bias -= head[0].weight @ middle
        for layer in head:
            if isinstance(layer, torch.nn.Linear):
                of_place = torch.nn.Conv2d(layer.in_features, layer.out_features, 1)
                of_place.weight.copy_(layer.weight[..., None, None])
                of_place.bias.copy_(layer.bias)
                layer = of_place
            layers.append(layer)
    return torch.nn.Sequential(*layers).eval()


def left_out(
    places: Places, packages: list[str], photographs: Sequence[np.ndarray], network: EfficientNet
) -> torch.Tensor:
    """bright_pane() of the first photographs (n) of the places, by heads that have not seen pictures of the same package."""
    fold = torch.from_numpy(folds(packages, FOLDS, 0))
    total = torch.zeros(len(photographs))
    for number in range(FOLDS):
        known = fold[places.pictures] != number
        head = fit_panes(Places(*(part[known] for part in places)))
        for index in (fold[: len(photographs)] == number).nonzero().flatten().tolist():
            pixels = network_input(photographs[index])
            with torch.no_grad():
                panes = head(around(network(torch.from_numpy(pixels))))[0, 0]
            total[index] = bright_pane(panes.numpy(), pixels)
    return total


def folds(packages: list[str], count: int, seed: int) -> np.ndarray:
    """A number below `count` for each picture, the same for all of a package."""
    _, package = np.unique(packages, return_inverse=True)
    return np.random.default_rng(seed).integers(count, size=package.max() + 1)[package]
