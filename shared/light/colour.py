"""Between stored sRGB values, linear light, and the colour temperature of a light."""

import numpy as np

# Rec. 709 primaries, D65 white (IEC 61966-2-1).
RGB_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
XYZ_TO_RGB = np.linalg.inv(RGB_TO_XYZ)
LUMINANCE = RGB_TO_XYZ[1].astype(np.float32)

# Where McCamy's cubic and the two locus fits hold; estimates outside are brought back to these ends.
MIN_KELVIN = 1800.0
MAX_KELVIN = 15000.0

NEUTRAL = 1.25  # largest to smallest channel of what is next to grey

GREY_SPREAD = 6  # between the largest and smallest channel, of 255: a picture with no more is black and white


def _decode(stored: np.ndarray) -> np.ndarray:
    return np.where(stored <= 0.04045, stored / 12.92, ((stored + 0.055) / 1.055) ** 2.4)


def _encode(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


_LINEAR_OF_BYTE = _decode(np.arange(256) / 255).astype(np.float32)
# 16 bits are 13 steps or more to a byte even where the curve is steepest, so bytes survive the round trip.
_BYTE_OF_LINEAR = np.rint(_encode(np.arange(65536) / 65535) * 255).astype(np.uint8)


def srgb_to_linear(image: np.ndarray) -> np.ndarray:
    """Stored uint8 values of any shape as linear light, float32 in 0..1 (IEC 61966-2-1)."""
    return _LINEAR_OF_BYTE[image]


def linear_to_srgb(image: np.ndarray) -> np.ndarray:
    """Linear light of any shape as stored uint8 values; what lies outside 0..1 is clipped."""
    steps = np.multiply(image, np.float32(65535), dtype=np.float32)
    np.clip(steps, 0, 65535, out=steps)
    steps += np.float32(0.5)
    return _BYTE_OF_LINEAR[steps.astype(np.uint16)]


def strongest_channel(image: np.ndarray) -> np.ndarray:
    """The largest of the three values of each pixel, ... x 3 -> ...

    numpy's own max over so short an axis takes twenty times as long.
    """
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def weakest_channel(image: np.ndarray) -> np.ndarray:
    """The smallest of the three values of each pixel, likewise."""
    return np.minimum(np.minimum(image[..., 0], image[..., 1]), image[..., 2])


def luminance(linear: np.ndarray) -> np.ndarray:
    """Relative luminance Y of a linear RGB image (... x 3), float32 (Rec. 709)."""
    return linear.astype(np.float32, copy=False) @ LUMINANCE


def lightness(relative_luminance: np.ndarray) -> np.ndarray:
    """CIE 1976 lightness L*, 0..100, of relative luminance in 0..1."""
    y = np.asarray(relative_luminance, dtype=np.float32)
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * (24389 / 27)).astype(np.float32)


def cct_of_rgb(rgb: np.ndarray) -> float:
    """Correlated colour temperature in kelvin of a light with this linear RGB (McCamy, 1992).

    Brought into 1800..15000 K, beyond which the cubic means nothing.
    """
    xyz = RGB_TO_XYZ @ np.asarray(rgb, dtype=np.float64)
    x, y = xyz[0] / xyz.sum(), xyz[1] / xyz.sum()
    if y <= 0.19:
        return MAX_KELVIN  # bluer than any sky; the formula turns around its pole at y = 0.1858
    n = max((x - 0.3320) / (0.1858 - y), -1.27)  # redder than that, the cubic would rise again
    kelvin = ((449 * n + 3525) * n + 6823.3) * n + 5520.33
    return float(np.clip(kelvin, MIN_KELVIN, MAX_KELVIN))


def rgb_of_cct(kelvin: float) -> np.ndarray:
    """Linear RGB, luminance 1, of a light of this colour temperature, 1800..15000 K.

    The Planckian locus by Kang et al. (2002) below 4000 K, the CIE D series (CIE 15) from there on.
    """
    t = float(np.clip(kelvin, MIN_KELVIN, MAX_KELVIN))
    if t < 4000:
        x = -0.2661239e9 / t**3 - 0.2343589e6 / t**2 + 0.8776956e3 / t + 0.179910
        if t <= 2222:
            y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
        else:
            y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        if t <= 7000:
            x = -4.6070e9 / t**3 + 2.9678e6 / t**2 + 0.09911e3 / t + 0.244063
        else:
            x = -2.0064e9 / t**3 + 1.9018e6 / t**2 + 0.24748e3 / t + 0.237040
        y = -3.000 * x**2 + 2.870 * x - 0.275
    rgb = XYZ_TO_RGB @ np.array([x / y, 1.0, (1 - x - y) / y])
    rgb = np.maximum(rgb, 0.02)  # the bluest part of candle light lies outside the sRGB gamut
    return (rgb / (RGB_TO_XYZ[1] @ rgb)).astype(np.float32)


def illuminant(image: np.ndarray) -> np.ndarray:
    """Linear RGB, green 1, of the light on a uint8 RGB photograph (HxWx3), by the grey-edge hypothesis.

    Minkowski norm 6 of the derivative at scale 2 px (van de Weijer, Gevers and Gijsenij, 2007). Clipped
    and near-black pixels say nothing of the light and are left out; a photograph of nothing else is called neutral.
    """
    import cv2

    valid = (strongest_channel(image) < 250) & (weakest_channel(image) > 4)
    smooth = cv2.GaussianBlur(srgb_to_linear(image), (0, 0), 2)
    # At 3 sigma from a clipped pixel its blur still reaches into the derivative.
    valid = cv2.erode(valid.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    if valid.sum() < 50:
        return np.ones(3, dtype=np.float32)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=1)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=1)
    edges = (np.abs(across) + np.abs(down))[valid].astype(np.float64)
    largest = edges.max()
    if largest < 1e-4:  # rounding, and no edge
        return np.ones(3, dtype=np.float32)
    light = ((edges / largest) ** 6).mean(axis=0) ** (1 / 6)
    if light.min() < 1e-3 * light.max():
        return np.ones(3, dtype=np.float32)  # a picture in one primary colour: the light cannot be told
    return (light / light[1]).astype(np.float32)


def usable_colours(linear: np.ndarray) -> np.ndarray:
    """Of linear RGB (HxWx3) what is neither dark nor next to clipped, n x 3."""
    brightest = strongest_channel(linear)
    return linear[(brightest < 0.9) & (brightest > 0.02)]


def neutral_share(linear: np.ndarray, light: np.ndarray) -> float:
    """The share of linear RGB colours (n x 3) that are next to grey in a light of this linear RGB."""
    under = linear / light
    return float((strongest_channel(under) < NEUTRAL * weakest_channel(under)).mean()) if len(linear) else 0.0


def is_grey(photograph: np.ndarray) -> bool:
    """Whether a uint8 RGB photograph is black and white, but for what compression adds: its light's colour is not told."""
    spread = strongest_channel(photograph) - weakest_channel(photograph)
    return bool(np.percentile(spread, 99.5) <= GREY_SPREAD)
