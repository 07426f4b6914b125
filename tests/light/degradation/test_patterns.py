import numpy as np
import pytest

from shared.light.degradation.patterns import PATTERN_SHARES, PATTERNS, cast


def test_the_ten_patterns_of_the_original_have_their_weights():
    assert PATTERN_SHARES == {
        "tree_foliage": 0.20, "venetian_blind": 0.18, "window_frame": 0.15, "branch": 0.12, "curtain": 0.10,
        "fence": 0.08, "voronoi": 0.07, "lattice": 0.05, "cloud": 0.03, "screen": 0.02,
    }  # fmt: skip
    assert list(PATTERNS) == list(PATTERN_SHARES)


@pytest.mark.parametrize("kind", PATTERN_SHARES)
@pytest.mark.parametrize("seed", range(4))
def test_a_pattern_has_light_and_shadow_between_0_and_1(kind, seed):
    light = cast(kind, 240, 320, 0.004, np.random.default_rng(seed))
    assert light.shape == (240, 320)
    assert light.dtype == np.float32
    assert light.min() >= 0
    assert light.max() <= 1
    assert np.percentile(light, 97) > 0.6, "no light comes through"
    assert np.percentile(light, 3) < 0.5, "no shadow is thrown"
    assert 0.1 < light.mean() < 0.95


@pytest.mark.parametrize("kind", PATTERN_SHARES)
def test_a_pattern_is_drawn_again_from_the_same_numbers_and_differs_for_others(kind):
    one, again, other = (cast(kind, 90, 120, 0.004, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.tobytes() == again.tobytes()
    assert np.abs(one - other).mean() > 0.02


@pytest.mark.parametrize("kind", ["venetian_blind", "window_frame", "fence", "tree_foliage", "branch", "lattice"])
def test_a_wider_penumbra_makes_softer_edges(kind):
    sharp, soft = (cast(kind, 300, 300, penumbra, np.random.default_rng(5)) for penumbra in (0.002, 0.02))
    steepest = [np.abs(np.diff(light, axis=1)).max() for light in (sharp, soft)]
    assert steepest[1] < 0.4 * steepest[0]


@pytest.mark.parametrize("kind", PATTERN_SHARES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 300), (300, 2)])
def test_a_pattern_fits_any_shape(kind, shape):
    assert cast(kind, *shape, 0.004, np.random.default_rng(0)).shape == shape
