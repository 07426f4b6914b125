"""One batch is prepared and queued while the one before is worked on."""

import threading
from dataclasses import dataclass, field

import pytest

from shared.loop.overlap import overlapped
from shared.worker import Loaded, Worker


class OutOfMemoryError(RuntimeError):
    """Named as torch names it."""


@dataclass
class Queueing(Worker):
    """Doubles numbers; `events` says what happened when."""

    events: list = field(default_factory=list)
    memory: int = 1000  # items that fit, of all batches in flight together
    broken_begin: tuple = ()
    broken_end: tuple = ()
    held: int = 0

    def begin(self, batch):
        keys = [item["key"] for item, _ in batch]
        self.events.append(("begin", keys))
        if self.held + len(keys) > self.memory:
            raise OutOfMemoryError("out of memory")
        if set(keys) & set(self.broken_begin):
            raise ValueError("cannot begin")
        self.held += len(keys)

        def end():
            self.held -= len(keys)
            self.events.append(("end", keys))
            if set(keys) & set(self.broken_end):
                raise ValueError("cannot end")
            return [{"value": 2 * data} for _, data in batch]

        return end

    def process(self, batch):
        self.events.append(("alone", self.held))
        return self.begin(batch)()

    def run(self, count: int) -> dict:
        loaded = (Loaded({"key": number}, number) for number in range(count))
        return {item["key"]: found for item, found in overlapped(self, loaded, self.begin)}


def doubled(count: int, without: tuple = ()) -> dict:
    return {number: {"value": 2 * number} for number in range(count) if number not in without}


def test_every_item_is_answered_in_order_the_last_batch_included():
    worker = Queueing(batch_size=3)
    found = worker.run(8)
    assert list(found.items()) == list(doubled(8).items())
    assert [keys for event, keys in worker.events if event == "begin"] == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert Queueing(batch_size=3).run(0) == {}


def test_a_batch_is_begun_before_the_one_before_has_ended_and_no_more_than_one():
    worker = Queueing(batch_size=1)
    is_begun = [threading.Event() for _ in range(6)]
    in_flight, most = 0, 0

    def begin(batch):
        nonlocal in_flight, most
        [(item, _)] = batch
        is_begun[item["key"]].set()
        in_flight += 1
        most = max(most, in_flight)

        def end():
            nonlocal in_flight
            assert item["key"] == 5 or is_begun[item["key"] + 1].wait(10), "the next one waited for this one"
            in_flight -= 1
            return [{}]

        return end

    loaded = (Loaded({"key": number}, None) for number in range(6))
    assert [found for _, found in overlapped(worker, loaded, begin)] == [{}] * 6
    assert most == 2


@pytest.mark.parametrize("place", ["broken_begin", "broken_end"])
def test_a_batch_that_fails_is_tried_item_by_item_when_no_other_is_in_flight(place):
    worker = Queueing(batch_size=3, **{place: (4,)})
    found = worker.run(12)
    assert isinstance(found[4], ValueError)
    assert {key: value for key, value in found.items() if key != 4} == doubled(12, without=(4,))
    assert [held for event, held in worker.events if event == "alone"] == [0, 0, 0, 0]
    assert worker.batch_size == 3


def test_where_two_batches_do_not_fit_together_each_is_done_and_the_batch_stays():
    worker = Queueing(batch_size=4, memory=6)
    assert worker.run(12) == doubled(12)
    assert worker.batch_size == 4


def test_where_one_batch_does_not_fit_it_is_halved_and_stays_so():
    worker = Queueing(batch_size=8, memory=5)
    assert worker.run(30) == doubled(30)
    assert worker.batch_size == 4
    assert max(len(keys) for event, keys in worker.events[6:] if event == "begin") == 4
