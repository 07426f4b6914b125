"""The rendered pictures that the network learns from, and the photographs that are made of them."""

import math
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.lib.format import open_memmap

from shared.light.network import GRID_SIZE
from shared.light.scenes.network import paints
from shared.light.scenes.network.traced import draw_traced
from shared.light.scenes.network.worlds import World, draw
from shared.light.scenes.scenes import SCENE_FAMILIES, Scene

FAMILIES_LEARNED = ("mondrian_gradient", "textured_relief", "two_colours", "subject", "cast_relief")
FIRST_SEED = 880_000_000  # far from those that benchmarks and tests use
IN_WORLDS = 5  # one picture in so many is a scene of a family
TRACED = (1, 2)  # of so many, these have depth
BATCH = 16
OWN_PAINT = 0.65  # share of the pictures under whose light their own paint is put


def render_pool(pool: Path, count: int, photographs: Path | None) -> None:
    """Render `count` pictures into reflectance.npy, shading.npy, normals.npy (float16) and facts.npy in the folder `pool`.

    Parts of the pictures in the folder `photographs` are among their paints.
    """
    pool.mkdir(parents=True, exist_ok=True)
    arrays = [
        open_memmap(pool / f"{name}.npy", "w+", np.float16, (count, planes, GRID_SIZE, GRID_SIZE))
        for name, planes in (("reflectance", 3), ("shading", 3), ("normals", 2))
    ]
    facts = open_memmap(pool / "facts.npy", "w+", np.float32, (count, 3))
    with ProcessPoolExecutor(initializer=_use, initargs=(photographs,)) as workers:
        for index, rendered in enumerate(workers.map(_rendered, range(count), chunksize=8)):
            *layers, facts[index] = rendered
            for array, layer in zip(arrays, layers, strict=True):
                array[index] = layer


def _use(photographs: Path | None) -> None:
    paints.FOLDER = photographs


def _rendered(index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[float, float, bool]]:
    """Reflectance, shading and normals to the right and up (GRID_SIZE a side), and azimuth, hardness and evenness.

    The azimuth is nan and the hardness -1 where there is none.
    """
    import cv2

    cv2.setNumThreads(1)
    rng = np.random.default_rng(FIRST_SEED + index)
    size = int(rng.choice([192, 256, 384]))
    seen: World | Scene
    family = FAMILIES_LEARNED[index // IN_WORLDS % len(FAMILIES_LEARNED)]
    if index % IN_WORLDS == 0:
        seen = SCENE_FAMILIES[family](rng, size)
    else:
        seen = draw_traced(rng, GRID_SIZE) if index % IN_WORLDS in TRACED else draw(rng, size)
    layers = [
        cv2.resize(layer, (GRID_SIZE, GRID_SIZE), interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
        for layer in (seen.reflectance, seen.shading, seen.normals[..., :2])
    ]
    azimuth = math.nan if seen.azimuth_degrees is None else seen.azimuth_degrees
    hardness = -1.0 if seen.is_hard is None else float(seen.is_hard)
    return *layers, (azimuth, hardness, getattr(seen, "is_flat", False))


class Pool(NamedTuple):
    """What render_pool() wrote, read as it is needed."""

    reflectance: np.ndarray  # n x 3 x GRID_SIZE x GRID_SIZE
    shading: np.ndarray
    normals: (
        np.ndarray
    )  # n x 2 x GRID_SIZE x GRID_SIZE: to the right and up, of unit length with what is towards the camera
    facts: np.ndarray  # n x 3: azimuth in degrees or nan, 1 for hard and 0 for soft light or -1, 1 for even light

    @classmethod
    def open(cls, folder: Path) -> "Pool":
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in cls._fields))

    def turned(self, rng: np.random.Generator, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, float]:
        """Paint, shading, normals and azimuth of a picture, turned, mirrored, maybe in other paint; GRID_SIZE a side."""
        other = index if rng.random() < OWN_PAINT else int(rng.integers(len(self.facts)))
        paint, light, normals = (
            torch.from_numpy(array[at].astype(np.float32))
            for array, at in zip(self, (other, index, index), strict=False)
        )
        azimuth = float(self.facts[index, 0])
        if other != index:
            paint = torch.rot90(paint, int(rng.integers(4)), (-2, -1))
        if rng.random() < 0.5:
            paint, light, azimuth = paint.flip(-1), light.flip(-1), 180 - azimuth
            normals = normals.flip(-1) * torch.tensor([-1.0, 1.0]).view(2, 1, 1)
        turn = int(rng.integers(4))
        paint, light, normals = (torch.rot90(layer, turn, (-2, -1)) for layer in (paint, light, normals))
        for _ in range(turn):  # a quarter counter-clockwise: right becomes up, up becomes left
            normals = torch.stack([-normals[1], normals[0]])
        if rng.random() < 0.3:
            paint = paint[rng.permutation(3).tolist()]
        if rng.random() < 0.12:
            paint = paint.mean(0, keepdim=True).expand(3, -1, -1)
        return paint, light, normals, azimuth + 90 * turn


class WorldBatch(NamedTuple):
    """n photographs and what is true of them."""

    picture: torch.Tensor  # n x 3 x h x w, stored values 0..1
    reflectance: torch.Tensor
    light: torch.Tensor
    normals: torch.Tensor  # n x 2 x h x w, to the right and up
    azimuth: torch.Tensor  # n, degrees, nan where there is none
    hardness: torch.Tensor  # n, 1, 0 or -1 where none is known
    is_flat: torch.Tensor  # n, bool


class WorldBatches(torch.utils.data.IterableDataset):
    """Photographs of a pool without end: turned, mirrored, in other paint, exposed and stored as bytes."""

    def __init__(self, folder: Path, seed: int, small_until: float):
        self.folder, self.seed, self.small_until = folder, seed, small_until

    def __iter__(self) -> Iterator[WorldBatch]:
        torch.set_num_threads(1)
        torch.manual_seed(self.seed)
        rng, pool = np.random.default_rng(self.seed), Pool.open(self.folder)
        while True:
            is_small = time.time() < self.small_until
            chosen = rng.integers(len(pool.facts), size=BATCH * (2 if is_small else 1))
            *layers, azimuths = zip(*(pool.turned(rng, int(index)) for index in chosen), strict=True)
            reflectance, light, normals = (torch.stack(layer) for layer in layers)
            if is_small:
                reflectance, light, normals = (F.avg_pool2d(layer, 2) for layer in (reflectance, light, normals))
            # A film or a camera bends contrast, of the paint and of the light alike.
            bend = torch.exp(0.5 * torch.rand(len(chosen), 1, 1, 1) - 0.25)
            gamma = torch.where(torch.rand(len(chosen), 1, 1, 1) < 0.4, bend, 1.0)
            reflectance, light = reflectance**gamma, light**gamma
            tint = torch.exp(0.12 * torch.randn(len(chosen), 3, 1, 1))
            facts = torch.from_numpy(pool.facts[chosen])
            light = light * tint  # of the camera's white balance: it is the light's to whoever looks at the picture
            picture = _photograph(reflectance * light)
            azimuth = torch.tensor(azimuths)
            yield WorldBatch(picture, reflectance, light, normals, azimuth, facts[:, 1], facts[:, 2] > 0)


def _photograph(light: torch.Tensor) -> torch.Tensor:
    """What a camera stores of linear light (n, 3, h, w), 0..1: exposed, a little blurred and noisy, in steps of a byte."""
    count = len(light)
    top = torch.quantile(light[:, :, ::3, ::3].amax(1).flatten(1), 0.995, dim=1).view(-1, 1, 1, 1)
    stops = torch.where(torch.rand(count, 1, 1, 1) < 0.35, 3.2 * torch.rand(count, 1, 1, 1) - 2, 0.0)
    picture = light / top * torch.exp2(stops)
    if torch.rand(()) < 0.2:
        blurred = F.avg_pool2d(picture, 3, 1, 1, count_include_pad=False)
        picture = picture + torch.rand(count, 1, 1, 1) * (blurred - picture)
    picture = (picture + 0.008 * torch.rand(count, 1, 1, 1) * torch.randn_like(picture)).clamp(0, 1)
    stored = torch.where(picture <= 0.0031308, picture * 12.92, 1.055 * picture.clamp(min=1e-8) ** (1 / 2.4) - 0.055)
    return torch.round(stored * 255) / 255
