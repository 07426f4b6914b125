"""In which order training sees the triplets, and all that is drawn at random for each: functions of the seed and the position."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from shared.seeding import item_rng


class Draw(NamedTuple):
    """What is decided for one position of the training."""

    triplet: int  # its place among the rows
    epoch: int
    drops_text: bool
    drops_image: bool
    random: np.random.Generator  # for crop, flip, noise and time step, in this order


class Order:
    """Position (0, 1, 2 ... over all epochs) -> triplet; nothing depends on the number of GPUs or on where training resumed.

    Each epoch is a permutation of its own. Conditioning dropout follows Brooks et al. (2023, section 3.2.1) with the
    probability p of `dropout` for each of: text alone, image alone, both. The shares are exact in each epoch: the triplets
    are put in a second random order, and the first p of them lose the text, the next p both, the next p the image.
    """

    def __init__(self, count: int, seed: int, dropout: float):
        if count < 1:
            raise ValueError("there is no triplet to train on")
        self.count, self.seed, self.dropout = count, seed, dropout
        self._permutation = lru_cache(maxsize=4)(self._permute)

    def __getitem__(self, position: int) -> Draw:
        epoch, place = divmod(position, self.count)
        share = (int(self._permutation(epoch, "dropout")[place]) + 0.5) / self.count
        return Draw(
            triplet=int(self._permutation(epoch, "order")[place]),
            epoch=epoch,
            drops_text=share < 2 * self.dropout,
            drops_image=self.dropout <= share < 3 * self.dropout,
            random=item_rng(self.seed, str(position), "train"),
        )

    def _permute(self, epoch: int, purpose: str) -> np.ndarray:
        return item_rng(self.seed, str(epoch), f"train {purpose}").permutation(self.count)
