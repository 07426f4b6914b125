"""Threads at work on a stream: order kept, bounded room, the first failure raised."""

import time

import pytest

from shared.loop.in_order import ROOM, in_order
from shared.machine import share_of_cores


def test_what_comes_out_has_the_order_of_what_went_in():
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number < 3 else 0)
        return number * 2

    assert list(in_order(slow_at_first, range(50))) == [number * 2 for number in range(50)]


def test_only_so_many_are_taken_ahead():
    taken = []
    results = in_order(lambda number: number, (taken.append(number) or number for number in range(10_000)))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) <= 3 + share_of_cores(0) * ROOM + 1
    results.close()


def test_an_exception_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        list(in_order(lambda number: 1 // number, [1, 0]))
