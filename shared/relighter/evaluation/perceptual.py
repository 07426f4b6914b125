"""How far two images are apart for the eye, as networks see them: LPIPS (Zhang et al., 2018)."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import RunError
from shared.models.loading import explain

if TYPE_CHECKING:
    import torch


class Perceptual:
    """`network`: alex, squeeze or vgg; its weights are torchvision's, those of LPIPS are in the package. Raises RunError."""

    def __init__(self, network: str, device: "torch.device"):
        self.device = device
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of how lpips asks torchvision for the weights
                import lpips

                self.network = lpips.LPIPS(net=network, verbose=False).eval().requires_grad_(False).to(device)
        except ImportError:
            raise RunError("lpips needs the package lpips: uv pip install lpips; or leave the option out") from None
        except Exception as error:
            place = "TORCH_HOME/hub/checkpoints (~/.cache/torch/hub/checkpoints)"
            raise RunError(
                f"lpips: {network} needs torchvision's weights of that network in {place}; they are fetched where there is a "
                f"network ({explain(error, network)})"
            ) from error

    def distance(self, one: np.ndarray, other: np.ndarray) -> float:
        """0 for equal images; both HxWx3 uint8 of one shape, at least 64 pixels on each side."""
        import torch

        with torch.inference_mode():
            return float(self.network(self._tensor(one), self._tensor(other)))

    def _tensor(self, pixels: np.ndarray) -> "torch.Tensor":
        import torch

        return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].to(self.device).float() / 127.5 - 1
