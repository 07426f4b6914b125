import numpy as np
import pytest

from shared.light.backdrop import NO_BACKDROP
from shared.light.glance import Glance
from shared.light.shadows import shadows_of
from shared.light.sky import NO_SKY

TABLE = np.full((192, 192, 3), (226, 224, 221), np.uint8)
TABLE[60:120, 40:90] = np.random.default_rng(0).integers(10, 200, (60, 50, 3))
GRAVEL = np.random.default_rng(0).integers(20, 240, (192, 192, 1)).repeat(3, -1).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "sky", "backdrop", "contrast", "told"),
    [
        (GRAVEL, NO_SKY, NO_BACKDROP, 6.0, None),
        (GRAVEL, NO_SKY, NO_BACKDROP, 3.0, "soft"),
        (GRAVEL, NO_SKY, NO_BACKDROP._replace(is_even=True), 6.0, "soft"),
        (GRAVEL, NO_SKY._replace(weather="clear", is_sunlit=True), NO_BACKDROP, 3.0, "hard"),
        (GRAVEL, NO_SKY._replace(weather="clear"), NO_BACKDROP, 3.0, None),
        (GRAVEL, NO_SKY._replace(weather="sunset"), NO_BACKDROP, 3.0, None),
        (TABLE, NO_SKY, NO_BACKDROP, 6.0, "soft"),
        (TABLE, NO_SKY._replace(weather="hazy"), NO_BACKDROP, 6.0, None),
        (np.full_like(TABLE, 255), NO_SKY, NO_BACKDROP, 6.0, None),  # a cut-out's paper
    ],
)
def test_shadows_are_hard_in_the_sun_and_soft_where_none_are_seen(picture, sky, backdrop, contrast, told):
    assert shadows_of(Glance.of(picture), sky, backdrop, contrast) == told


def test_no_shadow_is_told_by_colours():
    red = np.full((192, 192, 3), (200, 30, 20), np.uint8)
    assert shadows_of(Glance.of(red), NO_SKY, NO_BACKDROP, 3.0) is None
