"""Images put together from the changes between neighbours: the weighted Poisson equation."""

from typing import NamedTuple

import numpy as np

Steps = tuple[np.ndarray, np.ndarray]  # changes across (Hx(W-1)) and down ((H-1)xW)


class Smoothness(NamedTuple):
    """What an image is charged, per pixel, for the square of its curvature, of its slope and of its height."""

    bend: float
    slope: float
    height: float


def changes(image: np.ndarray) -> Steps:
    """The steps between neighbours of an image (HxW or HxWxC)."""
    return np.diff(image, axis=1), np.diff(image, axis=0)


def fit_to_changes(
    wanted: Steps,
    trust: Steps,
    target: np.ndarray,
    pull: np.ndarray,
    smoothness: Smoothness,
    start: np.ndarray | None = None,
    iterations: int = 16,
) -> np.ndarray:
    """The smooth image (HxW float32) whose steps come nearest to those wanted, and itself to a target.

    Minimises sum trust * (step - wanted)^2 + sum pull * (image - target)^2 + the charge for not being smooth.
    Conjugate gradients; the preconditioner is the same equation with everywhere equal trust, which the cosine
    transform solves at once (Frankot and Chellappa, 1988; Ghiglia and Romero, 1994).
    """
    from scipy.fft import dctn, idctn

    height, width = target.shape
    frequency = (2 - 2 * np.cos(np.pi * np.arange(height) / height))[:, np.newaxis] + (
        2 - 2 * np.cos(np.pi * np.arange(width) / width)
    )
    charge = smoothness.bend * frequency**2 + smoothness.slope * frequency + smoothness.height
    usual_trust = np.exp(np.mean(np.log(np.concatenate([part.ravel() for part in trust] + [[1.0]]))))
    inverse = (1 / (usual_trust * frequency + charge + pull.mean())).astype(np.float32)
    charge = charge.astype(np.float32)

    def filtered(image: np.ndarray, by: np.ndarray) -> np.ndarray:
        return idctn(dctn(image, norm="ortho") * by, norm="ortho")

    def applied(image: np.ndarray) -> np.ndarray:
        across, down = changes(image)
        return divergence(trust[0] * across, trust[1] * down) + pull * image + filtered(image, charge)

    right = divergence(trust[0] * wanted[0], trust[1] * wanted[1]) + pull * target
    image = np.zeros_like(right) if start is None else start
    rest = right - applied(image)
    descent = filtered(rest, inverse)
    direction, size = descent, float((rest * descent).sum())
    enough = 1.6e-5 * float((right * filtered(right, inverse)).sum()) + 1e-12
    for _ in range(iterations):
        if size <= enough:
            break
        response = applied(direction)
        step = np.float32(size / float((direction * response).sum()))
        image = image + step * direction
        rest = rest - step * response
        descent = filtered(rest, inverse)
        size, before = float((rest * descent).sum()), size
        direction = descent + np.float32(size / before) * direction
    return image


def divergence(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The transpose of changes(): what flows into each pixel less what flows out, HxW float32."""
    total = np.zeros((across.shape[0], down.shape[1]), np.float32)
    total[:, :-1] -= across
    total[:, 1:] += across
    total[:-1] -= down
    total[1:] += down
    return total
