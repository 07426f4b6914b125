"""Numbers that depend on a name alone: random ones of the run's seed and the item, and hashes; on no order, worker or machine."""

import hashlib

import numpy as np


def item_rng(seed: int, key: str, purpose: str) -> np.random.Generator:
    """The generator of one item for one purpose; the same three arguments always give the same numbers."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode("utf-8", "surrogatepass")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def name_hash(name: str) -> int:
    """64 bits of BLAKE2b, few enough to hold for every item; ten million have two alike once in 370,000."""
    return int.from_bytes(name_digest(name), "little")


def name_digest(name: str) -> bytes:
    """The 8 bytes of name_hash, the lowest first."""
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
