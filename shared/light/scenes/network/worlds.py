"""Random pictures of painted things under a known light: what the network of the optics learns from.

They share lights and paints with shared.light.scenes.scenes, but neither its prints nor its solids, which are kept to judge.
"""

from typing import NamedTuple

import numpy as np

from shared.light.colour import rgb_of_cct
from shared.light.degradation.patterns import PATTERN_SHARES, cast
from shared.light.scenes.network.paints import Rng, paint
from shared.light.scenes.reflectances import BRIGHTEST, DARKEST_PAINT, colours, noise
from shared.light.surface import normals_of

FLAT_LIGHTS, FRONTAL = 0.12, 0.06  # shares of worlds in light from everywhere and from the camera
LAMPS = 0.3  # share of worlds with one or two lamps among the things
GELS = 0.15  # share of worlds whose light is of a colour that no glowing body has
HARD_BLUR, SOFT_BLUR = (0.001, 0.004), (0.02, 0.04)  # blur of shadows' edges, as a share of the side


class World(NamedTuple):
    """A picture's parts: reflectance * shading is what a camera sees, in linear light."""

    reflectance: np.ndarray  # HxWx3 float32
    shading: np.ndarray  # HxWx3 float32
    normals: np.ndarray  # HxWx3 float32 of unit length: right, up, towards the camera; 0 in the sky
    azimuth_degrees: float | None  # of the light; None where nothing shows it
    is_flat: bool  # even light: there is no direction to be seen
    is_hard: bool | None  # of shadows' edges; None where there are none, or they are in between


def draw(rng: Rng, size: int) -> World:
    """A world of size x size pixels."""
    stage = Stage(rng, size)
    for _ in range(int(rng.choice([0, 0, 1, 2, 4, 7]))):
        stage.put_thing()
    if rng.random() < 0.25:
        stage.cast_pattern()
    if rng.random() < 0.06:
        stage.hang_sky()
    return stage.world()


class Stage:
    """A background, and the things put before it one after another, each throwing its shadow on what is behind."""

    def __init__(self, rng: Rng, size: int):
        self.rng, self.size = rng, size
        self.azimuth = rng.uniform(0, 2 * np.pi)
        kind = rng.random()
        self.has_direct_light = kind >= FLAT_LIGHTS
        self.is_flat = kind < FLAT_LIGHTS + FRONTAL
        elevation = rng.uniform(1.45, 1.57) if self.is_flat else rng.uniform(0.25, 1.15)
        level = np.cos(elevation)
        self.light = np.array([np.cos(self.azimuth) * level, np.sin(self.azimuth) * level, np.sin(elevation)])
        self.is_hard: bool | None = (True, False, None)[int(rng.integers(3))]
        low, high = {True: HARD_BLUR, False: SOFT_BLUR, None: (HARD_BLUR[1], SOFT_BLUR[0])}[self.is_hard]
        self.blur = rng.uniform(low, high) * size
        self.has_edges = False
        self.shows_direction = True
        self.is_sky = np.zeros((size, size), bool)
        self.lit = np.ones((size, size), np.float32)
        self.open = np.ones((size, size), np.float32)  # how much of the ambient light gets there
        self.reflectance = paint(rng, size)
        self.normals = self._background()

    def _background(self) -> np.ndarray:
        rng, size = self.rng, self.size
        kind = rng.choice(["wall", "rolling", "room"], p=[0.35, 0.45, 0.2])
        if kind == "rolling":
            return normals_of(rolling(rng, size))
        fall = rng.uniform(0, 1) if rng.random() < 0.8 and not self.is_flat else 0.0
        self.shows_direction = fall > 0.2
        self.lit *= _fall_of_light(rng, size, self.azimuth, fall)
        normals = np.tile(np.array([0, 0, 1], np.float32), (size, size, 1))
        if kind == "room":
            rows, columns = np.mgrid[:size, :size] / size
            ground = rows + rng.uniform(-0.2, 0.2) * columns > rng.uniform(0.4, 0.85)
            normals[ground] = _unit(np.array([0, 1, rng.uniform(0.2, 0.6)], np.float32))
            if rng.random() < 0.7:
                self.reflectance[ground] = paint(rng, size)[ground]
        return normals

    def put_thing(self) -> None:
        """A thing of one paint or many, round, faceted or flat, and its shadow."""
        import cv2

        rng, size = self.rng, self.size
        shape = silhouette(rng, size)
        if shape.mean() < 0.003:
            return
        away = -self.light[:2] * (1, -1) / (np.hypot(*self.light[:2]) + 1e-6) * rng.uniform(0.01, 0.16) * size
        if rng.random() < 0.6:
            moved = cv2.warpAffine(shape, np.array([[1, 0, away[0]], [0, 1, away[1]]], np.float32), (size, size))
            self.lit *= 1 - cv2.GaussianBlur(moved, (0, 0), max(0.4, self.blur)) * rng.uniform(0.7, 1)
            self.has_edges = True
        if rng.random() < 0.4:
            self.open *= 1 - rng.uniform(0.1, 0.5) * cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.01, 0.06) * size)
        over = shape[..., np.newaxis]
        self.normals = self.normals * (1 - over) + _surface(rng, shape) * over
        one = np.broadcast_to(colours(rng, 1).astype(np.float32), self.reflectance.shape)
        covering = one if rng.random() < 0.5 else paint(rng, size)
        self.reflectance = self.reflectance * (1 - over) + covering * over
        self.lit = self.lit * (1 - shape) + shape
        self.open = self.open * (1 - shape) + shape
        self.shows_direction = True

    def cast_pattern(self) -> None:
        """The shadow of a window, of leaves, ... over everything."""
        kind = self.rng.choice(list(PATTERN_SHARES))
        self.lit = self.lit * cast(kind, self.size, self.size, self.blur / self.size, self.rng)
        self.has_edges = kind != "cloud"
        self.shows_direction = False

    def hang_sky(self) -> None:
        """A sky behind it all, brightest at the horizon: paint, as it were, which no light falls on."""
        size = self.size
        rows, columns = np.mgrid[:size, :size] / size
        ragged = 0.3 * noise(self.rng, size, size / self.rng.uniform(6, 40))
        horizon = self.rng.uniform(0.2, 0.6) + self.rng.uniform(-0.1, 0.1) * columns
        is_sky = rows + ragged * self.rng.random() < horizon
        high, low = colours(self.rng, 2)
        low = (low + self.rng.uniform(0.2, 1)) / 2
        share = np.clip(rows / horizon, 0, 1)[..., np.newaxis]
        self.reflectance = np.where(is_sky[..., np.newaxis], high + (low - high) * share, self.reflectance)
        self.is_sky = is_sky

    def world(self) -> World:
        rng = self.rng
        ambient = rng.uniform(0.08, 0.4) if self.has_direct_light else 1.0
        key = _colour_of_light(rng, 2200, 9000)
        fill = _colour_of_light(rng, 2500, 12000) if rng.random() < 0.6 else key
        normals = _unit(self.normals)
        lambert = np.clip(normals @ self.light, 0, 1) * self.lit
        shading = ambient * self.open[..., np.newaxis] * fill + (1 - ambient) * lambert[..., np.newaxis] * key
        if rng.random() < LAMPS and not self.is_flat:
            for _ in range(int(rng.integers(1, 3))):
                shading = shading + _lamp(rng, normals) * self.open[..., np.newaxis] * _colour_of_light(rng, 1900, 4500)
            self.shows_direction = False
        shading[self.is_sky] = shading.mean(axis=(0, 1))
        if rng.random() < 0.15:
            shading *= vignette(rng, self.size)[..., np.newaxis]
        azimuth = float(np.degrees(self.azimuth)) if self.shows_direction and not self.is_flat else None
        is_hard = self.is_hard if self.has_edges and self.has_direct_light else None
        reflectance = self.reflectance.clip(DARKEST_PAINT, BRIGHTEST).astype(np.float32)
        normals[self.is_sky] = 0
        return World(
            reflectance, shading.astype(np.float32), normals.astype(np.float32), azimuth, self.is_flat, is_hard
        )


def vignette(rng: Rng, size: int) -> np.ndarray:
    """What a lens leaves of the light towards the corners, size x size, 1 in the middle."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    return 1 - rng.uniform(0.2, 1.0) * (rows * rows + columns * columns)


def _colour_of_light(rng: Rng, warmest: float, coolest: float) -> np.ndarray:
    """Linear RGB between two colour temperatures in kelvin, in even steps of mired; seldom of a gel or a coloured lamp."""
    colour = rgb_of_cct(1 / rng.uniform(1 / coolest, 1 / warmest))
    return colour * np.exp(rng.normal(0, 0.3, 3)).astype(np.float32) if rng.random() < GELS else colour


def _lamp(rng: Rng, normals: np.ndarray) -> np.ndarray:
    """Light of a lamp somewhere in the picture or beside it, before its surfaces (HxWx1): by distance and by angle."""
    size = len(normals)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size
    x, y = rng.uniform(-0.3, 1.3, 2)
    towards = np.stack([x - columns, rows - y, np.full_like(rows, rng.uniform(0.08, 0.5))], axis=-1)
    distance = np.linalg.norm(towards, axis=-1)
    lit = np.clip((normals * towards).sum(axis=-1) / distance, 0, 1) / (0.15 + distance**2)
    return (lit / lit.max() * rng.uniform(0.3, 2.0))[..., np.newaxis]


# ---- Shapes ----


def silhouette(rng: Rng, size: int) -> np.ndarray:
    """Size x size float32, 1 inside a wobbly round, a polygon, a box or a capsule somewhere in the picture."""
    import cv2

    radius = size * rng.uniform(0.05, 0.33)
    x, y = rng.uniform(0.05, 0.95, 2) * size
    kind, turn = rng.integers(4), rng.uniform(0, 2 * np.pi)
    angles = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if kind == 0:
        reach = radius * (1 + sum(rng.uniform(0, 0.12) * np.sin(n * angles + rng.uniform(0, 7)) for n in (2, 3, 4, 5)))
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        reach = radius * rng.uniform(0.6, 1.3, len(angles))
    else:
        power, long = (8, rng.uniform(0.3, 1)) if kind == 2 else (rng.uniform(2, 3), rng.uniform(0.25, 1))
        reach = radius / (np.abs(np.cos(angles)) ** power + np.abs(np.sin(angles) / long) ** power) ** (1 / power)
    outline = np.stack([x + reach * np.cos(angles + turn), y + reach * np.sin(angles + turn)], axis=1)
    shape = np.zeros((size, size), np.uint8)
    cv2.fillPoly(shape, [np.rint(outline * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return shape.astype(np.float32) / 255


def _surface(rng: Rng, shape: np.ndarray) -> np.ndarray:
    """Normals of what fills the silhouette: swollen, of two to four flat faces, or one tilted card."""
    import cv2

    size = len(shape)
    kind = rng.random()
    if kind < 0.55:
        distance = cv2.distanceTransform((shape > 0.5).astype(np.uint8), cv2.DIST_L2, 5)
        reach = max(2.0, float(distance.max()) * rng.uniform(0.5, 1.0))
        inside = np.clip(distance / reach, 0, 1)
        heights = reach * np.sqrt(np.clip(1 - (1 - inside) ** 2, 0, None))
        heights = cv2.GaussianBlur(heights.astype(np.float32), (0, 0), max(0.7, reach * rng.uniform(0.01, 0.06)))
        if rng.random() < 0.6:
            heights = heights * rng.uniform(0.6, 1.1) + rolling(rng, size) * rng.uniform(0.05, 0.4)
        return normals_of(heights)
    turn = rng.uniform(0, 2 * np.pi, 4 if kind < 0.85 else 1)
    tilt = rng.uniform(0.2, 1.2, len(turn))
    faces = np.stack([np.cos(turn) * np.sin(tilt), np.sin(turn) * np.sin(tilt), np.cos(tilt)], axis=1)
    rows, columns = np.nonzero(shape > 0.5)
    centre = np.array([rows.mean(), columns.mean()]) + rng.normal(0, 0.1, 2) * np.sqrt(len(rows))
    y, x = np.mgrid[:size, :size]
    around = (np.arctan2(y - centre[0], x - centre[1]) + rng.uniform(0, 2 * np.pi)) % (2 * np.pi)
    borders = np.sort(rng.uniform(0, 2 * np.pi, max(1, len(turn) - 1)))
    return faces[np.searchsorted(borders, around) % len(turn)].astype(np.float32)


def rolling(rng: Rng, size: int) -> np.ndarray:
    """Heights in pixels: hills, folds of cloth or bumps at random scales."""
    heights = np.zeros((size, size), np.float32)
    steep, finest = rng.uniform(0.5, 2.5), rng.uniform(0.01, 0.12)
    for scale in (0.2, 0.1, 0.05, 0.025, 0.012):
        if scale < finest:
            break
        field = noise(rng, size, scale * size)
        if rng.random() < 0.3:
            field = 1 - 2 * np.abs(field - 0.5)  # creases
        heights += field * size * scale * steep * rng.uniform(0.3, 1.3)
    if rng.random() < 0.25:
        rows, columns = np.mgrid[:size, :size] / size
        turn, pitch = rng.uniform(0, np.pi), rng.uniform(0.06, 0.3)
        along = columns * np.cos(turn) + rows * np.sin(turn) + 0.15 * noise(rng, size, 0.15 * size)
        heights += np.float32(rng.uniform(0.1, 0.3) * pitch * size) * np.sin(2 * np.pi * along / pitch)
    return heights


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / (np.linalg.norm(vectors, axis=-1, keepdims=True) + 1e-9)


def _fall_of_light(rng: Rng, size: int, azimuth: float, strength: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    if rng.random() < 0.5:
        slope = columns * np.cos(azimuth) - rows * np.sin(azimuth)
        return (0.5 + 0.48 * strength * slope / np.abs(slope).max()).astype(np.float32)
    reach = rng.uniform(0.3, 0.8)
    square = (columns - reach * np.cos(azimuth)) ** 2 + (rows + reach * np.sin(azimuth)) ** 2
    return (1 / (1 + 10 * strength * square)).astype(np.float32)
