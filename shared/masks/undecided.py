"""Where the network of people is undecided, the colours decide: GrabCut (Rother, Kolmogorov and Blake, 2004), by OpenCV."""

import numpy as np

CUT_SIDE = 256  # pixels of the long side at which the colours are looked at
SURELY_OFF, SURELY_ON = 0.08, 0.9  # likelihood up to and above which the network is believed
STEPS = 3  # of fitting colours and cutting; more change nothing that one sees


def decided(likely: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """A likelihood (hxw float32, 0..1) of which what was neither sure nor absurd has become 0 or 1, but for the very edge.

    photograph: uint8 RGB (hxwx3). A likelihood that is nowhere sure of both, or everywhere, is returned as it is.
    """
    import cv2

    height, width = likely.shape
    scale = min(1.0, CUT_SIDE / max(height, width))
    size = (max(2, round(width * scale)), max(2, round(height * scale)))
    small = cv2.resize(likely, size, interpolation=cv2.INTER_AREA)
    classes = np.full(small.shape, cv2.GC_BGD, np.uint8)
    for bound, kind in ((SURELY_OFF, cv2.GC_PR_BGD), (0.5, cv2.GC_PR_FGD), (SURELY_ON, cv2.GC_FGD)):
        classes[small > bound] = kind
    if len(np.unique(classes)) < 3 or not {cv2.GC_BGD, cv2.GC_FGD} <= set(classes.ravel()):
        return likely
    colours = cv2.cvtColor(cv2.resize(photograph, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    cv2.setRNGSeed(0)  # its first clusters are drawn: the same picture has the same mask
    cv2.grabCut(colours, classes, None, np.zeros((1, 65)), np.zeros((1, 65)), STEPS, cv2.GC_INIT_WITH_MASK)
    is_on = np.isin(classes, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    return cv2.resize(is_on, (width, height))
