"""A triplet as training takes it: both images under one geometry, the words, and the random numbers that belong to it."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from shared.errors import ImageError
from shared.images import image_of, open_image
from shared.relighter.training.geometry import Geometry
from shared.relighter.training.mirror import mirror_words
from shared.relighter.training.order import Draw, Order
from shared.triplets.roles import Columns

log = logging.getLogger("worker")

CENTRE = np.full(2, 0.5)  # offset of the crop in the middle
MOST_TRIES = 100  # neighbours that are tried in place of a triplet whose image cannot be read


class Examples(Sequence):
    """The examples by position in the training; see Order.

    An example is a dict of arrays: `source` and `target` (3, h, w) uint8, `noise` and `posterior_noise` (`noise_shape`)
    float32, `moment` in [0, 1) that becomes the time step, `drops_text`, `drops_image`, and the `text`.
    A triplet that cannot be read costs a line in the log and gives its place to the next one, every time the same.
    """

    def __init__(
        self, rows: Sequence[dict], order: Order, columns: Columns, geometry: Geometry, noise_shape: tuple[int, ...]
    ):
        self.rows, self.order, self.columns, self.geometry = rows, order, columns, geometry
        self.noise_shape = noise_shape

    def __len__(self) -> int:
        return 2**62  # training never runs out of positions; it stops by itself

    def __getitem__(self, position: int) -> dict[str, Any]:  # type: ignore[override]
        draw = self.order[position]
        offset = draw.random.random(2) if not self.geometry.center_crop else CENTRE
        flips = bool(draw.random.random() < 0.5) and self.geometry.random_flip
        index, source, target = self._readable(draw, offset, flips)
        text = str(self.rows[index][self.columns.instruction] or "")
        return {
            "index": index,
            "is_flipped": flips,
            "source": source,
            "target": target,
            "text": mirror_words(text) if flips else text,
            "moment": draw.random.random(),
            "noise": draw.random.standard_normal(self.noise_shape, dtype=np.float32),
            "posterior_noise": draw.random.standard_normal(self.noise_shape, dtype=np.float32),
            "drops_text": draw.drops_text,
            "drops_image": draw.drops_image,
        }

    def _readable(self, draw: Draw, offset: np.ndarray, flips: bool) -> tuple[int, np.ndarray, np.ndarray]:
        for step in range(min(MOST_TRIES, len(self.rows))):
            index = (draw.triplet + step) % len(self.rows)
            try:
                return index, *self.images(index, offset, flips)
            except ImageError as error:
                log.warning("%s is left out of training: %s", self.rows[index]["key"], error)
        raise ImageError(f"none of {MOST_TRIES} triplets one after another can be read; mend the dataset, see the log")

    def images(self, index: int, offset: np.ndarray, flips: bool) -> tuple[np.ndarray, np.ndarray]:
        """The degraded image and the photograph (3, h, w) uint8, cut and mirrored alike. Raises ImageError."""
        row, side = self.rows[index], self.geometry.resolution
        target = open_image(image_of(row, self.columns.output_image), shorter_side=side)
        source = open_image(image_of(row, self.columns.input_image), shorter_side=side)
        if source.size != target.size:
            if not same_shape(source.size, target.size):
                raise ImageError(
                    f"the images of {row['key']} have other shapes: {source.width} x {source.height} and "
                    f"{target.width} x {target.height}"
                )
            source = source.resize(target.size, Image.Resampling.LANCZOS)
        return cut_square(source, side, offset, flips), cut_square(target, side, offset, flips)


def same_shape(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Equal aspect, but for the rounding of sides to pixels."""
    return abs(one[0] * other[1] - other[0] * one[1]) <= max(*one, *other)


def cut_square(image: Image.Image, side: int, offset: np.ndarray, flips: bool) -> np.ndarray:
    """The square of `side` pixels at `offset` (0 to 1 in both directions), the shorter side scaled to it."""
    scale = side / min(image.size)
    width, height = (max(side, round(length * scale)) for length in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    left, top = round(float(offset[0]) * (width - side)), round(float(offset[1]) * (height - side))
    pixels = np.asarray(image.crop((left, top, left + side, top + side)))
    return np.ascontiguousarray((pixels[:, ::-1] if flips else pixels).transpose(2, 0, 1))


def positions(first: int, size: int, stride: int, share: int) -> Iterator[list[int]]:
    """The positions of one process's batches: `size` neighbours out of every `stride`, from `first + share` on."""
    start = first + share
    while True:
        yield list(range(start, start + size))
        start += stride
