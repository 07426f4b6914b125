"""Shannon's entropy, of how varied a choice is, and of how many tones a picture has."""

import numpy as np


def entropy_of_counts(counts: np.ndarray) -> float:
    """In bits; counts: (n,) of each kind, those of 0 included."""
    shares = counts[counts > 0] / max(1, counts.sum())
    return float(-(shares * np.log2(shares)).sum())
