"""Random numbers depend on the seed, the item and the purpose, and on nothing else."""

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from shared.seeding import item_rng


def test_the_numbers_never_change():
    # A change here changes every image that was ever made with a seed.
    assert item_rng(42, "indoor/a.jpg", "degrade").integers(0, 2**32, 4).tolist() == [
        2691799459,
        1244553791,
        4287610786,
        3768701583,
    ]


@given(st.integers(), st.text(), st.text())
def test_the_same_three_give_the_same_numbers(seed, key, purpose):
    assert item_rng(seed, key, purpose).random(3).tolist() == item_rng(seed, key, purpose).random(3).tolist()


def test_each_of_the_three_counts():
    some = [(1, "a", "x"), (2, "a", "x"), (1, "b", "x"), (1, "a", "y"), (11, "", "ax"), (1, "1", "ax"), (1, "x", "a")]
    for first, second in combinations(some, 2):
        assert item_rng(*first).random() != item_rng(*second).random(), (first, second)


def test_the_numbers_are_spread_evenly():
    draws = [item_rng(7, f"item{number}", "split").random() for number in range(2000)]
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02


def test_a_key_that_is_no_utf8_has_numbers_too():
    assert 0 <= item_rng(1, "\udcff", "x").random() < 1
