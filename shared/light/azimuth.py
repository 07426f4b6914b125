"""Where the light of a photograph comes from, and how sure that is."""

import numpy as np

from shared.light.direction import Direction, word_of

NEAR = np.radians(22.5)  # an answer so far from the truth still has the right word, or the next
# By how much less a light from straight below is believed than one from the side: photographs seldom have it
# (Sun and Perona, 1998), but dark hair over a bright face looks as if they had.
FROM_BELOW = 0.9
_OFF = np.radians(np.arange(-180, 180))


def azimuth_of(towards_light: np.ndarray) -> Direction:
    """The direction that shared.light.network.look() tells, by its vector to the right and up.

    The vector's length is the concentration of a von Mises distribution over the azimuth. Confidence is the
    share of it within 22.5 degrees, less for light from below; where that is under a half it abstains.
    """
    right, up = towards_light
    concentration = float(np.hypot(right, up))
    if concentration > 0:
        concentration *= 1 - FROM_BELOW * max(0.0, -float(up) / concentration)
    density = np.exp(concentration * (np.cos(_OFF) - 1))
    confidence = float(density[np.abs(_OFF) < NEAR].sum() / density.sum())
    if confidence < 0.5:
        return Direction(None, None, confidence)
    degrees = float(np.degrees(np.arctan2(up, right)) % 360)
    return Direction(degrees, word_of(degrees), confidence)


def turn(one: float, other: float) -> float:
    """The angle between two azimuths in degrees, 0..180."""
    return abs((one - other + 180) % 360 - 180)
