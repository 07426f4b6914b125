"""One thing found in a photograph, and the mask that the things found make together."""

from typing import Literal, NamedTuple

import numpy as np

from shared.light.enlarge import bands, enlarge

Instances = Literal["all", "best"]


class Instance(NamedTuple):
    """A mask as a model made it, and how sure the model is.

    `values` is hxw float32 over the whole photograph, at the model's own size: 0.5 on the outline, from 1 on inside, up
    to 0 outside, and not clipped, so that making it larger moves no outline.
    """

    values: np.ndarray
    score: float  # 0..1


def chosen(instances: list[Instance], which: Instances) -> list[Instance]:
    """The instances that form the subject, best first."""
    ranked = sorted(instances, key=lambda instance: -instance.score)
    return ranked[:1] if which == "best" else ranked


def mask_of(instances: list[Instance], height: int, width: int) -> np.ndarray:
    """The union of instances as opacity, height x width uint8: 255 inside, exactly 0 outside, soft along the outline.

    The union is made before it is enlarged, so that no seam shows where two people touch.
    """
    together = instances[0].values.astype(np.float32)
    for instance in instances[1:]:
        together = np.maximum(together, instance.values)
    mask = np.empty((height, width), np.uint8)
    for rows in bands(height, width):
        mask[rows] = np.rint(255 * np.clip(enlarge(together, height, width, rows), 0, 1))
    return mask
