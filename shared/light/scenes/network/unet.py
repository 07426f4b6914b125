"""The networks of the optics: from a small photograph to its light, and to the shapes that the light falls on."""

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

FEATURES = 4  # of each pixel, as shared.light.network.features() has them


class LightNetConfig(NamedTuple):
    """What a network is made of and what it says."""

    channels: tuple[int, ...]  # at 1/2, 1/4, ... 1/32 of the photograph's size
    maps: int  # said of each pixel; the last two are its normal to the right and up
    told: int  # numbers said of the whole picture


# `light` tells the light's log brightness and chromaticity, where it comes from and how hard it is, and learns normals beside
# it; `shapes` tells normals alone, and knows them better.
LIGHT_NETS = {
    "light": LightNetConfig((16, 32, 48, 64, 64), maps=5, told=3),
    "shapes": LightNetConfig((16, 32, 64, 96, 128), maps=2, told=0),
}


class LightNet(nn.Module):
    """A U-Net (Ronneberger, Fischer and Brox, 2015) of residual blocks without normalisation.

    Input (n, 16, h, w): the features of 2 x 2 pixels each (pixel_unshuffle), h and w multiples of 16. Output: the maps of
    the same pixels (n, 4 * config.maps, h, w; pixel_shuffle), chromaticity along shared.light.network.AXES, and (n, 3)
    towards the light: right and up, as long as it is sure (the concentration of a von Mises distribution), and the log odds
    of hard light; or (n, 0).
    """

    def __init__(self, config: LightNetConfig) -> None:
        super().__init__()
        first = config.channels[0]
        self.stem = nn.Conv2d(4 * FEATURES, first, 3, padding=1)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        pairs = list(pairwise(config.channels))
        self.down = nn.ModuleList([ConvBlock(first, first), *(ConvBlock(fine, coarse) for fine, coarse in pairs)])
        self.up = nn.ModuleList([ConvBlock(fine + coarse, fine) for fine, coarse in pairs])
        self.maps = nn.Conv2d(first, 4 * config.maps, 3, padding=1)
        nn.init.normal_(self.maps.weight, 0, 0.01)
        nn.init.zeros_(self.maps.bias)
        said = sum(config.channels[1:])
        self.told = nn.Sequential(nn.Linear(said, 64), nn.ReLU(), nn.Linear(64, config.told)) if config.told else None

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = functional.relu(self.stem(pixels))
        kept = []
        for level, block in enumerate(self.down):
            features = block(functional.avg_pool2d(features, 2) if level else features)
            kept.append(features)
        means = []
        for block, fine in zip(reversed(self.up), reversed(kept[:-1]), strict=True):
            means.append(features.mean((2, 3)))
            features = block(torch.cat([fine, functional.interpolate(features, scale_factor=2.0, mode="nearest")], 1))
        told = features.new_zeros(len(features), 0) if self.told is None else self.told(torch.cat(means, 1))
        return self.maps(features), told


class ConvBlock(nn.Module):
    """Two convolutions beside a short cut, which starts as little more than the short cut."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.short_cut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.normal_(self.second.weight, 0, 0.3 * (2 / (9 * after)) ** 0.5)
        for layer in (self.first, self.second):
            nn.init.zeros_(layer.bias)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.second(functional.relu(self.first(features))) + self.short_cut(features))
