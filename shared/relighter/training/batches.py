"""Batches of examples, read ahead by processes of their own so that the GPU does not wait for them."""

import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from shared.machine import end_with_parent
from shared.relighter.training.examples import Examples, positions

ARRAYS = ("source", "target", "noise", "posterior_noise", "moment", "drops_text", "drops_image", "index", "is_flipped")


class Batches:
    """An endless iterator; `waited` are the seconds that the training stood still for it."""

    def __init__(self, examples: Examples, first: int, size: int, stride: int, share: int, processes: int, pins: bool):
        """Positions `first + share ...`, `size` of every `stride`; see shared.relighter.training.examples.positions."""
        self.waited = 0.0
        self._loader = DataLoader(
            examples, batch_sampler=positions(first, size, stride, share), collate_fn=collate, num_workers=processes,
            pin_memory=pins, prefetch_factor=4 if processes else None, worker_init_fn=leave_signals if processes else None,
        )  # fmt: skip
        self._batches: Iterator[dict[str, Any]] | None = iter(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        assert self._batches is not None
        started = time.perf_counter()
        batch = next(self._batches)
        self.waited += time.perf_counter() - started
        return batch

    def close(self) -> None:
        """End the processes. Left to the garbage collector each of them takes seconds."""
        self._batches = None


def collate(examples: Sequence[dict]) -> dict[str, Any]:
    """Stack the arrays; the texts stay a list."""
    batch: dict[str, Any] = {name: torch.from_numpy(np.stack([one[name] for one in examples])) for name in ARRAYS}
    return batch | {"text": [one["text"] for one in examples]}


def leave_signals(_: int) -> None:
    """A stop is for the process that trains, whoever is sent the signal; its readers end with it."""
    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    torch.set_num_threads(1)
