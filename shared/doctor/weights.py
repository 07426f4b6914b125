"""A model's files in a folder: whether all are there and whole, and how large the weights are."""

import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TOKENIZERS = ("tokenizer*", "vocab*", "*.model", "*.tiktoken", "tekken*")
STEMS = (
    "model",
    "diffusion_pytorch_model",
    "open_clip_model",
    "pytorch_model",
    "open_clip_pytorch_model",
    "consolidated",
)
WEIGHT_SUFFIXES = (".safetensors", ".bin")


class StoredWeights(NamedTuple):
    """What was found. `halved` is what is left of `stored` when values of 32 bit become 16 bit; both in bytes."""

    stored: int = 0
    halved: int = 0
    problems: tuple[str, ...] = ()  # `model-00002-of-00002.safetensors is missing`
    is_here: bool = True  # and not to be downloaded
    parts: tuple[tuple[str, "StoredWeights"], ...] = ()  # of a pipeline, by their names

    def __add__(self, other: "StoredWeights") -> "StoredWeights":  # type: ignore[override]
        return StoredWeights(
            self.stored + other.stored,
            self.halved + other.halved,
            self.problems + other.problems,
            True,
            self.parts + other.parts,
        )


def weights_in(folder: Path, kind: str, is_halved: bool) -> StoredWeights:
    """The weights of a folder in the Hub's format."""
    if kind == "diffusers":
        return weights_of_pipeline(folder, is_halved)
    config = "open_clip_config.json" if kind == "clip" else "config.json"
    without = [] if (folder / config).is_file() else [f"{config} is missing"]
    if kind in ("transformers", "language"):
        if not any(path.exists() for pattern in TOKENIZERS for path in folder.glob(pattern)):
            without.append("its tokenizer is missing")
        if kind == "transformers" and not any(path.exists() for path in folder.glob("*processor_config.json")):
            without.append("preprocessor_config.json is missing")
    return StoredWeights(problems=tuple(without)) + weights_of_component(folder, False)


def weights_of_pipeline(folder: Path, prefers_half: bool) -> StoredWeights:
    """All parts that model_index.json names."""
    index = folder / "model_index.json"
    if not index.is_file():
        return StoredWeights(problems=("model_index.json is missing",))
    weights = StoredWeights()
    for name, kind in read_object(index).items():
        if not (isinstance(kind, list) and len(kind) == 2 and kind[1]):
            continue  # a setting, or a part that this pipeline does without
        part = folder / name
        has_weights = part.is_dir() and any(path.suffix in WEIGHT_SUFFIXES for path in part.iterdir())
        if not part.is_dir() or not any(part.glob("*.json")):
            weights += StoredWeights(problems=(f"{name}/ is missing",))
        elif has_weights or (part / "config.json").is_file():  # else a tokenizer, a scheduler, a processor
            one = weights_of_component(part, prefers_half)
            without = () if (part / "config.json").is_file() else ("config.json is missing",)
            weights += one._replace(
                parts=((name, one),), problems=tuple(f"{name}/{problem}" for problem in (*without, *one.problems))
            )
    return weights


def weights_of_component(folder: Path, prefers_half: bool) -> StoredWeights:
    """The one set of weights that is loaded, of those that may lie beside each other."""
    for variant in ("fp16", "") if prefers_half else ("",):
        dotted = f".{variant}" if variant else ""
        for suffix in WEIGHT_SUFFIXES:
            for stem in STEMS:
                index = folder / f"{stem}{suffix}.index{dotted}.json"
                if index.is_file():
                    names = sorted(set(read_object(index).get("weight_map", {}).values()))
                    return sum((weights_of_file(folder / name) for name in names), StoredWeights())
                whole = folder / f"{stem}{dotted}{suffix}"
                if os.path.lexists(whole):
                    return weights_of_file(whole)
                if any(folder.glob(f"{stem}-*-of-*{suffix}")):
                    return StoredWeights(problems=(f"{index.name} is missing",))
    return StoredWeights(problems=("its weights are missing",))


def weights_of_file(path: Path) -> StoredWeights:
    if not path.is_file():
        return StoredWeights(problems=(f"{path.name} is missing",))
    size = path.stat().st_size
    with open(path, "rb") as file:
        start = file.read(40)
        if start.startswith(b"version https://git-lfs"):
            return StoredWeights(problems=(f"{path.name} is a pointer of Git LFS and not the file",))
        if path.suffix != ".safetensors":
            return StoredWeights(size, size) if size else StoredWeights(problems=(f"{path.name} is empty",))
        try:
            (length,) = struct.unpack("<Q", start[:8])
            if length > size:
                raise ValueError(length)
            file.seek(8)
            header = json.loads(file.read(length))
            tensors = [(tensor["dtype"], *tensor["data_offsets"]) for tensor in tensors_of(header)]
        except (ValueError, KeyError, TypeError, struct.error):
            return StoredWeights(problems=(f"{path.name} is damaged",))
    expected = 8 + length + max((stop for _, _, stop in tensors), default=0)
    if size < expected:
        return StoredWeights(problems=(f"{path.name} is cut off after {size} of {expected} bytes",))
    stored = sum(stop - start for _, start, stop in tensors)
    halved = sum((stop - start) // (2 if dtype == "F32" else 1) for dtype, start, stop in tensors)
    return StoredWeights(stored, halved)


def tensors_of(header: dict) -> Iterator[dict]:
    """A safetensors file's header names each tensor's type and place."""
    return (tensor for name, tensor in header.items() if name != "__metadata__")


def read_object(path: Path) -> dict:
    """Raises ValueError for what is no JSON object."""
    value = json.loads(path.read_bytes())
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds no JSON object")
    return value
