"""Sharpness orders photographs by how blurred they are, and by nothing else."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from shared.selection.scoring.sharpness import SHARPNESS_SIZE, sharpness_of
from tests.conftest import ROOT

SAMPLES = sorted((ROOT / "configs" / "samples").glob("*.jpg"))


def photograph(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """By a Gaussian of so many pixels at the working size."""
    return cv2.GaussianBlur(image, (0, 0), sigma * max(image.shape) / SHARPNESS_SIZE)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_photograph_is_less_sharp_the_more_it_is_blurred(path):
    image = photograph(path)
    found = [sharpness_of(image), *(sharpness_of(blurred(image, sigma)) for sigma in (1, 2, 3, 4, 6))]
    assert all(one > 1.1 * other for one, other in pairwise(found))
    assert found[0] > 0.35 and found[3] < 0.3 and found[4] < 0.2


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_noise_does_not_make_a_blurred_photograph_sharp(path):
    image = blurred(photograph(path), 4)
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    assert sharpness_of(np.clip(image + noise, 0, 255).astype(np.uint8)) < 0.25


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_neither_contrast_nor_size_nor_a_soft_background_matters(path):
    image = photograph(path)
    sharp = sharpness_of(image)
    pale = np.rint(128 + (image.astype(np.float32) - 128) / 2).astype(np.uint8)
    large = cv2.resize(image, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    assert sharpness_of(pale) == pytest.approx(sharp, abs=0.05)
    assert sharpness_of(large) == pytest.approx(sharp, abs=0.05)
    height, width = image.shape[:2]
    portrait = blurred(image, 6)
    middle = (slice(height // 4, -height // 4), slice(width // 4, -width // 4))
    portrait[middle] = image[middle]
    assert sharpness_of(portrait) > 0.3


@pytest.mark.parametrize("size", [(1, 1), (2, 700), (64, 64)])
def test_a_picture_without_an_edge_is_not_sharp(size):
    assert sharpness_of(np.full((*size, 3), 90, np.uint8)) == 0
