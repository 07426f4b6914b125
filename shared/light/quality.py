"""The gate of a triplet: the degraded image must differ from its photograph and must not be destroyed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from shared.light.fidelity import psnr

Decibel = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(ge=0, le=1)]
BLACK, WHITE = 3, 252  # stored values at which nothing can be told any more


@dataclass
class Quality:
    """Bounds that a degraded image must keep, over the subject where there is a mask."""

    least_psnr: Decibel = 6.0  # against the photograph, dB; below it the picture is destroyed
    most_psnr: Decibel = 38.0  # above it next to nothing has changed
    most_lost: Share = 0.25  # of the pixels, newly black or white
    least_mask: Share = 0.005  # a mask that takes less of the image is a mistake
    most_mask: Share = 0.98  # and so is one that takes more, unless there is no mask

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __post_init__(self) -> None:
        for low, high in (("least_psnr", "most_psnr"), ("least_mask", "most_mask")):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} must be below {high}")

    def check_mask(self, mask: np.ndarray) -> None:
        """Raise ValueError when a mask (HxW uint8) takes too little or too much of the image."""
        share = float(mask.mean() / 255)
        if not self.least_mask <= share <= self.most_mask:
            raise ValueError(
                f"the mask takes {share:.1%} of the image; it should be {self.least_mask:.1%} to {self.most_mask:.1%}"
            )

    def check(self, photograph: np.ndarray, degraded: np.ndarray, mask: np.ndarray | None) -> None:
        """Raise ValueError when a degraded image (HxWx3 uint8) is too like its photograph, or too far from it."""
        if mask is not None:
            photograph, degraded = photograph[mask > 0], degraded[mask > 0]
        distance = psnr(photograph, degraded)
        if distance > self.most_psnr:
            raise ValueError(
                f"the degraded image hardly differs: PSNR {distance:.1f} dB, at most {self.most_psnr:g} is kept"
            )
        if distance < self.least_psnr:
            raise ValueError(
                f"the degraded image is destroyed: PSNR {distance:.1f} dB, at least {self.least_psnr:g} is kept"
            )
        lost = _unreadable(degraded) & ~_unreadable(photograph)
        if lost.mean() > self.most_lost:
            raise ValueError(
                f"the degraded image lost {lost.mean():.0%} of its pixels to black or white; "
                f"at most {self.most_lost:.0%} are allowed"
            )


def _unreadable(image: np.ndarray) -> np.ndarray:
    return (image.max(axis=-1) <= BLACK) | (image.min(axis=-1) >= WHITE)
