"""Whether light is hard or soft, as far as what it falls on shows it."""

from typing import Literal

import numpy as np

from shared.light.backdrop import Backdrop
from shared.light.glance import Glance
from shared.light.sky import SMOOTH, Sky

# Stops of contrast, and mean chroma of CIELAB, below which nothing lies in a shadow and nothing is so coloured that it
# would hide one.
SHADOWLESS, COLOURLESS = 3.4, 30.0
PALE_SHARE = 0.38  # of a picture that is as smooth as a sky, bright and pale; a cut-out's white paper is brighter
PALE_LIGHTNESS = (80.0, 98.5)
PALE_CHROMA = 12.0
Shadows = Literal["hard", "soft"]


def shadows_of(glance: Glance, sky: Sky, backdrop: Backdrop, contrast: float) -> Shadows | None:
    """Hard where the sun lights the ground; soft where what would show a shadow has none.

    `contrast`: of the picture, in stops. The bounds were chosen on the photographs of tests/photographs.tsv.
    """
    if sky.is_sunlit:
        return "hard"
    if sky.weather in ("clear", "golden", "sunset", "dusk", "night"):
        return None
    chroma = np.hypot(glance.lab[..., 1], glance.lab[..., 2])
    if backdrop.is_even or (contrast < SHADOWLESS and float(chroma.mean()) < COLOURLESS):
        return "soft"
    return "soft" if sky.weather is None and _is_on_pale_ground(glance, chroma) else None


def _is_on_pale_ground(glance: Glance, chroma: np.ndarray) -> bool:
    """Whether much of a picture is a bright wall, table or backdrop without a shadow on it."""
    darkest, brightest = PALE_LIGHTNESS
    pale = (glance.slope < SMOOTH) & (glance.lightness > darkest) & (chroma < PALE_CHROMA)
    return bool(pale.mean() > PALE_SHARE and np.median(glance.lightness[pale]) < brightest)
