"""Whether a photograph was taken by daylight, as a small network knows it from what is seen: grass, streets, lit rooms.

The network (daylight.onnx, 1.6 MB) is the first part of EfficientNet-Lite0 (Tan and Le, 2019; Apache-2.0), which learned on
ImageNet, in eight bits a weight, and three logistic regressions over the photographs of tests/photographs.tsv:
tests/fit_daylight.py.
"""

from pathlib import Path

import numpy as np

from shared.light.network import STRIDE, network_of

DAYLIGHT_FILE = Path(__file__).parent / "daylight.onnx"
INPUT_SIDE = 224  # pixels: of a square of as many pixels as it looks at
INPUT_MEAN, INPUT_STD = 127.0, 128.0  # of stored values, as the network was trained
LEAST_SURE = 1.55  # log odds: 96 % of those above are right, of packages that the fit had not seen


def odds_of(photograph: np.ndarray) -> np.ndarray:
    """Log odds (3 float32) of a uint8 RGB photograph (HxWx3): by day, of an evening or a night, by lamps or a flash.

    Its brighter half is turned to the left, so that its mirror image has the same.
    """
    network, pixels = network_of(DAYLIGHT_FILE), network_input(photograph)
    left, right = np.array_split(pixels, 2, axis=-1)
    if left.mean() < right.mean():
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    network.setInput(pixels, "pixels")
    odds: np.ndarray = network.forward()
    return odds.ravel()


def is_daylight(photograph: np.ndarray) -> bool:
    """Whether daylight is what a uint8 RGB photograph (HxWx3) was surely taken by, and no other light."""
    day, evening, lamps = odds_of(photograph)
    return bool(min(day, -evening, -lamps) > LEAST_SURE)


def network_input(photograph: np.ndarray, side: int = INPUT_SIDE) -> np.ndarray:
    """What the network is shown of a uint8 RGB photograph: 1x3xhxw float32, about as many pixels as a square of that side."""
    import cv2

    scale = side / np.sqrt(photograph.shape[0] * photograph.shape[1])
    height, width = (max(2, round(length * scale / STRIDE)) * STRIDE for length in photograph.shape[:2])
    small = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
    return ((small.astype(np.float32) - INPUT_MEAN) / INPUT_STD).transpose(2, 0, 1)[np.newaxis]
