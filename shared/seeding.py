"""Random numbers that depend on the run's seed and the item only, never on order, worker or machine."""

import hashlib

import numpy as np


def item_rng(seed: int, key: str, purpose: str) -> np.random.Generator:
    """The generator of one item for one purpose; the same three arguments always give the same numbers."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))
