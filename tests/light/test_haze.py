import numpy as np
import pytest

from shared.light.glance import Glance
from shared.light.haze import is_hazy
from tests.test_default_run import SAMPLES


def hills(air, size=(200, 300)):
    """Five rows of dark hills with trees, from far to near, behind `air` (0 none, 1 that of a fog)."""
    height, width = size
    rng = np.random.default_rng(0)
    picture = np.full((height, width, 3), (232, 234, 238), np.float64)
    columns = np.arange(width)
    for step in range(5):
        crest = 40 + 30 * step + 8 * np.sin(columns / 23 + step)
        is_hill = np.arange(height)[:, np.newaxis] > crest
        share = air * 0.9 * (1 - step / 4) ** 0.7
        ground = np.array((40, 52, 38)) + rng.normal(0, 12, (height, width, 1))
        picture = np.where(is_hill[..., np.newaxis], share * 228 + (1 - share) * ground, picture)
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_hills_that_fade_into_the_air_are_hazy_and_clear_ones_are_not():
    assert is_hazy(Glance.of(hills(air=1.0)))
    assert not is_hazy(Glance.of(hills(air=0.0)))


@pytest.mark.parametrize(
    "picture",
    [
        np.full((120, 180, 3), 230, np.uint8),  # a wall
        np.full((1, 1, 3), 200, np.uint8),
        hills(air=1.0)[::-1],  # what is near is bright
    ],
)
def test_what_is_bright_alone_is_not_hazy(picture):
    assert not is_hazy(Glance.of(np.ascontiguousarray(picture)))


def test_none_of_the_bundled_photographs_is_hazy_nor_its_mirror_image():
    import cv2

    paths = sorted(SAMPLES.glob("*.jpg"))
    assert paths
    for path in paths:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
        assert not is_hazy(Glance.of(picture)) and not is_hazy(Glance.of(np.ascontiguousarray(picture[:, ::-1])))
