"""What a small network sees in a photograph: its shading and normals, where its light comes from and how hard it is.

The network (shared/light/learned/, 0.9 MB with the code) learned this from rendered pictures alone; OpenCV runs it.
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
NETWORK_FILE = Path(__file__).parent / "light.onnx"

# Log RGB as brightness, the chromaticity from cool to warm light, and what is left of chromaticity.
WARMING = np.log(rgb_of_cct(3000)) - np.log(rgb_of_cct(9000))
WARMING -= WARMING.mean()
WARMING /= np.linalg.norm(WARMING)
AXES = np.stack([np.full(3, 1 / 3), WARMING, np.cross(np.full(3, 3**-0.5), WARMING)], axis=1).astype(np.float32)

MIRRORED = np.array([1, 1, 1, -1, 1], np.float32)  # what becomes of its maps in a mirror: right is left
MOST_SIDEWAYS = np.float32(0.995)  # of a normal's length, so that none lies in the image's plane

_of_thread = threading.local()  # OpenCV's networks are not for two threads at once


class Seen(NamedTuple):
    """What the network says of a photograph."""

    log_shading: np.ndarray  # HxW float32, natural logarithm, mean 0
    # Of the whole picture: where the network sees differences, a photograph mostly has coloured things.
    log_tint: np.ndarray  # 3 float32, natural logarithm of the light's RGB, without its brightness
    normals: np.ndarray  # HxWx3 float32 of unit length: right, up, towards the camera
    towards_light: np.ndarray  # to the right and up; as long as the concentration of a von Mises distribution
    hardness: float  # odds of hard light as a share, 0..1


def look(photograph: np.ndarray) -> Seen:
    """Look at a uint8 RGB photograph (HxWx3) of at most GRID_SIZE pixels a side, and at its mirror image.

    Both are put together, so that a mirrored photograph has just the mirrored answer.
    """
    height, width = photograph.shape[:2]
    padded = _padded(features(photograph))
    rows, columns = padded.shape[:2]
    seen = np.stack([padded, padded[:, ::-1]])
    blocks = seen.reshape(2, rows // 2, 2, columns // 2, 2, -1).transpose(0, 5, 2, 4, 1, 3)
    network = _network()
    network.setInput(np.ascontiguousarray(blocks.reshape(2, -1, rows // 2, columns // 2)), "pixels")
    maps, told = network.forward(["maps", "told"])
    maps = maps.reshape(2, -1, 2, 2, rows // 2, columns // 2).transpose(0, 4, 2, 5, 3, 1).reshape(2, rows, columns, -1)
    top, left = (rows - height) // 2, (columns - width) // 2
    mean = ((maps[0] + maps[1, :, ::-1] * MIRRORED) / 2)[top : top + height, left : left + width]
    shading, colour, sideways = mean[..., 0], mean[..., 1:3], mean[..., 3:]
    right, up, hard = (told[0] + told[1] * (-1, 1, 1)) / 2
    return Seen(
        shading - shading.mean(),
        (colour @ AXES[:, 1:].T).mean(axis=(0, 1)),
        _facing(sideways),
        np.array([right, up]),
        float(1 / (1 + np.exp(-hard))),
    )


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


def _network() -> "cv2.dnn.Net":
    if not hasattr(_of_thread, "network"):
        import cv2

        _of_thread.network = cv2.dnn.readNetFromONNX(str(NETWORK_FILE))
    return _of_thread.network
