import numpy as np
import pytest

from shared.light.agreement import is_colour_sure, is_warm
from shared.light.colour import rgb_of_cct
from shared.light.network import Seen

PAINTS = np.random.default_rng(0).uniform(0.1, 0.6, (40, 40, 1)) * np.ones(3)  # all of them grey


def seen(kelvin):
    """What a network sees of a light of that temperature, and nothing else."""
    nothing = dict.fromkeys(Seen._fields)
    return Seen(**nothing | {"log_tint": np.log(rgb_of_cct(kelvin))})


def lit(kelvin, paints=PAINTS):
    return (paints * rgb_of_cct(kelvin) * 0.7).astype(np.float32)


@pytest.mark.parametrize(
    ("light", "told", "sure"), [(3500, 3500, True), (11000, 11000, True), (3500, 9000, False), (6400, 6400, False)]
)
def test_a_colour_is_sure_where_the_estimates_lean_to_the_same_side(light, told, sure):
    assert is_colour_sure(lit(light), light, seen(told)) == sure
    assert is_warm(lit(light), light, seen(told)) == (sure and light < 6500)


def test_where_nothing_is_near_to_neutral_no_colour_is_sure():
    red = PAINTS * [1.0, 0.4, 0.1]
    assert not is_colour_sure(lit(3500, red), 3500, seen(3500))
    assert not is_warm(lit(3500, red), 3500, seen(3500))


def test_a_light_may_be_warm_whose_edges_are_nearly_white():
    assert is_warm(lit(4000), 6000, seen(4000))
    assert not is_warm(lit(4000), 6600, seen(4000))


def test_a_black_picture_tells_no_colour():
    assert not is_colour_sure(np.zeros((9, 9, 3), np.float32), 3000, seen(3000))
    assert not is_warm(np.zeros((9, 9, 3), np.float32), 3000, seen(3000))
