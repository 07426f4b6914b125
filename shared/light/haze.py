"""Whether the air of a photograph can be seen: haze, mist and fog."""

import numpy as np

from shared.light.colour import weakest_channel
from shared.light.glance import Glance, slope_of

NEIGHBOURHOOD = 7  # pixels
# Of the dark channel: of air there is the more the further away things are, which is the higher in the picture.
AIRY, VEILED, LESS_AIR = 0.65, 0.25, 0.08
MOST_DETAIL = 11.0  # steps of lightness per pixel, in all but a twentieth of the picture


def is_hazy(glance: Glance) -> bool:
    """Whether what is far away fades into bright air, in a view from near to far.

    The dark channel (He, Sun and Tang, 2009) is the darkest that any channel is around a pixel: it shows how much air
    lies before what is seen there. Its bounds were chosen on the photographs of tests/photographs.tsv.
    """
    import cv2

    dark = cv2.erode(weakest_channel(glance.pixels), np.ones((NEIGHBOURHOOD, NEIGHBOURHOOD), np.uint8))
    far, middle, near = (float(np.median(third)) / 255 for third in np.array_split(dark, 3))
    if not (far > AIRY and middle > VEILED and far > middle + LESS_AIR and middle > near + LESS_AIR):
        return False
    return bool(np.percentile(slope_of(glance.lightness), 95) < MOST_DETAIL)
