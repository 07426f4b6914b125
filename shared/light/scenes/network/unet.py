"""The network of the optics: from a small photograph to its shading, the direction of its light and its hardness."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

CHANNELS = (16, 32, 48, 64, 64)  # at 1/2, 1/4, ... 1/32 of the photograph's size
FEATURES = 4  # of each pixel, as shared.light.network.features() has them
MAPS = 5  # said of each pixel: log brightness and chromaticity of its light, and its normal to the right and up
TOLD = 3  # numbers said of the whole picture


class LightNet(nn.Module):
    """A U-Net (Ronneberger, Fischer and Brox, 2015) of residual blocks without normalisation.

    Input (n, 16, h, w): the features of 2 x 2 pixels each (pixel_unshuffle), h and w multiples of 16. Output: the maps of
    the same pixels (n, 4 * MAPS, h, w; pixel_shuffle), chromaticity along shared.light.network.AXES, and (n, 3) towards
    the light: right and up, as long as it is sure (the concentration of a von Mises distribution), and the log odds of
    hard light.
    """

    def __init__(self) -> None:
        super().__init__()
        first = CHANNELS[0]
        self.stem = nn.Conv2d(4 * FEATURES, first, 3, padding=1)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        pairs = list(pairwise(CHANNELS))
        self.down = nn.ModuleList([ConvBlock(first, first), *(ConvBlock(fine, coarse) for fine, coarse in pairs)])
        self.up = nn.ModuleList([ConvBlock(fine + coarse, fine) for fine, coarse in pairs])
        self.maps = nn.Conv2d(first, 4 * MAPS, 3, padding=1)
        nn.init.normal_(self.maps.weight, 0, 0.01)
        nn.init.zeros_(self.maps.bias)
        self.told = nn.Sequential(nn.Linear(sum(CHANNELS[1:]), 64), nn.ReLU(), nn.Linear(64, TOLD))

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
        return self.maps(features), self.told(torch.cat(means, 1))


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
