import threading
from itertools import chain

import pytest

from shared.loop import recorder
from shared.loop.recorder import Recorder

NEVER = 3600.0  # seconds


@pytest.fixture
def groups(monkeypatch):
    monkeypatch.setattr(recorder, "GATHERING", NEVER)
    return []


def put(one: Recorder, count: int) -> list[tuple[str, dict]]:
    outcomes = [(str(number), {"number": number}) for number in range(count)]
    for key, found in outcomes:
        one.put(key, found)
    return outcomes


@pytest.mark.parametrize("end", [Recorder.wait, Recorder.close])
def test_outcomes_gather_until_somebody_waits(groups, end):
    one = Recorder(groups.append, room=64)
    outcomes = put(one, 20)
    assert groups == []
    end(one)
    assert groups == [outcomes]


def test_outcomes_gather_no_further_than_there_is_room(groups):
    one = Recorder(groups.append, room=8)
    outcomes = put(one, 30)
    one.close()
    assert list(chain.from_iterable(groups)) == outcomes
    assert [len(group) for group in groups] == [8, 8, 8, 6]


def test_what_is_larger_takes_more_of_the_room(groups):
    one = Recorder(groups.append, room=8)
    for number in range(6):
        one.put(str(number), {}, size=4)
    one.close()
    assert [len(group) for group in groups] == [2, 2, 2]


def test_a_group_has_a_bound(groups):
    one = Recorder(groups.append, room=600)
    put(one, 600)
    one.close()
    assert [len(group) for group in groups] == [256, 256, 88]


def test_the_first_of_a_group_waits_no_longer_than_a_moment(monkeypatch):
    monkeypatch.setattr(recorder, "GATHERING", 0.01)
    recorded = threading.Event()
    one = Recorder(lambda group: recorded.set(), room=64)
    one.put("a", {})
    assert recorded.wait(60)
    one.close()


def test_what_breaks_is_raised_to_whoever_puts_waits_or_closes(groups):
    def break_down(group):
        groups.append(group)
        raise OSError(28, "No space left on device")

    one = Recorder(break_down, room=4)
    put(one, 3)
    with pytest.raises(OSError, match="No space"):
        one.wait()
    for action in (lambda: one.put("a", {}), one.wait, one.close):
        with pytest.raises(OSError, match="No space"):
            action()
    assert len(groups) == 1  # nothing is recorded after it


def test_putting_goes_on_while_a_group_is_recorded(groups):
    begun, go_on = threading.Event(), threading.Event()

    def record(group):
        groups.append(group)
        begun.set()
        go_on.wait(60)

    one = Recorder(record, room=4)
    put(one, 4)
    assert begun.wait(60)
    put(one, 4)
    go_on.set()
    one.close()
    assert [len(group) for group in groups] == [4, 4]
