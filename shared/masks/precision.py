"""In which precision the SAM models compute."""

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def half_precision(device: "torch.device") -> AbstractContextManager:
    """Inside this, a float32 model computes in bfloat16 on a GPU, as its authors run it; on a CPU nothing changes."""
    import torch

    return torch.autocast("cuda", torch.bfloat16) if device.type == "cuda" else nullcontext()
