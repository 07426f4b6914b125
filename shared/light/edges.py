"""How hard the light is, told from the width of the edges of its shadows."""

import numpy as np

from shared.light.steps import Steps

LEAST_CONTRAST, MOST_CONTRAST = 0.6, 3.0  # of a shadow's edge, in natural logarithms
COLOUR = 0.2  # a shadow's edge changes chromaticity by no more than this share of its change of brightness
PERSISTS = 0.6  # share of its contrast that an edge keeps at the coarsest scale; grain does not
WIDEST = 20.0  # sigma in pixels beyond which a width cannot be told at these scales
FEW = 0.05  # pixels of edge per side of a square picture: what is less is chance

# Fitted by logistic regression on rendered scenes (tests/benchmarks/light_measures.py says which).
FINE, COARSE, OFFSET = 0.6, 0.6, -1.9


def hardness_of(steps: dict[int, Steps]) -> float:
    """0 (soft) to 1 (hard) of a photograph with these steps; 0.13 where it has no edge of a shadow.

    The edge of a shadow, but not that of a thing, leaves the colour alone (Gershon, Jepson and Tsotsos, 1986). Its
    width is the blur that explains how its slope falls from one scale to the next (Elder and Zucker, 1998), and
    hardness the odds of narrow edges against broad ones.
    """
    fine, coarse = (edge_widths(steps, scale) for scale in (1, 2))
    side = np.sqrt(steps[1].size.size)
    odds = FINE * _odds(fine < 3, fine >= 4.5, side) + COARSE * _odds(coarse < 2, (coarse >= 3) & (coarse < 10), side)
    return float(1 / (1 + np.exp(-(odds + OFFSET))))


def edge_widths(steps: dict[int, Steps], scale: int) -> np.ndarray:
    """The width (sigma of a blurred step, in pixels) at each pixel on the ridge of a shadow's edge, seen at this scale.

    The blur of the pixels themselves is in it: nothing is narrower than about half a pixel.
    """
    near, far, colours = steps[scale], steps[2 * scale], steps[4]
    least = LEAST_CONTRAST / (np.sqrt(2 * np.pi) * np.hypot(WIDEST, scale))
    is_shadow = near.usable & (near.size > least) & (colours.colour < COLOUR * colours.size + 0.0008)
    rows, columns = np.nonzero(is_shadow)
    slope = near.size[rows, columns]
    across, up = near.across[rows, columns] / slope, near.up[rows, columns] / slope
    height, width = near.size.shape
    reach = max(1.0, 0.7 * scale)
    right, down = np.rint(across * reach).astype(int), np.rint(-up * reach).astype(int)
    is_ridge = np.ones(len(rows), bool)
    for sign in (-1, 1):
        beside = (rows + sign * down).clip(0, height - 1), (columns + sign * right).clip(0, width - 1)
        is_ridge &= near.size[beside] <= slope
    rows, columns, slope = rows[is_ridge], columns[is_ridge], slope[is_ridge]

    # A step of contrast c blurred by w has the slope c / sqrt(2 pi (w^2 + s^2)) at scale s.
    square = (slope / far.size[rows, columns].clip(1e-6)) ** 2
    widths = np.sqrt(((4 * scale**2 - square * scale**2) / (square - 1).clip(1e-3)).clip(0, WIDEST**2))
    widths[square <= 1] = WIDEST
    contrast = slope * np.sqrt(2 * np.pi * (widths**2 + scale**2))
    persists = colours.size[rows, columns] * np.sqrt(2 * np.pi * (widths**2 + 16))  # grain does not
    is_strong = (np.minimum(contrast, persists) > LEAST_CONTRAST) & (contrast < MOST_CONTRAST)
    return widths[is_strong & (persists > PERSISTS * contrast)]


def _odds(narrow: np.ndarray, broad: np.ndarray, side: float) -> float:
    return float(np.log((narrow.sum() / side + FEW) / (broad.sum() / side + FEW)))
