"""Latents and text embeddings on disk, so that the encoders run once and not in every epoch."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shared.errors import DiskError, ImageError
from shared.files.small_files import read_json, write_json
from shared.relighter.families.family import Family
from shared.relighter.training.examples import CENTRE, Examples
from shared.relighter.training.mirror import mirror_words

ABSENT, WHOLE, UNREADABLE = 0, 1, 2


class LatentCache:
    """The latents of every triplet, and its mirror image where `random_flip` wants it, in files that are mapped into memory.

    `source.bin` and `target.bin`: (count, variants, 2c, h, w) float32, mean and log-variance; `states.bin` and so on: the
    embedding of each text that occurs, in the family's own dtype; `done.bin`: a byte for each triplet and variant. A triplet
    counts as done after its latents were flushed, so a killed training goes on with what is missing.
    """

    def __init__(self, folder: Path, examples: Examples, family: Family):
        self.folder, self.original, self.family = folder, examples, family
        self.variants = 2 if examples.geometry.random_flip else 1
        channels, height, width = examples.noise_shape
        self.count = len(examples.rows)
        self.shape = (self.count, self.variants, 2 * channels, height, width)
        self.folder.mkdir(parents=True, exist_ok=True)

    def forget_other_rows(self, digest: str) -> None:
        """Clear what was kept of a table that has changed since; for one process, before any of them fills."""
        if read_json(self.folder / "rows.json").get("digest") != digest:
            shutil.rmtree(self.folder)
            write_json(self.folder / "rows.json", {"digest": digest})

    def fill(self, rank: int, world_size: int, size: int) -> None:
        """Encode this process's share of what is missing; every process calls it. Raises DiskError."""
        texts = self._texts()
        try:
            self._check_room()
            maps = {
                name: mapped(self.folder / f"{name}.bin", self.shape, torch.float32) for name in ("source", "target")
            }
            done = mapped(self.folder / "done.bin", self.shape[:2], torch.uint8)
            for places in self._missing(done, rank, world_size, size):
                self._encode(places, maps, done)
            if rank == 0:
                self._encode_texts(texts, size)
        except OSError as error:
            raise DiskError(
                f"the latents cannot be kept under {self.folder}: {error.strerror}; free some space"
            ) from error

    def examples(self) -> "CachedExamples":
        """To be called when every process has filled its share."""
        return CachedExamples(self)

    def _missing(self, done: torch.Tensor, rank: int, world_size: int, size: int) -> Iterator[list[tuple[int, int]]]:
        first, last = rank * self.count // world_size, (rank + 1) * self.count // world_size
        places = [(index, variant) for index in range(first, last) for variant in range(self.variants)]
        places = [place for place in places if done[place] == ABSENT]
        for start in range(0, len(places), size):
            yield places[start : start + size]

    def _encode(self, places: list[tuple[int, int]], maps: dict[str, torch.Tensor], done: torch.Tensor) -> None:
        readable, sources, targets = [], [], []
        for index, variant in places:
            try:
                source, target = self.original.images(index, CENTRE, bool(variant))
            except ImageError:
                done[index, variant] = UNREADABLE
                continue
            readable.append((index, variant))
            sources.append(source)
            targets.append(target)
        if not readable:
            return
        for name, images in (("source", sources), ("target", targets)):
            pixels = torch.from_numpy(np.stack(images)).to(self.family.device)
            for place, latents in zip(
                readable, self.family.encode_images(pixels.float() / 127.5 - 1).cpu(), strict=True
            ):
                maps[name][place] = latents.float()
        for place in readable:
            done[place] = WHOLE

    def _texts(self) -> list[str]:
        """All texts that training will see, each once, in the order of their first appearance."""
        texts: dict[str, None] = {}
        for row in self.original.rows:
            text = str(row[self.original.columns.instruction] or "")
            texts[text] = None
            if self.variants == 2:
                texts[mirror_words(text)] = None
        return list(texts)

    def _encode_texts(self, texts: list[str], size: int) -> None:
        if self._text_index() == texts:
            return
        (self.folder / "texts.json").unlink(missing_ok=True)
        shapes = {}
        maps: dict[str, torch.Tensor] = {}
        for start in range(0, len(texts), size):
            found = self.family.encode_texts(texts[start : start + size])
            for name, states in found.items():
                if name not in maps:
                    shapes[name] = list(states.shape[1:])
                    path = self.folder / f"{name}.bin"
                    path.unlink(missing_ok=True)
                    maps[name] = mapped(path, (len(texts), *states.shape[1:]), states.dtype)
                maps[name][start : start + len(states)] = states.cpu()
        dtypes = {name: str(states.dtype).removeprefix("torch.") for name, states in maps.items()}
        write_json(self.folder / "texts.json", {"texts": texts, "shapes": shapes, "dtypes": dtypes})

    def _text_index(self) -> list[str] | None:
        try:
            return json.loads((self.folder / "texts.json").read_bytes())["texts"]
        except (OSError, ValueError, KeyError):
            return None

    def _check_room(self) -> None:
        """A mapped file of a full disk ends the process by a signal, so the room is taken before."""
        needed = 2 * 4 * int(np.prod(self.shape))
        there = sum(path.stat().st_blocks * 512 for path in self.folder.iterdir())
        free = shutil.disk_usage(self.folder).free
        if needed - there > free:
            raise DiskError(
                f"cache_latents takes {needed / 2**30:.1f} GiB and {free / 2**30:.1f} GiB are free under {self.folder}; free "
                "some, or set cache_latents: false"
            )


class CachedExamples(Examples):
    """Examples whose `source`, `target` and `states` come from the cache; nothing is decoded."""

    def __init__(self, cache: LatentCache):
        original = cache.original
        super().__init__(original.rows, original.order, original.columns, original.geometry, original.noise_shape)
        self.maps = {
            name: mapped(cache.folder / f"{name}.bin", cache.shape, torch.float32) for name in ("source", "target")
        }
        self.done = mapped(cache.folder / "done.bin", cache.shape[:2], torch.uint8)
        index = json.loads((cache.folder / "texts.json").read_bytes())
        self.places = {text: place for place, text in enumerate(index["texts"])}
        self.states = {
            name: mapped(
                cache.folder / f"{name}.bin", (len(self.places), *shape), getattr(torch, index["dtypes"][name])
            )
            for name, shape in index["shapes"].items()
        }

    def __getitem__(self, position: int) -> dict[str, Any]:  # type: ignore[override]
        example = super().__getitem__(position)
        place = self.places[example["text"]]
        return example | {"states": {name: states[place].clone() for name, states in self.states.items()}}

    def images(self, index: int, offset: np.ndarray, flips: bool) -> tuple[np.ndarray, np.ndarray]:
        place = (index, int(flips))
        if self.done[place] != WHOLE:
            raise ImageError("an image of it cannot be read")
        return self.maps["source"][place].numpy(), self.maps["target"][place].numpy()


def mapped(path: Path, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """A tensor that lies in the file, which is made, with its room on the disk, where it is not there. Raises OSError."""
    count = int(np.prod(shape))
    size = count * dtype.itemsize
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        if os.fstat(descriptor).st_size != size:
            os.ftruncate(descriptor, 0)
            os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
    return torch.from_file(str(path), shared=True, size=count, dtype=dtype).view(shape)
