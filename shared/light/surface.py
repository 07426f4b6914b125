"""The surface that light falls on: told by normals, or a stand-in where nothing tells it."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from shared.light.enlarge import GuidedMap, enlarge

STEEPEST = np.float32(4.0)  # slope to which heights are integrated: a contour is steeper, and no height tells how much
# Of the slopes of the normals and of a balloon, which are added inside a mask: chosen by tests/benchmarks/relight.py, on other
# seeds than those that were measured.
TOLD_SHARE, BALLOON_SHARE = np.float32(0.6), np.float32(0.5)


class Surface(NamedTuple):
    """A photograph's surface as a height map and its normals."""

    heights: np.ndarray  # hxw float32, pixels towards the camera
    normals: np.ndarray  # hxwx3 float32 of unit length: right, up, towards the camera
    relief: np.ndarray  # hxw float32, pixels: what of the heights is a form of the photograph, and not of a stand-in


def told(normals: np.ndarray, small: np.ndarray, optics: np.ndarray, mask: np.ndarray | None = None) -> Surface:
    """The surface of which a small copy of a photograph (uint8) has these normals (both hxwx3), at the size of `optics`.

    With a subject's mask (uint8, of the size of `optics`) it turns away at the outline, which is seen more surely than any
    normal: inside, parts of the slopes of both are added.
    """
    height, width = optics.shape[:2]
    everything = slice(0, height)
    heights: np.ndarray = enlarge(heights_of(normals), height, width, everything) * np.float32(height / len(normals))
    large: np.ndarray = _unit(GuidedMap(normals, small, height, width).rows(optics, everything))
    if mask is not None:
        balloon = _balloon(mask)
        leaning = TOLD_SHARE * _slopes(large) + BALLOON_SHARE * _slopes(normals_of(balloon))
        leaning[..., 2] = 1
        large = np.where((mask > 127)[..., np.newaxis], _unit(leaning), large)
        heights = TOLD_SHARE * heights + BALLOON_SHARE * balloon
    return Surface(heights, large, heights)


def _slopes(normals: np.ndarray) -> np.ndarray:
    """Normals (hxwx3) of which the part towards the camera is 1; no steeper than one in twenty."""
    leaning = normals / np.maximum(normals[..., 2:], 0.05)
    leaning[..., 2] = 1
    return leaning


def _unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)).astype(np.float32)


def stand_in(mask: np.ndarray | None, log_shading: np.ndarray) -> Surface:
    """The subject's silhouette blown up like a balloon (`mask`, hxw uint8), or a shallow dome over the whole frame.

    On it lies the relief that the photograph's own shading (`log_shading`, hxw) betrays.
    """
    relief = _relief(log_shading)
    if mask is None:
        heights = _dome(*log_shading.shape) + relief
        return Surface(heights, normals_of(heights), relief)
    heights = _balloon(mask) + relief
    return Surface(heights, normals_of(heights), heights)


def normals_of(heights: np.ndarray) -> np.ndarray:
    """Unit normals (hxwx3: right, up, towards the camera) of a height map in pixels."""
    down, across = np.gradient(heights) if min(heights.shape) > 1 else (np.zeros_like(heights),) * 2
    normals = np.stack([-across, down, np.ones_like(heights)], axis=-1)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def heights_of(normals: np.ndarray) -> np.ndarray:
    """The height map (hxw float32, pixels, mean 0) whose slopes come nearest to those of the normals (hxwx3)."""
    towards = np.maximum(normals[..., 2], 1e-3)
    across, down = (np.clip(slope / towards, -STEEPEST, STEEPEST) for slope in (-normals[..., 0], normals[..., 1]))
    return integrate((across[:, 1:] + across[:, :-1]) / 2, (down[1:] + down[:-1]) / 2)


def integrate(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The map (hxw float32, mean 0) whose steps to the right (hxw-1) and down (h-1xw) come nearest to these.

    The Poisson equation by the cosine transform (Frankot and Chellappa, 1988).
    """
    from scipy.fft import dctn, idctn

    height, width = across.shape[0], down.shape[1]
    divergence = np.zeros((height, width), np.float32)
    divergence[:, :-1] -= across
    divergence[:, 1:] += across
    divergence[:-1] -= down
    divergence[1:] += down
    spectrum = dctn(divergence, norm="ortho") / _frequencies(height, width)
    spectrum[0, 0] = 0
    return idctn(spectrum, norm="ortho").astype(np.float32)


@lru_cache(maxsize=8)
def _frequencies(height: int, width: int) -> np.ndarray:
    waves = [2 - 2 * np.cos(np.pi * np.arange(count) / count) for count in (height, width)]
    return np.maximum(np.add.outer(*waves), 1e-12).astype(np.float32)


def _dome(height: int, width: int) -> np.ndarray:
    size = max(height, width)
    rows = (np.arange(height, dtype=np.float32)[:, np.newaxis] - (height - 1) / 2) / size
    columns = (np.arange(width, dtype=np.float32)[np.newaxis] - (width - 1) / 2) / size
    return np.float32(-1.4 * size) * (rows**2 + columns**2)


def _balloon(mask: np.ndarray) -> np.ndarray:
    import cv2

    size = max(mask.shape)
    inside = (mask > 127).astype(np.uint8)
    # Padded with itself, so that the frame does not count as the subject's own edge.
    distance = cv2.distanceTransform(np.pad(inside, 1, mode="edge"), cv2.DIST_L2, 5)[1:-1, 1:-1]
    radius = min(float(distance.max()), 0.25 * size)
    distance = np.minimum(distance, radius)
    balloon = 1.2 * np.sqrt(np.maximum(2 * radius * distance - distance**2, 0))
    return cv2.GaussianBlur(balloon.astype(np.float32), (0, 0), 0.06 * radius + 2)


def _relief(log_shading: np.ndarray) -> np.ndarray:
    """Of the photograph's own shading (hxw float32, pixels): what faces the camera is mostly brighter."""
    import cv2

    size = max(log_shading.shape)
    fine = cv2.GaussianBlur(log_shading, (0, 0), 0.012 * size)
    return np.float32(0.05 * size) * np.clip(fine - cv2.GaussianBlur(fine, (0, 0), 0.08 * size), -0.6, 0.6)
