"""The step of the launcher's tests: it notes what it computes, and can be slow, crash or stand still on demand."""

import os
import signal
import time
from dataclasses import dataclass

import numpy as np
from pydantic import NonNegativeFloat

from shared.files.records import Records
from shared.images import ImageFile
from shared.start import run
from shared.worker import Loaded, Worker


@dataclass
class Toy(Worker):
    """Note what is computed."""

    seconds: NonNegativeFloat = 0.0
    deadly: str = ""  # the key at which the process dies
    broken: str = ""  # the key at which process() raises
    gate: str = ""  # a file without which a worker computes no more than `free` items; {gpu} in it is its own
    free: int = 0
    still: str = ""  # the key at which the worker stands still, once
    memory_for: int = 1000  # a larger batch runs out of GPU memory
    draws: bool = False

    def process(self, batch: list[Loaded]) -> list[dict]:
        if len(batch) > self.memory_for:
            raise OutOfMemoryError("CUDA out of memory")
        for item, _ in batch:
            self.note(item["key"])
            self.free -= 1
            while self.gate and self.free < 0 and not os.path.exists(self.gate.format(gpu=self.gpu)):
                time.sleep(0.01)
            time.sleep(self.seconds)
            if item["key"] == self.deadly:
                os.kill(os.getpid(), signal.SIGSEGV)
            if item["key"] == self.broken:
                raise ValueError("this one cannot be done")
            if item["key"] == self.still and not (self.folder / "stood").exists():
                (self.folder / "stood").touch()
                time.sleep(1000)
        return [self.found(item) for item, _ in batch]

    def note(self, key: str) -> None:
        """One line in `computed`: the gpu, the key, and whether it had a record already."""
        is_recorded = Records(self.folder).is_recorded(key)
        with open(self.folder / "computed", "ab", buffering=0) as file:
            file.write(f"{self.gpu} {is_recorded} {key}\n".encode())

    def found(self, item: dict) -> dict:
        value = {"value": item["key"].upper(), "gpu": self.gpu}
        if self.draws:
            value["output_image_path"] = ImageFile(f"drawn/{item['key']}.png", np.full((64, 64, 3), 200, np.uint8))
        return value


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


if __name__ == "__main__":
    run(Toy)
