"""Which device a model runs on: the worker's GPU, and the CPU only where there is none."""

import logging
import os
from collections.abc import Collection
from typing import TYPE_CHECKING

from shared.errors import RunError

if TYPE_CHECKING:
    import torch

log = logging.getLogger("worker")


def find_device(what: str) -> "torch.device":
    """The worker's GPU; on a machine without one the CPU, which is said in the log.

    `what` names the model in messages. Raises RunError where there is a GPU that torch cannot use, or where the one that
    the worker was given is not there: hours on the CPU are no answer to a driver that is too old, or to a wrong number.
    """
    import torch

    from shared.machine import gpu_use

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.version.cuda and gpu_is_meant() and (gpus := gpu_use()):
        if absent := absent_gpus(gpus):
            there = ", ".join(map(str, sorted(gpus)))
            raise RunError(
                f"there is no GPU {', '.join(absent)} for {what}; set GPU_COUNT to {len(gpus)} or less, or GPUS to some of "
                f"those that are there: {there}"
            )
        raise RunError(
            f"there are {len(gpus)} NVIDIA GPUs and torch {torch.__version__} cannot use them; it needs a driver for "
            f"CUDA {torch.version.cuda}, or set CUDA_VISIBLE_DEVICES=-1 to run {what} on the CPU"
        )
    log.info("no GPU: %s runs on the CPU, many times slower", what)
    return torch.device("cpu")


def absent_gpus(gpus: Collection[int]) -> list[str]:
    """Those that CUDA_VISIBLE_DEVICES gives this worker by number and that the machine does not have."""
    names = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    return [name.strip() for name in names if name.strip().isdigit() and int(name) not in gpus]


def gpu_is_meant() -> bool:
    """False where a person hides the GPUs: CUDA_VISIBLE_DEVICES is empty or -1."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "all") not in ("", "-1")
