"""What a small network knows by what a photograph shows: whether it is day, what casts a pattern, whether there is a person.

The network (sights.onnx, 1.6 MB) is the first part of EfficientNet-Lite0 (Tan and Le, 2019; Apache-2.0), which learned on
ImageNet, in eight bits a weight, a logistic regression for each thing that it is asked, and a head for windows, which learned
from the classes of the whole of it: tests/fit_sights.py.
"""

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from shared.light.network import STRIDE, network_of

SIGHTS_FILE = Path(__file__).parent / "sights.onnx"
INPUT_SIDE = 288  # pixels: of a square of as many pixels as it looks at
INPUT_MEAN, INPUT_STD = 127.0, 128.0  # of stored values, as the network was trained
# Log odds from which a thing is told, by photographs of packages that the fit had not seen (tests/fit_sights.py).
LEAST_DAY, LEAST_GOLDEN = 1.8, -0.35
LEAST_WARM = 0.8  # where the colours speak for it, too
LAMPS_PERHAPS = -0.2  # where lamps are seen, too
NO_DAY, NO_NIGHT = -1.5, 1.5  # of day: below, a blue wall is no sky, and above, dots in the dark are no night
LEAST_WINDOW, ROOM_SHARE = -1.15, 0.5  # of the sum for a window; a share of the odds of a room counts
LEAST_SHINE, LEAST_ABOVE = 140.0, 15.0  # of 255: of a window, and above what is around it
SURE_BY = 1.5  # log odds below the surest place that are still of a window
FINE = 8  # pixels a side of each place, where its brightness is looked at
NO_WINDOW = -12.0
Pattern = Literal["dappled", "striped", "window"]
LEAST_PATTERN: dict[Pattern, float] = {"dappled": 3.5, "striped": 3.0, "window": 3.5}


class Sights(NamedTuple):
    """Log odds of what may be seen, from about -8 to 8."""

    day: float  # daylight of any kind
    evening: float  # or night, dusk and dawn
    lamps: float  # or a flash
    golden: float  # low sun, sunset
    warm: float  # a warm light
    dappled: float  # light through leaves lies on it
    striped: float  # light through blinds does
    window: float  # light through a window does, in its shape
    person: float  # most of it is one person, or more
    room: float  # it shows a room
    pane: float  # a window is seen, where it is surest of one, if that is brighter than the rest

    @property
    def is_daylight(self) -> bool:
        """Whether it is surely day, and no other light."""
        return min(self.day, -self.evening, -self.lamps) > LEAST_DAY

    @property
    def may_be_day(self) -> bool:
        return self.day > NO_DAY

    @property
    def may_be_night(self) -> bool:
        return self.day < NO_NIGHT

    @property
    def is_golden(self) -> bool:
        return self.golden > LEAST_GOLDEN

    @property
    def is_warm(self) -> bool:
        return self.warm > LEAST_WARM

    @property
    def may_be_lamps(self) -> bool:
        return min(self.lamps, -self.day) > LAMPS_PERHAPS

    @property
    def is_lit_by_window(self) -> bool:
        """By one that is seen; what shines at night is none, nor what a flash or lamps light alone."""
        seen = self.pane + ROOM_SHARE * self.room
        return seen > LEAST_WINDOW and self.may_be_day and self.day > self.evening

    @property
    def pattern(self) -> Pattern | None:
        """The one that is furthest above its bound."""
        above = {name: getattr(self, name) - least for name, least in LEAST_PATTERN.items()}
        furthest = max(above, key=above.__getitem__)
        return furthest if above[furthest] > 0 else None


def look_around(photograph: np.ndarray) -> Sights:
    """Look at a uint8 RGB photograph (HxWx3), or a part of one.

    Its brighter half is turned to the left, so that its mirror image has the same odds.
    """
    network, pixels = network_of(SIGHTS_FILE), network_input(photograph)
    left, right = np.array_split(pixels, 2, axis=-1)
    if left.mean() < right.mean():
        pixels = np.ascontiguousarray(pixels[..., ::-1])
    network.setInput(pixels, "pixels")
    odds, panes = network.forward(["odds", "panes"])
    return Sights(*[*map(float, odds.ravel()), bright_pane(panes[0, 0], pixels)])


def bright_pane(panes: np.ndarray, pixels: np.ndarray) -> float:
    """The most of the log odds of a window at each place (h/STRIDE x w/STRIDE); NO_WINDOW if it is no brighter than the rest.

    `pixels` (1x3xhxw) are what the network was shown.
    """
    import cv2

    size = panes.shape[1] * FINE, panes.shape[0] * FINE
    stored = cv2.resize(pixels[0].mean(axis=0), size, interpolation=cv2.INTER_AREA) * INPUT_STD + INPUT_MEAN
    surest = float(panes.max())
    is_there = cv2.resize(panes, size) >= surest - SURE_BY
    shine = np.percentile(stored[is_there], 75)
    rest = np.median(stored[~is_there]) if not is_there.all() else 255.0
    return surest if shine >= max(LEAST_SHINE, rest + LEAST_ABOVE) else NO_WINDOW


def network_input(photograph: np.ndarray, side: int = INPUT_SIDE) -> np.ndarray:
    """What the network is shown of a uint8 RGB photograph: 1x3xhxw float32, about as many pixels as a square of that side."""
    import cv2

    scale = side / np.sqrt(photograph.shape[0] * photograph.shape[1])
    height, width = (max(2, round(length * scale / STRIDE)) * STRIDE for length in photograph.shape[:2])
    small = cv2.resize(photograph, (width, height), interpolation=cv2.INTER_AREA)
    return ((small.astype(np.float32) - INPUT_MEAN) / INPUT_STD).transpose(2, 0, 1)[np.newaxis]
