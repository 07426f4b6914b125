"""Worlds with depth: things on a ground and before walls, traced with their shadows, as the other worlds have none.

Ellipsoids, domes, cylinders and cut stones of many faces, seen by a camera that leans and turns. Not the code, the shapes or
the camera of shared.light.scenes.solids, which is kept to judge.
"""

from typing import NamedTuple

import numpy as np

from shared.light.scenes.network.paints import Rng, paint
from shared.light.scenes.network.worlds import Stage, World, rolling
from shared.light.scenes.reflectances import colours
from shared.light.surface import normals_of

# Of the light as seen from the things, in radians, by whether it is hard.
RADII = {True: (0.004, 0.03), False: (0.15, 0.4), None: (0.03, 0.15)}
RAYS_TO_LIGHT, RAYS_AROUND = 8, 6  # rays from each point; what neighbours on one thing found is averaged
NEARBY = 0.7  # distance within which things take ambient light from one another
NO_SURFACE = -1
REACH = 1.4  # of a thing from its centre along each of its axes, in its sizes


class Thing(NamedTuple):
    """A convex thing: what lies behind all its planes and inside its quadric, where it has one."""

    centre: np.ndarray  # 3
    turn: np.ndarray  # 3x3, orthonormal
    size: np.ndarray  # 3
    planes: np.ndarray  # nx4, in coordinates of the thing: normal, and distance from its centre
    quadric: tuple[np.ndarray, np.ndarray, float] | None  # q, b, c: inside, q @ p**2 + b @ p <= c
    is_room: bool = False  # without an end: the ground or a wall


def draw_traced(rng: Rng, size: int) -> World:
    """A traced world of size x size pixels."""
    stage = TracedStage(rng, size)
    if rng.random() < 0.12:
        stage.cast_pattern()
    return stage.world()


class TracedStage(Stage):
    """A ground, often walls, and things on it."""

    def _background(self) -> np.ndarray:
        rng, size = self.rng, self.size
        view = _view(rng)
        room = _room(rng)
        self._turn_light(view, room)
        things = [*room, *(_thing(rng) for _ in range(int(rng.integers(2, 9))))]
        rays = _rays(size, rng.uniform(1.6, 3.5)) @ view.T
        target = np.array([rng.uniform(-0.3, 0.3), rng.uniform(0.1, 0.6), rng.uniform(0.4, 1.2)])
        camera = (target + view[:, 2] * rng.uniform(2.8, 5)).astype(np.float32)
        camera[1] = max(camera[1], 0.15)
        distance, surface, normals = _trace(things, camera, rays)
        seen = surface != NO_SURFACE
        points = camera + rays[seen] * distance[seen, np.newaxis] + 3e-3 * normals[seen]
        towards = (view @ self.light).astype(np.float32)
        low, high = RADII[self.is_hard]
        radius = np.float32(rng.uniform(low, high) / 1.6)
        spread = rng.standard_normal((RAYS_TO_LIGHT, seen.sum(), 3)).astype(np.float32) * radius
        lit, free = (np.ones(size * size, np.float32) for _ in range(2))
        lit[seen] = _let_through(things, points, towards + spread, normals[seen], np.inf)
        around: np.ndarray = rng.standard_normal((RAYS_AROUND, seen.sum(), 3)).astype(np.float32)
        around = around / np.linalg.norm(around, axis=-1, keepdims=True) + normals[seen]  # by the cosine
        free[seen] = _let_through(things, points, around, normals[seen], NEARBY)
        surface = surface.reshape(size, size)
        self.lit *= _smoothed(lit.reshape(size, size), surface, 3)
        self.open *= 1 - np.float32(rng.uniform(0.4, 1)) * (1 - _smoothed(free.reshape(size, size), surface, 7))
        self.has_edges = self.has_direct_light and not self.is_flat
        self.is_sky = surface == NO_SURFACE
        self._paint(surface)
        return self._bumped((normals @ view).reshape(size, size, 3), surface)

    def _turn_light(self, view: np.ndarray, room: list[Thing]) -> None:
        """Draw the azimuth until the light comes from inside the room."""
        level = np.hypot(*self.light[:2])
        for _ in range(200):
            inside = [(thing.turn @ thing.planes[0, :3]) @ (view @ self.light) for thing in room]
            if min(inside) > 0.1:
                break
            self.azimuth = self.rng.uniform(0, 2 * np.pi)
            self.light[:2] = np.cos(self.azimuth) * level, np.sin(self.azimuth) * level

    def _paint(self, surface: np.ndarray) -> None:
        rng, size = self.rng, self.size
        other = paint(rng, size)
        for thing in range(int(surface.max()) + 1):
            inside = surface == thing
            if not inside.any():
                continue
            kind = rng.random()
            if kind < 0.55:
                self.reflectance[inside] = colours(rng, 1)[0]
            elif kind < 0.8:
                self.reflectance[inside] = other[inside]

    def _bumped(self, normals: np.ndarray, surface: np.ndarray) -> np.ndarray:
        """Some of the things are not smooth."""
        rng = self.rng
        rough = np.flatnonzero(rng.random(int(surface.max()) + 1) < 0.25)
        if len(rough):
            leaning = normals_of(rolling(rng, self.size)) * rng.uniform(0.1, 0.6)
            leaning[..., 2] = 0
            normals = np.where(np.isin(surface, rough)[..., np.newaxis], normals + leaning, normals)
        return normals.astype(np.float32)


def _view(rng: Rng) -> np.ndarray:
    """What is right, up and towards the camera, as columns, in the world's coordinates (y up)."""
    yaw, pitch, roll = rng.normal(0, 0.4), 0.03 + abs(rng.normal(0, 0.45)), rng.normal(0, 0.08)
    towards = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    right = np.array([np.cos(yaw), 0, -np.sin(yaw)])
    up = np.cross(towards, right)
    right, up = right * np.cos(roll) + up * np.sin(roll), up * np.cos(roll) - right * np.sin(roll)
    return np.stack([right, up, towards], axis=1).astype(np.float32)


def _rays(size: int, focal: float) -> np.ndarray:
    """Directions (size*size x 3) of the pixels' rays, in the camera's coordinates."""
    rows, columns = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size * 2 - 1
    rays = np.stack([columns, -rows, np.full_like(rows, -focal)], axis=-1).reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _room(rng: Rng) -> list[Thing]:
    """The ground, and mostly a wall behind it or a corner of two."""
    faces: list[tuple[tuple[float, ...], tuple[float, ...]]] = [((0, 1, 0), (0, 0, 0))]
    if rng.random() < 0.8:
        faces.append(((0, 0, 1), (0, 0, rng.uniform(-1.5, 0.1))))
        if rng.random() < 0.35:
            side = rng.choice([-1, 1])
            faces.append(((-side, 0, 0), (side * rng.uniform(0.9, 1.8), 0, 0)))
    upright, ones = np.eye(3, dtype=np.float32), np.ones(3, np.float32)
    return [
        Thing(np.array(at, np.float32), upright, ones, np.array([[*normal, 0]], np.float32), None, True)
        for normal, at in faces
    ]


def _thing(rng: Rng) -> Thing:
    """An ellipsoid, a dome, a cylinder or a stone, which stands, lies or hovers."""
    kind = rng.integers(5)
    size = rng.uniform(0.15, 0.65) * rng.uniform(0.45, 1.2, 3)
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if rng.random() < 0.5:  # upright
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [0, 0, 1], [np.sin(angle), np.cos(angle), 0]])
    planes, quadric = np.zeros((0, 4)), None
    flat = np.array([[0, 0, 1, 1], [0, 0, -1, 1]])
    if kind == 0:
        quadric = np.ones(3), np.zeros(3), 1.0
    elif kind == 1:
        planes, quadric = flat[1:], (np.array([1.0, 1, 0]), np.array([0, 0, 0.5]), 0.5)
    elif kind == 2:
        size[1] = size[0]
        planes, quadric = flat, (np.array([1.0, 1, 0]), np.zeros(3), 1.0)
    else:
        normals = rng.standard_normal((int(rng.integers(4, 12)), 3))
        if kind == 4:  # a prism or a pyramid
            around = np.linspace(0, 2 * np.pi, int(rng.choice([3, 4, 4, 4, 5, 6])), endpoint=False)
            rise = np.full_like(around, rng.uniform(0, 0.7) * (rng.random() < 0.5))
            normals = np.stack([np.cos(around), np.sin(around), rise], axis=1)
        normals /= np.linalg.norm(normals, axis=1, keepdims=True)
        cuts = np.column_stack([normals, rng.uniform(0.6, 1, len(normals)) if kind == 3 else np.ones(len(normals))])
        frame = np.concatenate([np.eye(3), -np.eye(3)])
        planes = np.concatenate([cuts, flat, np.column_stack([frame, np.full(6, REACH)])])
    height = np.abs(turn[1] * size).sum() * rng.uniform(0.7, 1.0) if rng.random() < 0.7 else rng.uniform(0.2, 1.2)
    centre = np.array([rng.uniform(-1.1, 1.1), height, rng.uniform(0.2, 1.8)])
    return Thing(_single(centre), _single(turn), _single(size), _single(planes), quadric)


def _single(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32)


def _comes_near(thing: Thing, start: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Whether the rays (n x 3, of unit length) come as near to a thing's centre as it may reach."""
    if thing.is_room:
        return np.ones(len(rays), bool)
    between = thing.centre - start
    along = np.maximum((between * rays).sum(axis=1), 0)
    return (between**2).sum(axis=1) - along**2 < (REACH**2 * (thing.size**2).sum())


def _enter(thing: Thing, start: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where the rays enter and leave a thing, through which of its planes they enter, and the place in its own coordinates."""
    origin = (start - thing.centre) @ thing.turn / thing.size
    along = rays @ thing.turn / thing.size
    enters, leaves = np.full(len(rays), -np.inf, np.float32), np.full(len(rays), np.inf, np.float32)
    face = np.full(len(rays), NO_SURFACE)
    if thing.quadric is not None:
        square, linear, constant = thing.quadric
        a = np.maximum(along**2 @ square, 1e-9)
        b = (along * origin) @ square + 0.5 * along @ linear
        c = origin**2 @ square + origin @ linear - constant
        root = b * b - a * c
        width = np.sqrt(np.maximum(root, 0))
        enters = np.where(root > 0, (-b - width) / a, np.inf).astype(np.float32)
        leaves = np.where(root > 0, (-b + width) / a, -np.inf).astype(np.float32)
    for index, plane in enumerate(thing.planes):
        speed, reach = along @ plane[:3], plane[3] - origin @ plane[:3]
        with np.errstate(divide="ignore", invalid="ignore"):
            at = reach / speed
        comes_in = (speed < 0) & (at > enters)
        enters[comes_in], face[comes_in] = at[comes_in], index
        leaves = np.where((speed > 0) & (at < leaves), at, leaves)
        leaves = np.where((speed == 0) & (reach < 0), -np.inf, leaves)
    return enters, leaves, face, origin + along * np.where(np.isfinite(enters), enters, 0)[:, np.newaxis]


def _trace(things: list[Thing], camera: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distance, number of the thing and normal of what each ray meets first."""
    nearest = np.full(len(rays), np.inf, np.float32)
    surface = np.full(len(rays), NO_SURFACE)
    normals = np.zeros_like(rays)
    for index, thing in enumerate(things):
        near = np.flatnonzero(_comes_near(thing, camera[np.newaxis], rays))
        enters, leaves, face, points = _enter(thing, camera[np.newaxis], rays[near])
        is_hit = (enters < leaves) & (enters > 1e-3) & (enters < nearest[near]) & (enters < 60)
        hit, face = near[is_hit], face[is_hit]
        nearest[hit], surface[hit] = enters[is_hit], index
        own = np.zeros((len(hit), 3), np.float32)
        if thing.quadric is not None:
            square, linear, _ = thing.quadric
            own = 2 * points[is_hit] * square + linear
        on_plane = face != NO_SURFACE
        own[on_plane] = thing.planes[face[on_plane], :3]
        outward = (own / thing.size) @ thing.turn.T
        normals[hit] = outward / (np.linalg.norm(outward, axis=1, keepdims=True) + 1e-9)
    return nearest, surface, normals


def _let_through(
    things: list[Thing], points: np.ndarray, towards: np.ndarray, normals: np.ndarray, reach: float
) -> np.ndarray:
    """The share (n) of the directions towards a light (k x n x 3) in which nothing stands before the points (n x 3)."""
    total = np.zeros(len(points), np.float32)
    for rays in towards:
        rays = rays / (np.linalg.norm(rays, axis=1, keepdims=True) + 1e-9)
        free = np.ones(len(points), bool)
        active = np.flatnonzero((rays * normals).sum(axis=1) > 0)
        for thing in things:
            near = active[_comes_near(thing, points[active], rays[active])]
            enters, leaves, *_ = _enter(thing, points[near], rays[near])
            free[near[(enters < leaves) & (leaves > 1e-3) & (enters < reach) & (enters > -1e-2)]] = False
            active = active[free[active]]
        total += free
    return total / len(towards)


def _smoothed(shares: np.ndarray, surface: np.ndarray, width: int) -> np.ndarray:
    """The mean over so many pixels a side of the same thing."""
    import cv2

    result = shares.copy()
    for thing in np.unique(surface):
        inside = (surface == thing).astype(np.float32)
        weight = cv2.blur(inside, (width, width))
        result = np.where(inside > 0, cv2.blur(shares * inside, (width, width)) / np.maximum(weight, 1e-6), result)
    return result
