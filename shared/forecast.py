"""What a step will need and leave, said without loading anything: for ./launcher.sh doctor."""

from dataclasses import KW_ONLY, dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Model:
    """A model that a step will load, or a server that it will ask."""

    name: str  # a Hub id, a folder or a file; of CLIP the architecture; of a server what it calls the model
    option: str  # the config's key that names it
    kind: Literal[
        "transformers", "language", "diffusers", "sam2", "clip", "onnx", "server"
    ]  # which files it consists of; of language: without images; onnx: one that OpenCV runs
    packages: tuple[str, ...]  # distributions that are imported for it
    tag: str = ""  # of CLIP: which weights of the architecture
    url: str = ""  # of a server
    key_variable: str = ""  # of a server: the environment variable with its key
    at_once: int = 1  # of a server: questions that a worker has in flight
    captions: int = 1  # of a server: so many of each item are asked for,
    turns: int = 1  # of a server: each by so many questions, one after another
    prices: tuple[float, float] = (0.0, 0.0)  # of a server: dollars for a million tokens of questions, of answers
    needs_gpu: bool = False  # it does not start without one
    is_halved: bool = False  # weights of 32 bit are loaded as 16 bit, on a GPU
    is_split: bool = False  # its weights are spread over the worker's GPUs; others go into the first
    may_offload: bool = False  # what does not fit into the GPU stays in the machine's memory
    placement: str = ""  # diffusers: which parts may leave the GPU, as shared/generation/placement.py has it
    quantized: float = 1.0  # diffusers: what is left of the bytes of large weights
    only_on_gpu: str = ""  # why it does not start without one, and the way out
    how_to_get_it: str = ""  # onnx: where there is no such file
    memory_share: float | None = None  # vllm: what it takes of a GPU's memory, however large its model is

    @property
    def is_for_gpu(self) -> bool:
        """Whether it is loaded here, and into a GPU where there is one."""
        return self.kind not in ("onnx", "server")


@dataclass(frozen=True)
class Forecast:
    """A step's needs."""

    models: list[Model] = field(default_factory=list)
    keeps: int | None = None  # at most so many items go on to the next step
    _: KW_ONLY
    repository: tuple[str, str] | None = None  # on the Hub, with its owner: rows are pushed to it
    images: int = 0  # image files of the photograph's size that an item leaves,
    longest_side: int | None = None  # but none larger than this, in pixels
