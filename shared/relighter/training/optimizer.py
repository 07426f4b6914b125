"""What changes the weights."""

from typing import Any

import torch

from shared.errors import RunError
from shared.relighter.training.options import TrainOptions


def make_optimizer(options: TrainOptions, weights: list) -> torch.optim.Optimizer:
    settings: dict[str, Any] = {
        "lr": options.learning_rate,
        "betas": (options.adam_beta1, options.adam_beta2),
        "weight_decay": options.adam_weight_decay,
        "eps": options.adam_epsilon,
    }
    if not options.use_8bit_adam:
        return torch.optim.AdamW(weights, **settings)
    try:
        import bitsandbytes
    except ImportError:
        raise RunError("use_8bit_adam needs the package bitsandbytes: uv pip install bitsandbytes") from None
    return bitsandbytes.optim.AdamW8bit(weights, **settings)
