"""Spheres, boxes and capsules before a wall, traced with their shadows: shading with known truth."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Distance = Callable[[np.ndarray], np.ndarray]  # signed distances (n) of points (n x 3)

CAMERA = np.array([0.0, 0.0, 4.0], np.float32)  # looking along -z; the wall is z = 0, the ground y = GROUND
GROUND = -0.95
FAR = 8.0


class Traced(NamedTuple):
    """What a camera sees of the solids, per pixel."""

    solid: np.ndarray  # HxW int: 0 wall, 1 ground, 2.. solids
    normals: np.ndarray  # HxWx3 float32: right, up, towards the camera
    direct: np.ndarray  # HxW float32: Lambert's cosine times what the cast shadows let through
    is_round: list[bool]  # of each number in `solid`: a box has no contour at which its surface turns away


def trace(rng: np.random.Generator, size: int, light: np.ndarray, sharpness: float, has_shadows: bool = True) -> Traced:
    """Trace three to six random solids, size x size pixels, under a directional light (unit vector).

    `sharpness` is that of the penumbra (Quilez, 2010): 4 is a window, 60 the sun.
    """
    shapes: list[Distance] = [lambda p: p[:, 2], lambda p: p[:, 1] - GROUND]
    solids = [_solid(rng) for _ in range(int(rng.integers(3, 7)))]
    shapes += [shape for shape, _ in solids]
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    x, y = (columns + 0.5) / size * 2 - 1, 1 - (rows + 0.5) / size * 2
    rays = np.stack([x, y, np.full_like(x, -3.2)], axis=-1).reshape(-1, 3)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)

    travelled = np.zeros(len(rays), np.float32)
    active = np.arange(len(rays))
    for _ in range(70):
        step = _nearest(shapes, CAMERA + rays[active] * travelled[active, np.newaxis])
        travelled[active] += step
        active = active[(step > 5e-4) & (travelled[active] < FAR)]
        if not len(active):
            break
    position = CAMERA + rays * travelled[:, np.newaxis]
    distances = np.stack([shape(position) for shape in shapes])
    solid = distances.argmin(axis=0)

    normals = np.zeros_like(position)
    for axis in range(3):
        nudge = np.zeros(3, np.float32)
        nudge[axis] = 2e-3
        normals[:, axis] = _nearest(shapes, position + nudge) - _nearest(shapes, position - nudge)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-9
    direct = np.clip(normals @ light, 0, 1)
    if has_shadows:
        direct = direct * _let_through(shapes, position + 4e-3 * normals, direct > 0, light, sharpness)
    return Traced(
        solid.reshape(size, size),
        normals.reshape(size, size, 3),
        direct.reshape(size, size),
        [False, False, *(is_round for _, is_round in solids)],
    )


def _let_through(
    shapes: list[Distance], start: np.ndarray, faces_light: np.ndarray, light: np.ndarray, sharpness: float
) -> np.ndarray:
    light_reaches = np.ones(len(start), np.float32)
    travelled = np.full(len(start), 0.01, np.float32)
    active = np.flatnonzero(faces_light)
    for _ in range(40):
        near = _nearest(shapes, start[active] + light * travelled[active, np.newaxis])
        light_reaches[active] = np.minimum(light_reaches[active], sharpness * near / travelled[active])
        travelled[active] += np.clip(near, 0.01, 0.3)
        active = active[(light_reaches[active] > 0.005) & (travelled[active] < 5)]
        if not len(active):
            break
    reached = np.clip(light_reaches, 0, 1)
    return reached * reached * (3 - 2 * reached)


def _nearest(shapes: list[Distance], points: np.ndarray) -> np.ndarray:
    nearest = shapes[0](points)
    for shape in shapes[1:]:
        nearest = np.minimum(nearest, shape(points))
    return nearest


def _solid(rng: np.random.Generator) -> tuple[Distance, bool]:
    """A sphere, a box or a capsule somewhere before the wall, and whether it is round."""
    kind = int(rng.integers(3))
    size = rng.uniform(0.18, 0.42)
    centre = np.array([rng.uniform(-0.8, 0.8), rng.uniform(-0.7, 0.6), rng.uniform(0.3, 1.2)], np.float32)
    if kind == 0:
        return (lambda p: np.linalg.norm(p - centre, axis=1) - np.float32(size)), True
    turn = _rotation(rng)
    if kind == 1:
        half = (size * rng.uniform(0.5, 1.0, 3)).astype(np.float32)

        def box(p: np.ndarray) -> np.ndarray:
            outside = np.abs((p - centre) @ turn) - half
            return np.linalg.norm(np.maximum(outside, 0), axis=1) + np.minimum(outside.max(axis=1), 0) - 0.02

        return box, False
    length, radius = np.float32(size * rng.uniform(0.6, 1.2)), np.float32(size * rng.uniform(0.4, 0.7))

    def capsule(p: np.ndarray) -> np.ndarray:
        local = (p - centre) @ turn
        local[:, 0] -= np.clip(local[:, 0], -length, length)
        return np.linalg.norm(local, axis=1) - radius

    return capsule, True


def _rotation(rng: np.random.Generator) -> np.ndarray:
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    return turn.astype(np.float32)
