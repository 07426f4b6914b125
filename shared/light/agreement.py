"""Where several estimates of a light's colour agree, so that it may be told."""

import numpy as np

from shared.light.colour import cct_of_rgb, neutral_share, rgb_of_cct, usable_colours
from shared.light.network import Seen

DAYLIGHT_KELVIN = 6500.0
LEAST_LEAN = 0.15  # from daylight, in the logarithm of kelvin
LEAST_NEUTRAL = 0.05  # share of a picture
# The same where a network that knows what things are holds the light for warm, too: wood and skin are warm in every light.
LEAST_WARM_LEAN, LEAST_NEUTRAL_IF_WARM = 0.3, 0.015


def is_colour_sure(linear: np.ndarray, kelvin: float, seen: Seen) -> bool:
    """Whether what is known of a light's colour agrees with a colour temperature, over linear RGB (HxWx3).

    The network of the optics and the mean of all that is neither dark nor clipped must both lean to the same side of
    white, and a share of the picture must be near to neutral in that light.
    """
    usable = usable_colours(linear)
    if len(usable) < 100:
        return False
    side = np.sign(np.log(kelvin / DAYLIGHT_KELVIN))
    leans = min(_lean(light) * side for light in (np.exp(seen.log_tint), usable.mean(axis=0))) > LEAST_LEAN
    return bool(leans and neutral_share(usable, rgb_of_cct(kelvin)) > LEAST_NEUTRAL)


def is_warm(linear: np.ndarray, kelvin: float, seen: Seen) -> bool:
    """Whether all estimates of the light over linear RGB (HxWx3) are warm, and something is near to neutral in one of them."""
    usable = usable_colours(linear)
    if len(usable) < 100 or kelvin >= DAYLIGHT_KELVIN:
        return False
    told = np.exp(seen.log_tint)
    leans = max(_lean(told), _lean(usable.mean(axis=0))) < -LEAST_WARM_LEAN
    neutral = max(neutral_share(usable, light) for light in (told, rgb_of_cct(kelvin)))
    return bool(leans and neutral > LEAST_NEUTRAL_IF_WARM)


def _lean(light: np.ndarray) -> float:
    """How far a linear RGB colour is from daylight, in the logarithm of kelvin; below 0 it is warmer."""
    return float(np.log(cct_of_rgb(light) / DAYLIGHT_KELVIN))
