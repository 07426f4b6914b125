"""The gates of a triplet: the degraded image has its photograph's shape and background, differs, and is not destroyed."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field

from shared.light.colour import strongest_channel, weakest_channel
from shared.light.enlarge import bands, shrink
from shared.light.fidelity import psnr

Decibel = Annotated[float, Field(ge=0, le=100)]
GateShare = Annotated[float, Field(ge=0, le=1)]
BLACK_LEVEL, WHITE = 3, 252  # stored values at which nothing can be told any more
DETAIL_SIZE = 512  # the long side at which detail is compared, in pixels
LEAST_TO_COMPARE = 0.5  # slope of grey values per pixel; a photograph with less has no detail to lose


@dataclass
class Quality:
    """Bounds that a degraded image must keep, over the subject where there is a mask."""

    least_psnr: Annotated[
        Decibel, Field(description="likeness to the photograph in dB; below it the picture is destroyed")
    ] = 6.0
    most_psnr: Annotated[
        Decibel, Field(description="likeness to the photograph in dB; above it next to nothing has changed")
    ] = 38.0
    most_lost: Annotated[
        GateShare, Field(description="share of the pixels that may become black or white which were neither")
    ] = 0.25
    least_detail: Annotated[
        GateShare, Field(description="share of the photograph's contours that must remain; with less it is a smear")
    ] = 0.25
    least_mask: Annotated[
        GateShare, Field(description="a mask that takes a smaller share of the image is a mistake")
    ] = 0.005
    most_mask: Annotated[
        GateShare, Field(description="a mask that takes a larger share of the image is a mistake, unless there is none")
    ] = 0.98

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

    @staticmethod
    def check_background(behind: np.ndarray, output: np.ndarray, mask: np.ndarray) -> None:
        """Raise ValueError unless `output` has the bytes of `behind` (both HxWx3 uint8) wherever the mask (HxW) is 0."""
        changed = 0
        for rows in bands(*mask.shape):
            changed += int(((output[rows] != behind[rows]).any(axis=-1) & (mask[rows] == 0)).sum())
        if changed:
            raise ValueError(f"{changed} pixels outside the mask are not those of the background")

    def check(self, photograph: np.ndarray, degraded: np.ndarray, mask: np.ndarray | None) -> None:
        """Raise ValueError when a degraded image (HxWx3 uint8) is too like its photograph, or too far from it."""
        if degraded.shape != photograph.shape:
            one, other = (f"{image.shape[1]} x {image.shape[0]}" for image in (degraded, photograph))
            raise ValueError(f"the degraded image is {one} pixels; its photograph is {other}")
        detail, kept = (_detail(image, mask) for image in (photograph, degraded))
        if detail > LEAST_TO_COMPARE and kept < self.least_detail * detail:
            raise ValueError(
                f"the degraded image is a smear: {kept / detail:.0%} of the contours are left, "
                f"at least {self.least_detail:.0%} are kept"
            )
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


def _detail(image: np.ndarray, mask: np.ndarray | None) -> float:
    """The mean slope of grey values per pixel of a small copy, well inside the mask where there is one."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(shrink(image, DETAIL_SIZE)), cv2.COLOR_RGB2GRAY).astype(np.float32)
    slope = np.hypot(*(cv2.Sobel(grey, cv2.CV_32F, *axis, ksize=1) / 2 for axis in ((1, 0), (0, 1))))
    if mask is None:
        return float(slope.mean())
    inside = cv2.erode(shrink(mask, DETAIL_SIZE), np.ones((5, 5), np.uint8)) == 255
    return float(slope[inside].mean()) if inside.any() else 0.0


def _unreadable(image: np.ndarray) -> np.ndarray:
    return (strongest_channel(image) <= BLACK_LEVEL) | (weakest_channel(image) >= WHITE)
