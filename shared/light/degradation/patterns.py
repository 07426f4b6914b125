"""Shapes that stand between a light and a subject: what they let through, with a penumbra."""

from collections.abc import Callable

import numpy as np

# Weights as the original relighting data had them.
PATTERN_SHARES = {
    "tree_foliage": 0.20,
    "venetian_blind": 0.18,
    "window_frame": 0.15,
    "branch": 0.12,
    "curtain": 0.10,
    "fence": 0.08,
    "voronoi": 0.07,
    "lattice": 0.05,
    "cloud": 0.03,
    "screen": 0.02,
}


def cast(kind: str, height: int, width: int, penumbra: float, rng: np.random.Generator) -> np.ndarray:
    """What the pattern lets through, HxW float32 from 0 (shadow) to 1 (light).

    `penumbra` is the blur of its edges: the sigma of a Gaussian as a share of the long side, as a larger or
    nearer light makes it. The shape is drawn from `rng`; `kind` is a key of WEIGHTS.
    """
    import cv2

    light = PATTERNS[kind](height, width, rng).astype(np.float32)
    sigma = penumbra * max(height, width)
    if sigma > 0.2:
        light = cv2.GaussianBlur(light, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.clip(light, 0, 1)


def tree_foliage(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Clusters of leaves with gaps of light between them."""
    import cv2

    size = max(height, width)
    light = np.ones((height, width), np.float32)
    density = 0.6 + 0.4 * _noise(height, width, 0.18, rng)
    for _ in range(int(rng.integers(220, 420))):
        x, y = rng.uniform(-0.05, 1.05, 2) * (width, height)
        keep = rng.random()
        inside = density[min(height - 1, max(0, int(y))), min(width - 1, max(0, int(x)))]
        length = size * rng.uniform(0.018, 0.05)
        angle = rng.uniform(0, 360)
        if keep < inside**3:
            axes = (max(1, int(length)), max(1, int(length * rng.uniform(0.3, 0.55))))
            cv2.ellipse(light, (int(x), int(y)), axes, angle, 0, 360, 0.0, -1, cv2.LINE_AA)
    return light


def venetian_blind(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Slanting bars of light through the slats, of even pitch."""
    along, _ = _frame(height, width, rng.uniform(-0.6, 0.6), rng)
    pitch = rng.uniform(0.06, 0.14)
    return _stripes(along, pitch, rng.uniform(0.4, 0.6), rng.random(), 1 / max(height, width))


def window_frame(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """One lit window, leaning as the light falls, with its crossbars."""
    down, across = _frame(height, width, rng.uniform(-0.35, 0.35), rng)
    across = across + rng.uniform(-0.4, 0.4) * down
    half_width, half_height = rng.uniform(0.22, 0.4, 2)
    bars, rails = int(rng.integers(1, 3)), int(rng.integers(1, 4))
    thickness, edge = rng.uniform(0.012, 0.03), 1 / max(height, width)
    light = _step(half_width - np.abs(across), edge) * _step(half_height - np.abs(down), edge)
    for count, half, position in ((bars, half_width, across), (rails, half_height, down)):
        for bar in range(count):
            centre = -half + 2 * half * (bar + 1) / (count + 1)
            light = light * _step(np.abs(position - centre) - thickness / 2, edge)
    return light


def branch(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Bare boughs that fork, from a border inward."""
    import cv2

    size = max(height, width)
    light = np.ones((height, width), np.float32)

    def grow(x: float, y: float, angle: float, length: float, thickness: float, depth: int) -> None:
        for _ in range(4):
            angle += rng.normal(0, 0.14)
            end = (x + np.cos(angle) * length / 4, y + np.sin(angle) * length / 4)
            line = (int(x), int(y)), (int(end[0]), int(end[1]))
            cv2.line(light, *line, 0.0, max(1, round(thickness)), cv2.LINE_AA)
            x, y = end
        if depth:
            for side in (-1, 1):
                grow(
                    x, y, angle + side * rng.uniform(0.25, 0.7), length * rng.uniform(0.6, 0.85),
                    thickness * 0.68, depth - 1,
                )  # fmt: skip

    for _ in range(int(rng.integers(2, 4))):
        turn = rng.uniform(0, 2 * np.pi)
        x, y = width * (0.5 + 0.65 * np.cos(turn)), height * (0.5 + 0.65 * np.sin(turn))
        inward = np.arctan2(height / 2 - y, width / 2 - x) + rng.normal(0, 0.3)
        grow(x, y, inward, size * rng.uniform(0.22, 0.36), size * rng.uniform(0.014, 0.03), 5)
    return light


def curtain(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Folds of thin cloth: soft, uneven, nearly upright bands."""
    _, across = _frame(height, width, rng.uniform(-0.12, 0.12), rng)
    across = across + 0.03 * (_noise(height, width, 0.2, rng) - 0.5)
    folds = np.zeros_like(across)
    for pitch, strength in ((rng.uniform(0.1, 0.2), 1.0), (rng.uniform(0.04, 0.09), 0.5)):
        folds += strength * np.sin(2 * np.pi * (across / pitch + rng.random()))
    return 0.5 + folds / 3


def fence(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Upright pickets with two rails across."""
    down, across = _frame(height, width, rng.uniform(-0.25, 0.25), rng)
    across = across + rng.uniform(-0.3, 0.3) * down
    edge = 1 / max(height, width)
    gaps = _stripes(across, rng.uniform(0.08, 0.16), rng.uniform(0.4, 0.6), rng.random(), edge)
    for centre in (-rng.uniform(0.12, 0.25), rng.uniform(0.12, 0.25)):
        gaps = gaps * _step(np.abs(down - centre) - rng.uniform(0.012, 0.025), edge)
    return gaps


def voronoi(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Cells of light with dark borders, as through crackled glass or a net of leaves."""
    from scipy.spatial import cKDTree

    down, across = _frame(height, width, rng.uniform(-np.pi, np.pi), rng)
    seeds = rng.uniform(-0.75, 0.75, (int(rng.integers(40, 110)), 2))
    points = np.stack([down.ravel(), across.ravel()], axis=1)
    distance, _ = cKDTree(seeds).query(points, k=2)
    border = (distance[:, 1] - distance[:, 0]).reshape(height, width)
    return _step(border - rng.uniform(0.012, 0.03), 1 / max(height, width))


def lattice(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Crossed laths, as of a garden trellis."""
    down, across = _frame(height, width, rng.uniform(0.5, 1.1), rng)
    pitch, share, edge = rng.uniform(0.08, 0.16), rng.uniform(0.6, 0.75), 1 / max(height, width)
    one = _stripes(down, pitch, share, rng.random(), edge)
    return one * _stripes(across, pitch, share, rng.random(), edge)


def cloud(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Broad, ragged patches of shade."""
    field = sum(_noise(height, width, scale, rng) * scale for scale in (0.25, 0.12, 0.06))
    middle, spread = np.median(field), np.ptp(field)
    return 1 / (1 + np.exp(-(field - middle) / (0.06 * spread + 1e-6)))


def screen(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """A fine upright mesh."""
    down, across = _frame(height, width, rng.uniform(-0.3, 0.3), rng)
    pitch, share, edge = rng.uniform(0.025, 0.045), rng.uniform(0.55, 0.7), 1 / max(height, width)
    one = _stripes(down, pitch, share, rng.random(), edge)
    return one * _stripes(across, pitch, share, rng.random(), edge)


PATTERNS: dict[str, Callable[[int, int, np.random.Generator], np.ndarray]] = {
    "tree_foliage": tree_foliage,
    "venetian_blind": venetian_blind,
    "window_frame": window_frame,
    "branch": branch,
    "curtain": curtain,
    "fence": fence,
    "voronoi": voronoi,
    "lattice": lattice,
    "cloud": cloud,
    "screen": screen,
}


def _frame(height: int, width: int, angle: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (down, across), turned by `angle`, in long sides from a centre near the image's."""
    size = max(height, width)
    centre = rng.uniform(-0.12, 0.12, 2)
    rows = (np.arange(height, dtype=np.float32)[:, np.newaxis] - height / 2) / size - np.float32(centre[0])
    columns = (np.arange(width, dtype=np.float32)[np.newaxis] - width / 2) / size - np.float32(centre[1])
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * rows - sine * columns, sine * rows + cosine * columns


def _step(signed: np.ndarray, edge: float) -> np.ndarray:
    """1 where `signed` is positive, 0 where negative, a ramp one pixel (`edge`) wide between."""
    return np.clip(signed / edge + 0.5, 0, 1)


def _stripes(position: np.ndarray, pitch: float, share: float, phase: float, edge: float) -> np.ndarray:
    """Stripes of light that take `share` of each `pitch`."""
    distance = np.abs((position / pitch + phase) % 1 - 0.5) * pitch
    return _step(share * pitch / 2 - distance, edge)


def _noise(height: int, width: int, scale: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise, 0..1, with features of `scale` long sides."""
    import cv2

    size = max(height, width)
    cells = max(2, round(1 / scale))
    grid = rng.random((cells + 3, cells + 3)).astype(np.float32)
    square = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)[:height, :width]
    return (square - square.min()) / (np.ptp(square) + 1e-6)
