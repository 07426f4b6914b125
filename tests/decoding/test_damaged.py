"""Bytes of a picture that are damaged anywhere, its container's too: it is opened, or refused in words."""

import numpy as np
import pytest

from shared.decoding.decode import decode
from shared.decoding.formats import NotOpened
from shared.masks.stored import opacity_of
from tests.decoding.fuzzing import carriers

CARRIERS = carriers()


def is_refused(read, data: bytes) -> bool:
    try:
        read(data)
    except NotOpened:
        return True
    return False


@pytest.mark.parametrize("count", [170, pytest.param(700, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", CARRIERS)
def test_a_damaged_picture_is_opened_or_refused_and_nothing_else_is_raised(kind, count):
    data, refused = CARRIERS[kind], 0
    for seed in range(count):
        dice = np.random.default_rng(seed)
        damaged = bytearray(data)
        for place in dice.integers(0, len(data), int(dice.integers(1, 6))):
            damaged[place] = int(dice.integers(256))
        if seed % 3 == 0:
            del damaged[int(dice.integers(1, len(data))) :]
        refused += is_refused(decode, bytes(damaged))
        is_refused(opacity_of, bytes(damaged))  # a photograph is no mask, and may be refused for that
    assert 0 < refused < count
