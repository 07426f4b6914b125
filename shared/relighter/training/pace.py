"""Loss, speed and waiting of a training, for those who follow it."""

import json
import logging
import time
from pathlib import Path
from typing import Any, Protocol

import torch

from shared.errors import RunError
from shared.files.small_files import write_text
from shared.loop.progress import clock
from shared.relighter.training.batches import Batches
from shared.relighter.training.checkpoints import Checkpoints
from shared.worker import Member

log = logging.getLogger("worker")

LOSSES = "loss.jsonl"
STEPS_BETWEEN_LINES = 10  # of loss.jsonl, for which the GPU is waited for


class Training(Protocol):
    """What a Pace reads of the trainer."""

    accelerator: Any
    schedule: Any
    checkpoints: Checkpoints
    folder: Path
    step: int

    @property
    def together(self) -> Member: ...

    @property
    def group(self) -> int:
        """Examples of one step."""


class Pace:
    """Loss, speed and waiting: a line in loss.jsonl every few steps, the progress file, and the log for `tail -f`."""

    def __init__(self, trainer: Training, batches: Batches, total: int):
        self.trainer, self.batches, self.total = trainer, batches, total
        self.sums = torch.zeros(2, device=trainer.accelerator.device)  # of the finite losses, and their number
        self.steps = 0  # since the last line
        self.since, self.waited, self.rate = time.monotonic(), 0.0, 0.0
        self.started, self.last_line = time.monotonic(), -1e9
        self.path = trainer.folder / LOSSES
        self.is_first = trainer.accelerator.is_main_process
        if self.is_first:
            keep_until(self.path, trainer.step)
            self._show("running")

    def count(self, loss: torch.Tensor) -> None:
        is_finite = torch.isfinite(loss)  # in float16 one may overflow; the scaler then leaves that step out
        self.sums += torch.stack([torch.where(is_finite, loss, 0.0), is_finite.to(loss.dtype)])
        self.steps += 1
        if self.trainer.step % STEPS_BETWEEN_LINES == 0 or self.trainer.step == self.total:
            self._note()

    def no_number(self) -> RunError:
        """What was learnt since the last checkpoint is lost, and nothing of it may be saved."""
        return RunError(
            f"the loss is not a number at step {self.trainer.step}; lower learning_rate, or set mixed_precision: bf16, and "
            f"run again: it goes on from {self.trainer.checkpoints.latest() or 'the beginning'}"
        )

    def _note(self) -> None:
        accelerator, step = self.trainer.accelerator, self.trainer.step
        total, finite = accelerator.reduce(self.sums, "mean").tolist()
        if not finite:
            raise self.no_number()
        loss = total / finite
        now = time.monotonic()
        seconds = max(now - self.since, 1e-6)
        self.rate = self.steps / seconds
        values = {
            "loss": loss,
            "learning_rate": self.trainer.schedule.get_last_lr()[0],
            "images_per_second": round(self.rate * self.trainer.group, 3),
            "waiting": round((self.batches.waited - self.waited) / seconds, 4),
        }
        self.sums.zero_()
        self.steps, self.since, self.waited = 0, now, self.batches.waited
        if not self.is_first:
            return
        with open(self.path, "a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        accelerator.log(values, step=step)
        self._show("running")
        if now - self.last_line > (1 if now - self.started < 60 else 10) or step == self.total:
            self.last_line = now
            log.info(
                "step %d/%d, loss %.4f, %.1f images/s, waiting for data %.1f %%, %s left", step, self.total, loss,
                values["images_per_second"], 100 * values["waiting"], clock((self.total - step) / self.rate),
            )  # fmt: skip

    def close(self, state: str) -> None:
        if self.is_first:
            self._show(state)

    def _show(self, state: str) -> None:
        self.trainer.together.show(self.trainer.step, self.total, self.rate, state)


def keep_until(path: Path, step: int) -> None:
    """Drop the lines of steps that are taken again, and one that a kill cut off."""
    if path.exists():
        lines = [
            line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["step"] <= step
        ]
        write_text(path, "".join(line + "\n" for line in lines))
