"""Where the light of a photograph comes from, told from its gentle changes of brightness, and how sure that is."""

from typing import NamedTuple

import numpy as np

from shared.light.direction import Direction, Fit, word_of
from shared.light.steps import Steps

BLOCKS = 8  # a cue is trusted as far as so many by so many parts of the picture agree on it
AGREEMENT = 6.0  # standard errors at which a cue counts half
SLOPE = 0.2  # of the shading along a contour (natural logarithms) at which it counts half

# Fitted by maximum likelihood on rendered scenes (tests/benchmarks/light_measures.py says which).
DRIFT, AXIS = 4.6, 4.1
CONTOUR, DRIFT_INSIDE, AXIS_INSIDE = 5.0, 0.5, 1.4
# Log odds of an answer within 22.5 degrees, less those at which an answer is given.
SURE, UNANIMOUS, PLENTY, OFFSET = 1.67, 0.9, 1.83, 0.75
SURE_INSIDE, OFFSET_INSIDE = 2.0, 0.4
# By what more evidence is asked of light from below, which photographs seldom have (Sun and Perona, 1998).
FROM_BELOW = 1.0

# What may be shading: changes of colour and of brightness below these, times the scale, in natural logarithms.
LAYERS = {"fine": (1, 0.02, 0.12), "middle": (2, 0.02, 0.12), "wide": (2, 0.04, 0.3), "coarse": (4, 0.04, 0.3)}
NOISE = 0.003
SMOOTH, SKY_WIDTH, SKY_SIZE = 0.03, 0.35, 0.06  # step per pixel; shares of the upper edge and of the picture
ANGLES = np.radians(np.arange(0, 360, 5))


class Drift(NamedTuple):
    """The mean of unit steps uphill in brightness, or of their doubled angles."""

    across: float
    up: float
    agreement: float  # its length over the standard error between parts of the picture
    amount: float  # 0..1, how much of what can be judged has such steps


def azimuth_of(steps: dict[int, Steps], mask: np.ndarray | None = None, contour: Fit | None = None) -> Direction:
    """Direction of the light in a photograph with these steps (shared.light.steps.steps_of).

    Within a subject's mask (HxW bool), with the shading along its occluding contour (shared.light.direction) where
    that is known; else over the whole image. Rounded bodies are brighter towards the light, so their brightness rises
    that way on the average (Pentland, 1982; Zheng and Chellappa, 1991), and on rough ground it changes most along it
    (Koenderink and Pont, 2003). Only gentle, colourless steps count, which are rarely paint. The cues are the
    harmonics of one distribution over the angle (generalized von Mises; Gatto and Jammalamadaka, 2007): the answer is
    its maximum, the trust grows with its share within 22.5 degrees. Abstains where that is not enough.
    """
    cues = drifts(steps, ~sky_of(steps) if mask is None else mask)
    rise, axis = cues["wide" if mask is not None else "middle"], cues["coarse axis"]
    weights = (DRIFT, AXIS) if mask is None else (DRIFT_INSIDE, AXIS_INSIDE)
    scores = weights[0] * _wave(rise, 1) + weights[1] * _wave(axis, 2)
    if contour is not None:
        slope = np.hypot(contour.across, contour.up) + SLOPE
        scores += CONTOUR * (contour.across * np.cos(ANGLES) + contour.up * np.sin(ANGLES)) / slope
    azimuth, share = _maximum(scores)
    odds = np.log(share / (1 - share))
    if mask is None:
        toward = np.array([np.cos(azimuth), np.sin(azimuth)])
        worst = min(float(_unit(cues[name]) @ toward) for name in LAYERS)
        odds = SURE * odds + UNANIMOUS * worst + PLENTY * np.log(cues["middle axis"].amount + 0.01) + OFFSET
    else:
        odds = SURE_INSIDE * odds + OFFSET_INSIDE
    odds += FROM_BELOW * min(0.0, float(np.sin(azimuth)))
    confidence = float(1 / (1 + np.exp(-odds)))
    if confidence < 0.5:
        return Direction(None, None, confidence)
    degrees = float(np.degrees(azimuth) % 360)
    return Direction(degrees, word_of(degrees), confidence)


def sky_of(steps: dict[int, Steps]) -> np.ndarray:
    """HxW bool: what is smooth, large and reaches from side to side of the upper edge.

    A sky is brightest at the horizon, wherever the sun is, and tells nothing of the light on the ground.
    """
    import cv2

    smooth = (steps[2].size < SMOOTH).astype(np.uint8)
    _, parts = cv2.connectedComponents(smooth, connectivity=4)
    sky = np.zeros(parts.shape, bool)
    for part in np.unique(parts[0][parts[0] > 0]):
        inside = parts == part
        if inside[0].mean() > SKY_WIDTH and inside.mean() > SKY_SIZE:
            sky |= inside
    return cv2.dilate(sky.astype(np.uint8), np.ones((9, 9), np.uint8)).view(bool)


def drifts(steps: dict[int, Steps], mask: np.ndarray | None = None) -> dict[str, Drift]:
    """The cues of the whole image, or of what lies well inside the mask (HxW bool), by layer; axes doubled."""
    import cv2

    found = {}
    for name, (scale, colour, size) in LAYERS.items():
        at = steps[scale]
        judged = at.usable
        if mask is not None:
            judged = judged & cv2.erode(mask.astype(np.uint8), np.ones((2 * scale + 5,) * 2, np.uint8)).view(bool)
        chosen = judged & (at.colour < colour / scale) & (at.size < size / scale)
        weight = chosen / (at.size + np.float32(NOISE / scale))  # steps that are no more than noise count for little
        across, up, amount = at.across * weight, at.up * weight, at.size * weight
        share = float(judged.mean()) + 1e-6
        found[name] = _drift(across, up, amount, share)
        found[name + " axis"] = _drift(across * across - up * up, 2 * across * up, amount * amount, share)
    return found


def _drift(across: np.ndarray, up: np.ndarray, amount: np.ndarray, judged: float) -> Drift:
    import cv2

    x, y, total = (cv2.resize(part, (BLOCKS, BLOCKS), interpolation=cv2.INTER_AREA) for part in (across, up, amount))
    everything = float(total.sum()) + 1e-9
    mean = float(x.sum()) / everything, float(y.sum()) / everything
    rest = (x - total * mean[0]) ** 2 + (y - total * mean[1]) ** 2
    error = float(np.sqrt(rest.sum() / 2)) / everything
    return Drift(*mean, float(np.hypot(*mean)) / (error + 1e-3), everything / BLOCKS**2 / judged)


def _unit(drift: Drift) -> np.ndarray:
    return np.array([drift.across, drift.up]) / (np.hypot(drift.across, drift.up) + 1e-9)


def _wave(drift: Drift, harmonic: int) -> np.ndarray:
    """A cosine over the angles towards the drift, as high as the parts of the picture agree on it."""
    x, y = _unit(drift) * drift.agreement / (drift.agreement + AGREEMENT)
    return x * np.cos(harmonic * ANGLES) + y * np.sin(harmonic * ANGLES)


def _maximum(scores: np.ndarray) -> tuple[float, float]:
    """The angle in radians at which these log densities are highest, and the share within 22.5 degrees of it."""
    best = int(scores.argmax())
    before, top, after = scores[best - 1], scores[best], scores[(best + 1) % len(ANGLES)]
    density = np.exp(scores - top)
    share = float(np.roll(density, 4 - best)[:9].sum() / density.sum())
    shift = (before - after) / (2 * min(before - 2 * top + after, -1e-9))  # of a parabola through the three
    return float(ANGLES[best] + np.radians(5) * np.clip(shift, -0.5, 0.5)), min(share, 1 - 1e-9)
