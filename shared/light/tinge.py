"""A light whose colour lies on all of a picture, or is one that only a lamp has."""

from typing import Literal

import numpy as np

from shared.light.glance import Glance

# b of CIELAB in the middle of a bluish picture, and in the yellowest twentieth of it.
BLUISH, LEAST_BLUISH = -11.0, 8.0
NEARLY_BLUE = -2.0  # b of its brightest tenth: what is white in it is so in white light
MOST_RED = 20.0  # a of CIELAB: more is violet
LAMPLIT, VIOLET = 42.0, 0.05  # mean lightness under coloured lamps, and the share of violet in it
Tinge = Literal["blue", "neon", "warm"]


def tinge_of(glance: Glance) -> Tinge | None:
    """`blue`: not even a twentieth of what is lit is yellow. `neon`: it is dim, and some of it violet.

    Things have all colours, and such a light takes some away; violet is what daylight has least of. Bounds chosen on the
    photographs of tests/photographs.tsv.
    """
    lightness, a, b = (glance.lab[..., plane] for plane in range(3))
    if lightness.mean() < LAMPLIT and ((a > 20) & (b < -5) & (lightness > 20)).mean() > VIOLET:
        return "neon"
    lit = b[(lightness > 12) & (lightness < 97)]
    if len(lit) < 200:
        return None
    middle, yellowest = np.percentile(lit, (50, 95))
    brightest = float(np.median(b[lightness >= np.percentile(lightness, 90)]))
    is_blue = middle < BLUISH and yellowest < LEAST_BLUISH and brightest < NEARLY_BLUE and np.median(a) < MOST_RED
    return "blue" if is_blue else None
