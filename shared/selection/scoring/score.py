"""Rate how well a photograph is lit, from its pixels alone."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import (
    RGB_TO_XYZ,
    cct_of_rgb,
    illuminant,
    lightness,
    luminance,
    rgb_of_cct,
    srgb_to_linear,
    strongest_channel,
    weakest_channel,
)

SCORE_SIZE = 512  # the long side of the photographs that the constants below belong to, in pixels
_MIDDLE_GREY = 0.18
_DARKEST = 1 / 4096  # half a step of 8 bit sRGB; the logarithm needs a floor


class Score(NamedTuple):
    """Six ratings of a photograph's light, each 0 (spoilt) to 1 (nothing to mend)."""

    exposure: float  # neither too dark nor too bright to see what is there
    clipping: float  # highlights and shadows keep their detail
    contrast: float  # the tones are spread, in the whole and from place to place
    shaping: float  # brightness changes slowly over the picture, by one to three stops: light that models
    colour: float  # the light is white, warm or cool, and not green or magenta
    sharpness: float  # edges of light are crisp; haze, shake and missed focus soften them

    @property
    def lighting_score(self) -> float:
        """The weighted geometric mean, 0 to 1, to 6 digits: one spoilt quality cannot be bought off."""
        ratings = np.maximum(np.asarray(self, dtype=np.float64), 1e-3)
        return round(float(np.exp((_WEIGHTS * np.log(ratings)).sum())), 6)


_WEIGHTS = np.array([0.22, 0.18, 0.18, 0.20, 0.10, 0.12])  # as in Score; they sum to one


def rate_light(photograph: np.ndarray) -> Score:
    """Rate the light of a uint8 RGB photograph (HxWx3); one larger than WORKING_SIZE is scaled down first.

    The same pixels give the same ratings. Mirroring changes nothing but the last digits.
    """
    import cv2

    scale = SCORE_SIZE / max(photograph.shape[:2])
    if scale < 1:
        photograph = _resized(photograph, scale)
    # Light is a matter of the large; at half size everything but sharpness costs a quarter.
    small = _resized(photograph, 0.5)
    y = luminance(srgb_to_linear(small))
    stops = np.log2(np.maximum(y, _DARKEST) / _MIDDLE_GREY)
    perceived = cv2.cvtColor(photograph, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return Score(
        exposure=_exposure(stops),
        clipping=_clipping(photograph),
        contrast=_contrast(lightness(y)),
        shaping=_shaping(stops),
        colour=_colour(small),
        sharpness=_sharpness(perceived),
    )


def _exposure(stops: np.ndarray) -> float:
    """How far the log-average luminance (Reinhard et al., 2002, section 2) lies from middle grey.

    A stop up or down is the photographer's choice. Low-key light is a kind of picture, too: a dark one loses
    little as long as its brightest fiftieth is well exposed.
    """
    average = float(stops.mean())
    brightest = float(np.percentile(stops, 98))
    too_bright = max(0.0, average - 1.0)
    too_dark = max(0.0, -1.2 - average)
    too_dim = max(0.0, -brightest)
    return float(np.exp(-0.5 * ((too_bright / 0.7) ** 2 + (too_dark / 2.0) ** 2 + too_dim**2)))


def _clipping(photograph: np.ndarray) -> float:
    """Small highlights and a black ground are part of light; a twentieth burnt out, or a third black, is half."""
    burnt_out = float((weakest_channel(photograph) >= 252).mean())
    black = float((strongest_channel(photograph) <= 4).mean())
    return float(1 / (1 + (burnt_out / 0.05) ** 1.5) / (1 + (black / 0.33) ** 2))


def _contrast(lightness_map: np.ndarray) -> float:
    """Spread of L* in the whole (RMS contrast: Peli, 1990) and within windows (after Matkovic et al., 2005)."""
    import cv2

    side = max(3, max(lightness_map.shape) // 16)
    mean = cv2.blur(lightness_map, (side, side))
    variance = np.maximum(cv2.blur(lightness_map * lightness_map, (side, side)) - mean * mean, 0)
    overall = float(lightness_map.std())
    local = float(np.sqrt(variance).mean())
    return float(np.sqrt((1 - np.exp(-overall / 16)) * (1 - np.exp(-local / 8))))


def _shaping(stops: np.ndarray) -> float:
    """How many stops lie between the lit and the unlit parts, once detail is smoothed away.

    A lighting ratio of 2:1 to 8:1 models a subject (Hunter, Biver and Fuqua, "Light: Science and Magic",
    2007); less is flat, and far more only splits the picture into black and white.
    """
    import cv2

    coarse = cv2.resize(stops, (16, 16), interpolation=cv2.INTER_AREA)
    dark, bright = np.percentile(coarse, (10, 90))
    ratio = float(bright - dark)
    return float((1 - np.exp(-((ratio / 1.6) ** 1.5))) * np.exp(-0.5 * (max(0.0, ratio - 5.0) / 3.0) ** 2))


def _colour(photograph: np.ndarray) -> float:
    """How far the light's colour (grey-edge) lies to the green or magenta side of daylight and lamp light.

    Warm and cool light are choices and cost nothing, candles and sunsets included; in CIE 1976 u'v' only what
    is across the Planckian locus is a cast. Coloured things can pass for coloured light, so a cast costs at
    most half.
    """
    light = illuminant(photograph)
    kelvin = cct_of_rgb(light)
    cooler, warmer = (_chromaticity(rgb_of_cct(kelvin * factor)) for factor in (1.03, 0.97))
    along = (warmer - cooler) / np.linalg.norm(warmer - cooler)
    off = _chromaticity(light) - (cooler + warmer) / 2
    across = abs(float(off[0] * along[1] - off[1] * along[0]))
    return float(0.5 + 0.5 * np.exp(-0.5 * (max(0.0, across - 0.01) / 0.03) ** 2))


def _sharpness(grey: np.ndarray) -> float:
    """The steepest edges (99.5th percentile of the slope of grey values) against the range of tones."""
    import cv2

    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, ksize=1) / 2
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, ksize=1) / 2
    low, high = np.percentile(grey, (1, 99))
    steepest = float(np.percentile(np.hypot(across, down), 99.5))
    return float(1 - np.exp(-((steepest / max(float(high - low), 16.0) / 0.16) ** 1.5)))


def _chromaticity(rgb: np.ndarray) -> np.ndarray:
    """CIE 1976 u', v' of a linear RGB colour."""
    x, y, z = RGB_TO_XYZ @ np.asarray(rgb, dtype=np.float64)
    return np.array([4 * x, 9 * y]) / (x + 15 * y + 3 * z)


def _resized(photograph: np.ndarray, scale: float) -> np.ndarray:
    import cv2

    height, width = photograph.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
