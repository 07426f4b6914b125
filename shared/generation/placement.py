"""Where the parts of a pipeline are while it works, by the memory that a GPU has."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

Offload = Literal["auto", "none", "text", "model", "sequential"]

GIBIBYTE = 1 << 30
WORKING = 3 * GIBIBYTE  # what a batch of one image of a megapixel computes with, beside the weights
RESERVE = 0.05  # of the memory, which others and CUDA itself take


class Placement(NamedTuple):
    """`text_stays`: the text encoders stay on the GPU; else they come for a block of prompts and leave. `others`: all the
    other parts are there together, one at a time (model), or piece by piece (sequential)."""

    text_stays: bool
    others: Literal["gpu", "model", "sequential"]

    @property
    def words(self) -> str:
        if self.text_stays:
            return "all of it stays on the GPU"
        return {
            "gpu": "the text encoders leave the GPU once the prompts are encoded",
            "model": "each part is on the GPU while it works, and else in the machine's memory",
            "sequential": "even one part does not fit, so its layers come and go, which is many times slower",
        }[self.others]


CHOICES = {  # the quickest first
    "none": Placement(True, "gpu"), "text": Placement(False, "gpu"), "model": Placement(False, "model"),
    "sequential": Placement(False, "sequential"),
}  # fmt: skip


SLOWEST = CHOICES["sequential"]


def is_text(part: str) -> bool:
    return part.startswith("text_encoder")


def choose_placement(sizes: Mapping[str, int], memory: int, offload: Offload = "auto") -> Placement:
    """`sizes`: bytes of each part as it is loaded; `memory`: of the GPU, in bytes. The quickest way that fits."""
    if offload != "auto":
        return CHOICES[offload]
    room = memory * (1 - RESERVE)
    return next(choice for choice in CHOICES.values() if choice == SLOWEST or needed_bytes(sizes, choice) <= room)


def needed_bytes(sizes: Mapping[str, int], placement: Placement) -> float:
    """Of a GPU, with what is computed beside the weights."""
    text = sum(size for part, size in sizes.items() if is_text(part))
    others = [size for part, size in sizes.items() if not is_text(part)]
    if placement.others == "sequential":
        return WORKING
    at_once = sum(others) if placement.others == "gpu" else max(others, default=0)
    return WORKING + (text + at_once if placement.text_stays else max(text, at_once))
