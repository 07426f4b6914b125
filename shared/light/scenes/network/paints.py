"""Paints for rendered worlds, from even patches to what photographs show."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from shared.light.colour import srgb_to_linear
from shared.light.scenes.reflectances import BRIGHTEST, DARKEST_PAINT, colours, mondrian, noise

Rng = np.random.Generator
Paint = Callable[[Rng, int], np.ndarray]  # size x size x 3 float32, linear reflectance
FOLDER: Path | None = None  # of photographs whose parts are paint too


def paint(rng: Rng, size: int) -> np.ndarray:
    """One of PAINTS, drawn by its share, size x size x 3."""
    chosen = rng.choice(len(PAINTS), p=list(PAINTS.values()))
    return list(PAINTS)[int(chosen)](rng, size).clip(DARKEST_PAINT, BRIGHTEST).astype(np.float32)


def patches_paint(rng: Rng, size: int) -> np.ndarray:
    return mondrian(rng, size, int(np.exp(rng.uniform(np.log(3), np.log(150)))))


def grained(rng: Rng, size: int) -> np.ndarray:
    """Patches with a grain of any size and strength."""
    grain = np.zeros((size, size, 1), np.float32)
    for sigma in rng.uniform(0.6, 8, 2):
        field = noise(rng, size, sigma)[..., np.newaxis]
        tint = rng.uniform(0.6, 1.4, 3).astype(np.float32) if rng.random() < 0.7 else 1.0
        grain = grain + np.exp(rng.uniform(np.log(0.03), np.log(0.6))) * (field - field.mean()) / field.std() * tint
    return patches_paint(rng, size) * np.exp(grain)


def pebbles(rng: Rng, size: int) -> np.ndarray:
    """Stones of one kind, close together, darker where they meet."""
    from scipy.spatial import cKDTree

    count = int(np.exp(rng.uniform(np.log(200), np.log(6000))))
    places = np.mgrid[:size, :size].reshape(2, -1).T / size
    places = places + 0.02 * np.stack([noise(rng, size, size / 60).ravel() for _ in range(2)], axis=1)
    distance, stone = cKDTree(rng.uniform(-0.02, 1.04, (count, 2))).query(places, k=2)
    border = np.clip((distance[:, 1] - distance[:, 0]) * np.sqrt(count) * 3, 0, 1)
    tone = rng.normal(0, rng.uniform(0.1, 0.6), (count, 1)) + rng.normal(0, 0.08, (count, 3)) * (rng.random() < 0.6)
    logarithm = tone[stone[:, 0]] + rng.uniform(0, 1.5) * (border[:, np.newaxis] - 1)
    return (colours(rng, 1)[0] * np.exp(logarithm)).reshape(size, size, 3).astype(np.float32)


def blades(rng: Rng, size: int) -> np.ndarray:
    """Strokes over one another, as grass, hair, fur or straw."""
    import cv2

    base = colours(rng, 1)[0]
    picture = np.full((size, size, 3), base * 0.5, np.float32)
    main, spread, tone = rng.uniform(0, np.pi), rng.uniform(0.1, 1.5), rng.uniform(0.15, 0.7)
    length, width = size * rng.uniform(0.03, 0.2), int(rng.integers(1, 4))
    for _ in range(int(40 * (size / length) ** 2 / width) if length > 12 else 4000):
        x, y = rng.uniform(-0.05, 1.05, 2) * size
        turn = main + rng.normal(0, spread)
        end = int(x + length * np.cos(turn)), int(y + length * np.sin(turn))
        colour = (base * np.exp(rng.normal(0, tone) + rng.normal(0, 0.05, 3))).clip(DARKEST_PAINT, BRIGHTEST)
        cv2.line(picture, (int(x), int(y)), end, colour.tolist(), width, cv2.LINE_AA)
    return picture


def bricks(rng: Rng, size: int) -> np.ndarray:
    """Bricks or tiles in courses, each of its own tone, with joints."""
    rows, columns = np.mgrid[:size, :size] / size
    turn, pitch = rng.uniform(-0.6, 0.6) + (rng.random() < 0.5) * np.pi / 2, rng.uniform(0.04, 0.2)
    down = (rows * np.cos(turn) + columns * np.sin(turn)) / pitch
    across = (columns * np.cos(turn) - rows * np.sin(turn)) / pitch / rng.uniform(1, 3.5)
    course = np.floor(down).astype(int)
    across = across + 0.5 * (course % 2)
    brick = np.floor(across).astype(int)
    joint = np.minimum(np.abs(down - np.rint(down)), np.abs(across - np.rint(across))) < rng.uniform(0.02, 0.08)
    tones = rng.normal(0, rng.uniform(0.03, 0.4), (97, 1)) + rng.normal(0, 0.05, (97, 3))
    wall = colours(rng, 1)[0] * np.exp(tones[(course * 31 + brick * 7) % 97])
    wall = np.where(joint[..., np.newaxis], colours(rng, 1)[0], wall)
    grain = noise(rng, size, rng.uniform(0.6, 3))[..., np.newaxis]
    return (wall * np.exp(rng.uniform(0, 0.25) * (grain - grain.mean()) / grain.std())).astype(np.float32)


def leaves(rng: Rng, size: int) -> np.ndarray:
    """Discs, boxes and triangles over one another, as small as they like (dead leaves; Lee, Mumford and Huang, 2001)."""
    import cv2

    palette = colours(rng, int(rng.integers(3, 12)))
    picture = np.full((size, size, 3), palette[0], np.float32)
    for _ in range(int(rng.integers(60, 500))):
        radius = size * min(0.3, 0.012 * (1 - rng.random()) ** -0.8)
        x, y = rng.uniform(0, size, 2)
        colour = (palette[rng.integers(len(palette))] * np.exp(rng.normal(0, 0.25))).clip(DARKEST_PAINT, BRIGHTEST)
        corners = int(rng.choice([3, 4, 4, 24]))
        angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 7)
        outline = np.stack([x + radius * np.cos(angles), y + radius * rng.uniform(0.3, 1) * np.sin(angles)], axis=1)
        cv2.fillPoly(picture, [np.rint(outline * 16).astype(np.int32)], colour.tolist(), cv2.LINE_AA, 4)
    return picture


def clouded(rng: Rng, size: int) -> np.ndarray:
    """Two colours run into each other at several scales, as marble, rust or moss do."""
    field = sum(noise(rng, size, size * scale) * scale ** rng.uniform(0.2, 1) for scale in (0.1, 0.04, 0.015, 0.006))
    field = (field - field.mean()) / field.std()
    share = 1 / (1 + np.exp(-field * np.exp(rng.uniform(-0.5, 2.5))))
    one, other = colours(rng, 2)
    return (one + (other - one) * share[..., np.newaxis]).astype(np.float32)


def striped(rng: Rng, size: int) -> np.ndarray:
    """Stripes or checks of two or three colours."""
    rows, columns = np.mgrid[:size, :size] / size
    turn, pitch = rng.uniform(0, np.pi), rng.uniform(0.03, 0.25)
    bend = 0.1 * rng.random() * noise(rng, size, 0.15 * size)
    along = columns * np.cos(turn) + rows * np.sin(turn) + bend
    across = rows * np.cos(turn) - columns * np.sin(turn) + bend
    index = np.floor(along / pitch).astype(int)
    if rng.random() < 0.5:
        index += np.floor(across / pitch).astype(int)
    paints = colours(rng, int(rng.integers(2, 4)))
    return paints[index % len(paints)].astype(np.float32)


def written(rng: Rng, size: int) -> np.ndarray:
    """Letters and figures on patches."""
    import cv2

    letters = np.zeros((size, size), np.uint8)
    for _ in range(int(rng.integers(2, 14))):
        text = "".join(rng.choice(list("ABCDEFGHKLMNPRSTUVXYZabcdefghkmnopqrstuvxyz0123456789&"), 8))
        at = (int(rng.uniform(-0.1, 0.8) * size), int(rng.uniform(0.05, 1) * size))
        scale = rng.uniform(0.3, 2) * size / 384
        cv2.putText(letters, text, at, int(rng.integers(0, 5)), scale, 255, max(1, int(3 * scale)), cv2.LINE_AA)
    paper, ink = patches_paint(rng, size), colours(rng, 1)[0].astype(np.float32)
    return paper + (ink - paper) * (letters[..., np.newaxis] / np.float32(255))


def photographed(rng: Rng, size: int) -> np.ndarray:
    """Part of a photograph, with most of its own slow falls of light taken out: what real things are painted like."""
    import cv2

    pictures = _photographs()
    picture = pictures[int(rng.integers(len(pictures)))]
    shorter = min(picture.shape[:2])
    side = int(shorter * np.exp(rng.uniform(np.log(0.15), np.log(0.8))))
    top, left = (int(rng.integers(length - side + 1)) for length in picture.shape[:2])
    crop = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    if side > size:
        crop = cv2.resize(np.ascontiguousarray(crop), (size, size), interpolation=cv2.INTER_AREA)
    logarithm = np.log(srgb_to_linear(np.ascontiguousarray(crop)) + np.float32(0.005))
    slow = cv2.GaussianBlur(logarithm.mean(axis=-1), (0, 0), 0.2 * len(crop))
    logarithm -= rng.uniform(0.5, 1) * (slow - slow.mean())[..., np.newaxis]
    if rng.random() < 0.3:
        logarithm = np.repeat(logarithm.mean(axis=-1, keepdims=True), 3, axis=-1)
    logarithm += np.log(0.3) - np.median(logarithm)
    return cv2.resize(np.exp(logarithm), (size, size), interpolation=cv2.INTER_CUBIC).clip(DARKEST_PAINT, BRIGHTEST)


@cache
def _photographs() -> list[Any]:
    """Those of scikit-image that scenes.py does not print and this project does not show, and those in FOLDER."""
    import cv2
    from skimage import data

    given = sorted(path for path in FOLDER.iterdir() if path.suffix in (".jpg", ".png")) if FOLDER else []
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in given]
    pictures += [data.stereo_motorcycle()[0], data.retina(), data.hubble_deep_field()]
    greys = (data.moon(), data.coins(), data.page(), data.text(), data.clock(), data.cell())
    return pictures + [np.repeat(grey[..., np.newaxis], 3, axis=-1) for grey in greys]


PAINTS: dict[Paint, float] = {
    patches_paint: 0.1, grained: 0.17, leaves: 0.12, clouded: 0.09, striped: 0.05, written: 0.04,
    pebbles: 0.13, blades: 0.1, bricks: 0.06, photographed: 0.14,
}  # fmt: skip
