"""Splits keep their ratios, their groups, and what they once held."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.splits import SPLITS, assign_by_counts, assign_by_ratios, scaled_counts, split_draw

RATIOS = (0.8, 0.1, 0.1)


def draws_of(keys: list[str], seed: int = 42) -> np.ndarray:
    return np.array([split_draw(seed, key) for key in keys], dtype=np.uint64)


def alone(count: int) -> np.ndarray:
    return np.arange(count)


def sizes(split: np.ndarray) -> list[int]:
    return np.bincount(split, minlength=len(SPLITS)).tolist()


def test_a_draw_is_the_same_on_every_machine_and_depends_on_seed_and_key():
    draws = [split_draw(seed, key) for seed, key in ((42, "a/b.jpg"), (43, "a/b.jpg"), (42, "a/c.jpg"))]
    assert draws == [
        15303387428539844895,
        4833913139739548099,
        10795421791669195584,
    ]


def test_a_key_whose_bytes_are_not_utf8_has_a_draw():
    assert 0 <= split_draw(42, "a\udcff.jpg") < 2**64


def test_many_items_come_out_in_the_ratios():
    split = assign_by_ratios(draws_of([f"{number}.jpg" for number in range(20_000)]), alone(20_000), RATIOS)
    assert np.allclose(np.array(sizes(split)) / 20_000, RATIOS, atol=0.01)


def test_the_ratios_need_not_sum_to_one():
    draws = draws_of([f"{number}.jpg" for number in range(500)])
    expected = assign_by_ratios(draws, alone(500), RATIOS)
    assert (assign_by_ratios(draws, alone(500), (8, 1, 1)) == expected).all()


@pytest.mark.parametrize("ratios", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0, 0.5), (0.9, 0.1, 0)])
def test_a_split_with_a_ratio_of_zero_stays_empty(ratios):
    extremes = np.array([0, 2**64 - 1], dtype=np.uint64)
    draws = np.concatenate([draws_of([f"{number}.jpg" for number in range(300)]), extremes])
    found = sizes(assign_by_ratios(draws, alone(302), ratios))
    assert [count == 0 for count in found] == [ratio == 0 for ratio in ratios]


@pytest.mark.parametrize("count", range(5, 21))
def test_few_items_leave_no_split_empty(count):
    keys = [f"photograph {number}.jpg" for number in range(count)]
    found = [sizes(assign_by_ratios(draws_of(keys, seed), alone(count), RATIOS)) for seed in range(100)]
    assert min(min(counts) for counts in found) == 1
    assert sum(counts[0] >= count / 2 for counts in found) >= 90


def test_one_item_is_for_training_and_none_is_no_error():
    assert sizes(assign_by_ratios(draws_of(["a.jpg"], 0), alone(1), (1, 0, 0))) == [1, 0, 0]
    assert sizes(assign_by_ratios(draws_of([]), alone(0), RATIOS)) == [0, 0, 0]
    assert sizes(assign_by_counts(draws_of([]), alone(0), (8, 1, 1))) == [0, 0, 0]


def test_two_copies_of_one_photograph_are_never_torn_apart_to_fill_a_split():
    assert sizes(assign_by_ratios(draws_of(["a.jpg", "b.jpg"]), np.array([0, 0]), (1, 1, 1))).count(2) == 1


@given(st.integers(0, 2**32), st.sets(st.integers(0, 10_000), min_size=60, max_size=120), st.data())
def test_adding_photographs_moves_none_between_splits_that_have_members(seed, numbers, data):
    keys = [f"{number}.jpg" for number in sorted(numbers)]
    old = data.draw(st.lists(st.sampled_from(keys), min_size=40, unique=True))
    before = dict(zip(old, assign_by_ratios(draws_of(old, seed), alone(len(old)), RATIOS), strict=True))
    after = dict(zip(keys, assign_by_ratios(draws_of(keys, seed), alone(len(keys)), RATIOS), strict=True))
    # At most one borrowed item for each of val and test can go back.
    moved = [key for key in old if before[key] != after[key]]
    assert len(moved) <= 2
    shares = np.searchsorted(np.cumsum(RATIOS)[:-1], draws_of(old, seed) / 2.0**64, side="right")
    if len(set(shares)) == 3:
        assert moved == []


items = st.lists(st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 12)), min_size=1, max_size=60)


@given(items)
def test_a_group_is_never_in_two_splits(pairs):
    draws = np.array([draw for draw, _ in pairs], dtype=np.uint64)
    groups = np.array([group for _, group in pairs])
    for split in (assign_by_ratios(draws, groups, RATIOS), assign_by_counts(draws, groups, (8, 1, 1))):
        assert len({(group, where) for group, where in zip(groups, split, strict=True)}) == len(set(groups))


def test_a_duplicate_that_arrives_never_takes_a_photograph_out_of_train():
    keys = [f"{number}.jpg" for number in range(300)]
    before = assign_by_ratios(draws_of(keys), alone(300), RATIOS)
    draws = draws_of([*keys, *(f"copy of {key}" for key in keys)])
    after = assign_by_ratios(draws, np.r_[alone(300), alone(300)], RATIOS)
    assert (after[:300][before == 0] == 0).all()
    assert (after[:300] == after[300:]).all()


@pytest.mark.parametrize("counts", [(10, 1, 1), (8, 2, 2), (0, 6, 6), (12, 0, 0)])
def test_counts_are_met_exactly(counts):
    keys = [f"{number}.jpg" for number in range(12)]
    assert sizes(assign_by_counts(draws_of(keys), alone(12), counts)) == list(counts)


def test_counts_are_scaled_to_what_there_is():
    keys = [f"{number}.jpg" for number in range(24)]
    assert sizes(assign_by_counts(draws_of(keys), alone(24), (10_000, 1_000, 1_000))) == [20, 2, 2]
    assert scaled_counts((10_000, 1_000, 1_000), 11) == [9, 1, 1]
    assert scaled_counts((1, 1, 1), 2) == [1, 1, 0]


def test_counts_are_met_exactly_although_some_photographs_are_duplicates():
    groups = np.r_[np.zeros(15, dtype=int), np.arange(1, 86)]
    draws = np.arange(100, 0, -1, dtype=np.uint64) << np.uint64(50)  # the fifteen come first when test is filled
    split = assign_by_counts(draws, groups, (80, 10, 10))
    assert sizes(split) == [80, 10, 10]
    assert split[:15].tolist() == [0] * 15
    assert split[15:35].tolist() == [2] * 10 + [1] * 10
