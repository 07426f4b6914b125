"""What two small networks see in a photograph: its shading, where its light comes from and how hard it is, and its shapes.

They (light.onnx and shapes.onnx, 2 MB) learned this from rendered pictures alone; OpenCV runs them.
"""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.light.colour import rgb_of_cct, srgb_to_linear, strongest_channel
from shared.light.direction import CLIPPED

if TYPE_CHECKING:
    import cv2

GRID_SIZE = 192  # the long side of what it looks at, in pixels
STRIDE = 32  # what it looks at has sides of this many pixels or a multiple
NOISE_FLOOR = np.float32(0.003)  # linear light added before the logarithm, so that noise in black makes no edges
OUTPUTS = {"light": ["maps", "told"], "shapes": ["maps"]}
NETWORK_FILES = {name: Path(__file__).parent / f"{name}.onnx" for name in OUTPUTS}

# Log RGB as brightness, the chromaticity from cool to warm light, and what is left of chromaticity.
WARMING = np.log(rgb_of_cct(3000)) - np.log(rgb_of_cct(9000))
WARMING -= WARMING.mean()
WARMING /= np.linalg.norm(WARMING)
AXES = np.stack([np.full(3, 1 / 3), WARMING, np.cross(np.full(3, 3**-0.5), WARMING)], axis=1).astype(np.float32)

MIRRORED = np.array([-1, 1], np.float32)  # what becomes of a normal's parts to the right and up in a mirror
MOST_SIDEWAYS = np.float32(0.995)  # of a normal's length, so that none lies in the image's plane

_of_thread = threading.local()  # OpenCV's networks are not for two threads at once


class Seen(NamedTuple):
    """What the network says of a photograph's light."""

    log_shading: np.ndarray  # HxW float32, natural logarithm, mean 0
    # Of the whole picture: where the network sees differences, a photograph mostly has coloured things.
    log_tint: np.ndarray  # 3 float32, natural logarithm of the light's RGB, without its brightness
    towards_light: np.ndarray  # to the right and up; as long as the concentration of a von Mises distribution
    hardness: float  # odds of hard light as a share, 0..1


def look(photograph: np.ndarray) -> Seen:
    """Look at the light in a uint8 RGB photograph (HxWx3) of at most GRID_SIZE pixels a side, and in its mirror image.

    Both are put together, so that a mirrored photograph has just the mirrored answer.
    """
    (straight, mirrored), told = _look_twice("light", photograph)
    mean = (straight[..., :3] + mirrored[..., :3]) / 2
    shading, colour = mean[..., 0], mean[..., 1:]
    right, up, hard = (told[0] + told[1] * (-1, 1, 1)) / 2
    return Seen(
        shading - shading.mean(),
        (colour @ AXES[:, 1:].T).mean(axis=(0, 1)),
        np.array([right, up]),
        float(1 / (1 + np.exp(-hard))),
    )


def look_at_shapes(photograph: np.ndarray) -> np.ndarray:
    """Normals (HxWx3 float32 of unit length: right, up, towards the camera) of what look() looks at, in the same way."""
    (straight, mirrored), _ = _look_twice("shapes", photograph)
    return _facing((straight + mirrored * MIRRORED) / 2)


def _look_twice(name: str, photograph: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maps (2xHxWxn) of a photograph and, turned back, of its mirror image, and what is told of both (2xn, or nothing)."""
    height, width = photograph.shape[:2]
    padded = _padded(features(photograph))
    rows, columns = padded.shape[:2]
    seen = np.stack([padded, padded[:, ::-1]])
    blocks = seen.reshape(2, rows // 2, 2, columns // 2, 2, -1).transpose(0, 5, 2, 4, 1, 3)
    network = network_of(NETWORK_FILES[name])
    network.setInput(np.ascontiguousarray(blocks.reshape(2, -1, rows // 2, columns // 2)), "pixels")
    maps, *told = network.forward(OUTPUTS[name])
    maps = maps.reshape(2, -1, 2, 2, rows // 2, columns // 2).transpose(0, 4, 2, 5, 3, 1).reshape(2, rows, columns, -1)
    top, left = (rows - height) // 2, (columns - width) // 2
    inside = slice(top, top + height), slice(left, left + width)
    return np.stack([maps[0][inside], maps[1, :, ::-1][inside]]), told[0] if told else np.zeros((2, 0), np.float32)


def _facing(sideways: np.ndarray) -> np.ndarray:
    """Unit normals (HxWx3) of which the parts to the right and up (HxWx2) are known; all face the camera."""
    length = np.linalg.norm(sideways, axis=-1, keepdims=True)
    sideways = sideways * (MOST_SIDEWAYS / np.maximum(length, MOST_SIDEWAYS))
    return np.concatenate([sideways, np.sqrt(1 - (sideways**2).sum(axis=-1, keepdims=True))], axis=-1)


def shrink_to_grid(photograph: np.ndarray) -> np.ndarray:
    """A uint8 RGB photograph as look() wants it: its long side at most GRID_SIZE, both sides even."""
    import cv2

    height, width = photograph.shape[:2]
    scale = min(1.0, GRID_SIZE / max(height, width))
    size = tuple(max(2, 2 * round(side * scale / 2)) for side in (width, height))
    return photograph if size == (width, height) else cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)


def features(photograph: np.ndarray) -> np.ndarray:
    """What the network is shown of each pixel of a uint8 RGB photograph, HxWx4 float32.

    Log brightness above the picture's mean, so that exposure cancels; two axes of chromaticity; whether it is clipped.
    """
    planes = np.log(srgb_to_linear(photograph) + NOISE_FLOOR) @ AXES
    planes[..., 0] -= planes[..., 0].mean()
    clipped = (strongest_channel(photograph) >= CLIPPED).astype(np.float32)
    return np.concatenate([planes, clipped[..., np.newaxis]], axis=-1)


def _padded(planes: np.ndarray) -> np.ndarray:
    """Mirrored at its borders, as much on the left as on the right, up to multiples of STRIDE."""
    height, width = planes.shape[:2]
    more = [-side % STRIDE for side in (height, width)]
    return np.pad(planes, [*((extra // 2, extra - extra // 2) for extra in more), (0, 0)], mode="symmetric")


def network_of(file: Path) -> "cv2.dnn.Net":
    """The network of an ONNX file, read once by each thread."""
    import cv2

    networks: dict[Path, cv2.dnn.Net] = _of_thread.__dict__.setdefault("networks", {})
    if file not in networks:
        networks[file] = cv2.dnn.readNetFromONNX(str(file))
    return networks[file]
