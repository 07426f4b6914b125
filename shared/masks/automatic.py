"""Which of all the masks of a photograph is its subject, where nobody has pointed at one."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field, PositiveInt

Confidence = Annotated[float, Field(ge=0, le=1)]
MIDDLE = 0.22  # standard deviation of what counts as the middle, as a share of the sides


@dataclass
class AutomaticMasks:
    """How SAM 2 looks for masks everywhere; the names and values are those of SAM2AutomaticMaskGenerator."""

    points_per_side: Annotated[PositiveInt, Field(description="the grid of points that are tried, along each side")] = (
        32
    )
    points_per_batch: Annotated[PositiveInt, Field(description="points that are tried together")] = 64
    pred_iou_thresh: Annotated[
        Confidence, Field(description="the model's own opinion of a mask, below which it is dropped")
    ] = 0.8
    stability_score_thresh: Annotated[
        Confidence, Field(description="how little a mask may change with its threshold")
    ] = 0.95

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


def subject_among(masks: list[np.ndarray]) -> int | None:
    """The position of the mask (hxw bool) that holds most of the middle and least of the frame, or None.

    A wall or a sky is often the largest mask; it lies along the frame, and a subject does not.
    """
    if not masks:
        return None
    middle = _middle(*masks[0].shape)
    frame = np.zeros(masks[0].shape, bool)
    frame[[0, -1]] = frame[:, [0, -1]] = True
    worth = [float(middle[mask].sum()) - float(mask[frame].mean()) for mask in masks]
    best = int(np.argmax(worth))
    return best if worth[best] > 0 else None


def _middle(height: int, width: int) -> np.ndarray:
    """Weights (hxw, sum 1) that fall off from the middle (Gaussian)."""
    rows, columns = (
        np.exp(-(((np.arange(size) + 0.5) / size - 0.5) ** 2) / (2 * MIDDLE**2)) for size in (height, width)
    )
    weights = np.outer(rows, columns)
    return weights / weights.sum()
