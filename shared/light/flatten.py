"""Take the light out of a photograph: a flattened image and the shading that was in it."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import rgb_of_cct, srgb_to_linear
from shared.light.enlarge import DARKEST, GuidedMap, bands, shrink
from shared.light.gradients import Smoothness, changes, fit_to_changes

WORKING_SIZE = 384  # the long side at which shading is handed on, in pixels
GRID_SIZE = 192  # the long side at which it is found; the constants below belong to it

# Fitted on rendered scenes (tests/benchmarks/light.py names families and seeds); BOLD_STEP also on photographs, whose
# whites it keeps white.
DARK = np.float32(0.003)  # linear light added before the logarithm, so that noise in black makes no edges
COLOUR_STEP = 0.025  # change of chromaticity (natural logarithm) at which half of a step is the reflectance's
GREY_STEP = 0.14  # change of brightness that does the same where there is no colour to go by
BOLD_STEP = 1.0  # and where there is: so much, between neighbours, parts two things rather than light and shadow
GREY = 0.045  # distance from the picture's own grey (natural logarithm) under which there is none
SMOOTHNESS = Smoothness(bend=4.0, slope=0.15, height=1.2e-4)
PAINT_IS_BRIGHT = 5e-5  # pull of each pixel towards "this is white paint and all the rest is light"
PAINT_ENDS = 0.42  # paint is no brighter than the median paint and that (natural logarithm) ...
BRIGHTER_IS_LIGHT = 0.005  # ... and what seems to be is pulled into the light so strongly
NOT_LIGHT = 1.5  # above that by so much more it is a white thing among dark ones, and left
ROOM = np.float32(1.5)  # how much more of a frequency the shading may have than the picture
DOUBT = 0.06  # standard deviation (natural logarithm) of the shading that is found where there is none
GAIN = 1.25  # what the pulls towards even light take away

# The axis of chromaticity along which light goes from cool to warm, a unit vector in log RGB.
WARM = np.log(rgb_of_cct(3000)) - np.log(rgb_of_cct(9000))
WARM -= WARM.mean()
WARM /= np.linalg.norm(WARM)


class Flattened(NamedTuple):
    """What flatten() found: the image in even light and the natural logarithm of the shading."""

    image: np.ndarray  # HxWx3 float32, linear light
    log_shading: np.ndarray  # HxW float32; image * exp(log_shading) is the photograph


def flatten(photograph: np.ndarray) -> Flattened:
    """Divide the shading out of a uint8 RGB photograph (HxWx3), colours kept."""
    shading = shading_map(photograph)
    height, width = photograph.shape[:2]
    log_shading = np.concatenate([shading.rows(photograph, rows) for rows in bands(height, width)])
    linear = np.maximum(srgb_to_linear(photograph), DARKEST)
    return Flattened(linear * np.exp(-log_shading)[..., np.newaxis], log_shading)


def shading_map(photograph: np.ndarray) -> GuidedMap:
    """The log shading of a uint8 RGB photograph, found at the working size, to be had at full size by rows."""
    small = shrink(photograph, WORKING_SIZE)
    return GuidedMap(shading_of(small), small, *photograph.shape[:2])


def shading_of(photograph: np.ndarray) -> np.ndarray:
    """Natural logarithm of the shading, HxW float32 with median 0, of a small uint8 RGB photograph.

    Shading is what changes without a change of colour (Horn, 1974; Funt, Drew and Brockington, 1992), is smooth, and
    leaves no paint that is brighter than white. It is found as the least-squares answer to these, at GRID_SIZE.
    """
    height, width = photograph.shape[:2]
    small = shrink(photograph, GRID_SIZE)
    shading = GuidedMap(believed(within_the_picture(smooth_shading(small), small)), small, height, width, radius=5)
    found = shading.rows(photograph, slice(0, height))
    return found - np.median(found)


def smooth_shading(photograph: np.ndarray) -> np.ndarray:
    """Log shading (HxW float32, mean near 0) of a uint8 RGB photograph of the grid's size.

    A weighted Poisson equation: the shading's changes follow the picture's as far as shares_of_light() trusts them.
    Where it does not, smoothness carries on. How bright the paint can be settles what is left open: the
    brightest channel is near white everywhere (Land, 1977; Guo, Li and Ling, 2017) and nowhere above.
    """
    logarithm = np.log(srgb_to_linear(photograph) + DARK)
    brightness, brightest = logarithm.mean(axis=-1), logarithm.max(axis=-1)
    shares = shares_of_light(logarithm)
    target, pull = brightest - brightest.mean(), np.full_like(brightest, PAINT_IS_BRIGHT)
    shading = fit_to_changes(changes(brightness), shares, target, pull, SMOOTHNESS)
    for _ in range(2):
        paint = brightest - shading
        ceiling = np.median(paint) + PAINT_ENDS
        above = np.float32(BRIGHTER_IS_LIGHT) * ((paint > ceiling) & (paint < ceiling + NOT_LIGHT))
        wanted = (PAINT_IS_BRIGHT * target + above * (brightest - ceiling)) / (pull + above)
        shading = fit_to_changes(changes(brightness), shares, wanted, pull + above, SMOOTHNESS, start=shading)
    return shading


def shares_of_light(logarithm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each step between neighbours, across (Hx(W-1)) and down ((H-1)xW), is the light's: 0..1.

    A step in chromaticity is the reflectance's. Where there is no colour, so is a strong step in brightness (Grosse
    et al., 2009); where there is, only a very strong one, for two paints of just the same colour are rare. Where the
    darker side is also the cooler one, the cooler colour is that of a warm light's shadow, which the sky fills, and
    does not count.
    """
    brightness = logarithm.mean(axis=-1)
    chroma = logarithm - brightness[..., np.newaxis]
    distance = ((chroma - np.median(chroma, axis=(0, 1))) ** 2).sum(axis=-1)
    greyness = np.exp(-distance / GREY**2)
    without_colour = (np.maximum(greyness[:, :-1], greyness[:, 1:]), np.maximum(greyness[:-1], greyness[1:]))
    steps = changes(brightness)
    squares = []
    for step, colour_step in zip(steps, changes(chroma), strict=True):
        warming = colour_step @ WARM
        squares.append((colour_step**2).sum(axis=-1) - np.where(warming * step > 0, warming**2, 0))
    usual = np.median(np.concatenate([square.ravel() for square in squares] + [np.zeros(1, np.float32)]))
    across, down = (
        1 / (1 + square / (COLOUR_STEP**2 + 0.5 * usual)) / (1 + unlike_light(step**2, grey)) + np.float32(1e-4)
        for square, step, grey in zip(squares, steps, without_colour, strict=True)
    )
    return across, down


def unlike_light(squared_step: np.ndarray, greyness: np.ndarray) -> np.ndarray:
    """The odds that a step in brightness (squared) is the reflectance's, without colour (1) and with it (0)."""
    bold = squared_step / BOLD_STEP**2
    return squared_step * (greyness / GREY_STEP**2) + (1 - greyness) * bold * bold


def within_the_picture(shading: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """The log shading with each of its frequencies between nothing and ROOM times what the picture has there.

    Shading and reflectance add up to the picture and know nothing of each other, so the expected share of either
    in a frequency is between 0 and 1 (Wiener, 1949). Distrusted steps break that: on grass, whose blades rise
    slowly and fall sharply, the rest adds up to a slope across the frame that the picture does not have.
    """
    from scipy.fft import dctn, idctn

    brightness = np.log(srgb_to_linear(photograph) + DARK).mean(axis=-1)
    found = dctn(shading, norm="ortho")
    whole = ROOM * dctn(brightness - brightness.mean(), norm="ortho")
    return idctn(np.clip(found, np.minimum(whole, 0), np.maximum(whole, 0)), norm="ortho")


def believed(shading: np.ndarray) -> np.ndarray:
    """The shading without the share of it that doubt alone would make (James and Stein, 1961)."""
    shading = shading - shading.mean()
    variance = float(shading.var())
    return shading * np.float32(GAIN * max(0.0, 1 - DOUBT**2 / max(variance, 1e-12)))
