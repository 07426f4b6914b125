"""Rendered scenes with known truth, to measure what is said of light and what is left of it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from shared.light.colour import linear_to_srgb, rgb_of_cct
from shared.light.degradation.patterns import cast
from shared.light.scenes.reflectances import colours, mondrian, noise, painted, plain_paint, textured
from shared.light.scenes.solids import trace
from shared.light.surface import normals_of

FRONT = np.array([0, 0, 1], np.float32)
Reflectance = Callable[[np.random.Generator, int], np.ndarray]


@dataclass
class Scene:
    """A rendered photograph and everything that went into it."""

    image: np.ndarray  # HxWx3 uint8
    reflectance: np.ndarray  # HxWx3 float32
    shading: np.ndarray  # HxWx3 float32; image = reflectance * shading, exposed, with noise, in sRGB
    mask: np.ndarray | None  # HxW uint8, the subject where there is one
    normals: np.ndarray  # HxWx3 float32 of unit length: right, up, towards the camera
    azimuth_degrees: float | None  # of the light; None for light that comes from nowhere
    is_hard: bool | None  # None where nothing in the scene shows it
    cct_kelvin: float  # of the light in the mean
    has_cast_shadows: bool


def render(family: str, seed: int, size: int = 384) -> Scene:
    """One scene of a family, size x size pixels; the same arguments always give the same scene."""
    return SCENE_FAMILIES[family](np.random.default_rng([seed, *family.encode()]), size)


def mondrian_gradient(rng: np.random.Generator, size: int) -> Scene:
    """Even patches under a slow fall of light across the image, or around a lamp."""
    light = _Light(rng)
    direct = _gradient(rng, size, light.azimuth) if rng.random() < 0.6 else _lamp(rng, size, light)
    return _expose(rng, mondrian(rng, size), direct, light)


def textured_relief(rng: np.random.Generator, size: int) -> Scene:
    """Grained patches on a rolling surface, without cast shadows."""
    light = _Light(rng)
    paint, normals = textured(rng, size), normals_of(height_field(rng, size))
    return _expose(rng, paint, _lambert(normals, light), light, normals=normals)


def two_colours(rng: np.random.Generator, size: int) -> Scene:
    """A rolling surface in warm light from one side and cool light from everywhere, or the other way round."""
    light = _Light(rng, coloured=True)
    reflectance: Reflectance = textured if rng.random() < 0.5 else mondrian
    paint, normals = reflectance(rng, size), normals_of(height_field(rng, size))
    return _expose(rng, paint, _lambert(normals, light), light, normals=normals)


def print_relief(rng: np.random.Generator, size: int) -> Scene:
    """A photograph for a reflectance, on a rolling surface or under a slow fall of light."""
    light = _Light(rng)
    normals = None
    if rng.random() < 0.5:
        normals = normals_of(height_field(rng, size))
        field = _lambert(normals, light)
    else:
        field = _gradient(rng, size, light.azimuth)
    return _expose(rng, painted(rng, size), field, light, normals=normals)


def gobo(rng: np.random.Generator, size: int) -> Scene:
    """A window, leaves or blinds cast on patches or a print: shadows with edges."""
    light = _Light(rng)
    kind = ("window_frame", "tree_foliage", "venetian_blind", "branch")[int(rng.integers(4))]
    light.is_hard = bool(rng.random() < 0.5)
    penumbra = rng.uniform(0.001, 0.004) if light.is_hard else rng.uniform(0.02, 0.035)
    reflectance: Reflectance = (mondrian, textured, painted)[int(rng.integers(3))]
    direct = _gradient(rng, size, light.azimuth) * cast(kind, size, size, penumbra, rng)
    return _expose(rng, reflectance(rng, size), direct, light, has_cast_shadows=True, direction_known=False)


def cast_relief(rng: np.random.Generator, size: int) -> Scene:
    """A rolling surface with bumps that throw shadows on it."""
    light = _Light(rng)
    heights = height_field(rng, size, bumps=4)
    light.is_hard = bool(rng.random() < 0.5)
    softness = rng.uniform(0.5, 1.5) if light.is_hard else rng.uniform(6, 12)
    lit = _cast_shadow(heights, light, softness * size / 384)
    normals = normals_of(heights)
    direct = _lambert(normals, light) * lit
    return _expose(rng, textured(rng, size), direct, light, has_cast_shadows=True, normals=normals)


def solids(rng: np.random.Generator, size: int) -> Scene:
    """Spheres, boxes and capsules before a wall: cast shadows, coloured key and ambient light."""
    light = _Light(rng, coloured=True)
    light.is_hard = bool(rng.random() < 0.5)
    # From below, no light would pass the ground: such a scene is traced upside down, with a ceiling for a ground.
    from_above = light.vector * np.array([1, np.sign(light.vector[1]), 1], np.float32)
    seen = trace(rng, size, from_above, rng.uniform(30, 60) if light.is_hard else rng.uniform(2.5, 5))
    solid, direct, normals = seen.solid, seen.direct, seen.normals
    if light.vector[1] <= 0:
        solid, direct, normals = np.flipud(solid), np.flipud(direct), np.flipud(normals) * (1, -1, 1)
    paint = colours(rng, int(solid.max()) + 1).astype(np.float32)
    reflectance = paint[solid]
    wall = plain_paint(rng, size)
    reflectance = np.where((solid == 0)[..., np.newaxis], wall, reflectance)
    visible = np.bincount(solid.ravel(), minlength=len(seen.is_round)) * np.array(seen.is_round)
    mask = None
    if visible.max() > 0.03 * size * size:
        mask = np.where(solid == visible.argmax(), 255, 0).astype(np.uint8)
    return _expose(rng, reflectance, direct, light, mask, has_cast_shadows=True, normals=normals)


def subject(rng: np.random.Generator, size: int) -> Scene:
    """One rounded, textured thing before a background of patches, with no shadow between them."""
    import cv2

    light = _Light(rng)
    rows, columns = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    y, x = rows - rng.uniform(-0.12, 0.12), columns - rng.uniform(-0.12, 0.12)
    angle = np.arctan2(y, x)
    wobble = sum(rng.uniform(0, 0.09) * np.sin(lobe * angle + rng.uniform(0, 2 * np.pi)) for lobe in (2, 3, 4))
    radius = np.hypot(x, y) / (rng.uniform(0.2, 0.34) * (1 + wobble))
    heights = np.sqrt(np.clip(1 - radius**2, 0, None)) * rng.uniform(0.2, 0.34) * size
    heights += 0.02 * size * (noise(rng, size, size / 18) - 0.5)
    mask = np.where(radius < 1, 255, 0).astype(np.uint8)
    normals = normals_of(cv2.GaussianBlur(heights.astype(np.float32), (0, 0), 1))
    behind = 0.35 + 0.3 * _gradient(rng, size, light.azimuth)
    direct = np.where(mask > 0, _lambert(normals, light), behind)
    normals = np.where((mask > 0)[..., np.newaxis], normals, FRONT)
    reflectance = np.where((mask > 0)[..., np.newaxis], textured(rng, size), mondrian(rng, size))
    return _expose(rng, reflectance, direct, light, mask, normals=normals)


def flat(rng: np.random.Generator, size: int) -> Scene:
    """Even light: nothing is to be taken away and no direction to be claimed."""
    light = _Light(rng)
    reflectance: Reflectance = (mondrian, textured, painted, plain_paint)[int(rng.integers(4))]
    even = np.full((size, size), 0.8, np.float32) + 0.04 * noise(rng, size, size / 4)
    scene = _expose(rng, reflectance(rng, size), even, light, direction_known=False)
    if rng.random() < 0.5:
        rows, columns = np.mgrid[:size, :size] / size - 0.5
        scene.mask = np.where(np.hypot(rows, columns) < rng.uniform(0.2, 0.35), 255, 0).astype(np.uint8)
    return scene


SCENE_FAMILIES: dict[str, Callable[[np.random.Generator, int], Scene]] = {
    scene.__name__: scene
    for scene in (
        mondrian_gradient, textured_relief, two_colours, print_relief, subject, cast_relief, gobo, solids, flat,
    )
}  # fmt: skip


class _Light:
    """A drawn light: from where, how much of it is ambient, and of which colours."""

    def __init__(self, rng: np.random.Generator, coloured: bool = False):
        self.azimuth = rng.uniform(0, 2 * np.pi)
        elevation = rng.uniform(0.35, 1.0)
        self.vector = np.array(
            [np.cos(self.azimuth) * np.cos(elevation), np.sin(self.azimuth) * np.cos(elevation), np.sin(elevation)],
            np.float32,
        )
        self.ambient = rng.uniform(0.12, 0.35)
        self.is_hard: bool | None = None
        key, fill = 1 / rng.uniform(1 / 9000, 1 / 2800), None
        if coloured:
            key, fill = 1 / rng.uniform(1 / 5000, 1 / 2800), rng.uniform(6000, 9000)
        self.key_kelvin = key
        self.key = rgb_of_cct(key)
        self.fill = rgb_of_cct(fill) if fill else self.key


def _expose(
    rng: np.random.Generator,
    reflectance: np.ndarray,
    direct: np.ndarray,
    light: _Light,
    mask: np.ndarray | None = None,
    has_cast_shadows: bool = False,
    direction_known: bool = True,
    normals: np.ndarray | None = None,
) -> Scene:
    """A photograph of it; without `normals` its surface faces the camera."""
    if normals is None:
        normals = np.broadcast_to(FRONT, reflectance.shape)
    shading = light.ambient * light.fill + (1 - light.ambient) * direct[..., np.newaxis] * light.key
    shading = shading.astype(np.float32)
    picture = reflectance * shading
    picture = picture / np.percentile(picture.max(axis=-1), 99.5)
    picture = picture + rng.normal(0, 0.004, picture.shape)
    return Scene(
        image=linear_to_srgb(picture),
        reflectance=reflectance.astype(np.float32),
        shading=shading,
        mask=mask,
        normals=normals.astype(np.float32),
        azimuth_degrees=float(np.degrees(light.azimuth)) if direction_known else None,
        is_hard=light.is_hard,
        cct_kelvin=light.key_kelvin,
        has_cast_shadows=has_cast_shadows,
    )


def _gradient(rng: np.random.Generator, size: int, azimuth: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    slope = columns * np.cos(azimuth) - rows * np.sin(azimuth)
    return (0.5 + 0.45 * slope / np.abs(slope).max()).astype(np.float32)


def _lamp(rng: np.random.Generator, size: int, light: _Light) -> np.ndarray:
    distance = rng.uniform(0.35, 0.7)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    x, y = distance * np.cos(light.azimuth), -distance * np.sin(light.azimuth)
    return (1 / (1 + 6 * ((rows - y) ** 2 + (columns - x) ** 2))).astype(np.float32)


def height_field(rng: np.random.Generator, size: int, bumps: int = 2) -> np.ndarray:
    import cv2

    scale = size / 384
    field = np.zeros((size, size), np.float32)
    for sigma, height in ((70, 90), (35, 35), (14, 6)):
        field += noise(rng, size, sigma * scale) * height * scale
    rows, columns = np.mgrid[:size, :size]
    for _ in range(int(rng.integers(1, bumps + 2))):
        radius = rng.uniform(0.12, 0.3) * size
        y, x = rng.uniform(0.2, 0.8, 2) * size
        bump = np.sqrt(np.maximum(radius**2 - (rows - y) ** 2 - (columns - x) ** 2, 0))
        field = np.maximum(field, bump + field.mean() - 0.25 * radius)
    return cv2.GaussianBlur(field.astype(np.float32), (0, 0), 1.5 * scale)


def _lambert(normals: np.ndarray, light: _Light) -> np.ndarray:
    return np.clip(normals @ light.vector, 0, 1)


def _cast_shadow(heights: np.ndarray, light: _Light, softness: float) -> np.ndarray:
    import cv2

    size = len(heights)
    right, up, toward = light.vector
    level = float(np.hypot(right, up))
    highest = np.full_like(heights, -np.inf)
    for step in np.linspace(2, 0.45 * size, 70):
        move = np.array([[1, 0, -step * right / level], [0, 1, step * up / level]])
        pushed = cv2.warpAffine(heights, move, (size, size), borderMode=cv2.BORDER_REPLICATE)
        highest = np.maximum(highest, pushed - step * toward / level)
    lit = (highest <= heights + 0.5).astype(np.float32)
    return cv2.GaussianBlur(lit, (0, 0), softness)
