"""Which items a worker takes: its own from the front, the others' from the back, each only once."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.files.claims import Claims
from shared.files.pack import Pack
from shared.files.pack_writer import Line, PackWriter
from shared.files.records import Records
from shared.files.states import FAILED, OPEN, RECORDED, item_states
from shared.files.table import Table
from shared.loop.picker import Picker
from shared.seeding import name_hash
from tests.conftest import ROOT


def make_table(folder: Path, keys: list[str]) -> Table:
    return Table.write(folder / "result.jsonl", ({"key": key} for key in keys), folder)


def note(path: Path, key: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps({"key": key}))


class Bench:
    def __init__(self, folder: Path, count: int, form: str = "json"):
        self.folder, self.form = folder, form
        self.keys = [f"item{number}" for number in range(count)]
        self.table = make_table(folder, self.keys)
        self.records = Records(folder)

    def picker(self, rank: int = 0, world_size: int = 1, alone: frozenset[str] = frozenset()) -> Picker:
        return Picker(self.table, self.records, Claims(self.folder / "claims"), rank, world_size, set(alone))

    def record(self, *numbers: int) -> None:
        self._note(self.records.packed, self.records.record_path, numbers)

    def fail(self, *numbers: int) -> None:
        self._note(self.records.packed_failures, self.records.failure_path, numbers)

    def _note(self, pack: Pack, path_of: Callable[[str], Path], numbers: tuple[int, ...]) -> None:
        if self.form == "packed":
            writer = PackWriter(pack, "3")
            lines = ((number, orjson.dumps({"key": self.keys[number]}) + b"\n") for number in numbers)
            writer.append([Line(name_hash(self.keys[number]), number, line) for number, line in lines])
            writer.close()
            return
        for number in numbers:
            note(path_of(self.keys[number]), self.keys[number])


@pytest.fixture(params=["json", "packed"])
def bench(tmp_path, request):
    return Bench(tmp_path, 20, request.param)


def taken(picker: Picker, count: int) -> list[int]:
    """The items of the next block, which is settled at once."""
    block = picker.take(count)
    numbers = [index for index, _ in block.items] if block else []
    for number in numbers:
        picker.settle(number, RECORDED)
    return numbers


@pytest.fixture
def hold(bench):
    """Lets another process hold a range of items; the function that it returns ends that."""
    code = (
        "import sys; from pathlib import Path; from shared.files.claims import Claims\n"
        "claims, numbers = Claims(Path(sys.argv[1])), (int(sys.argv[2]), int(sys.argv[3]))\n"
        "print(claims.take(*numbers) and (claims.touch(*numbers), True)[1], flush=True)\n"
        "sys.stdin.read()"
    )
    processes = []

    def start(start: int, stop: int):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(bench.folder / "claims"), str(start), str(stop)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        processes.append(process)
        process.has_it = process.stdout.readline() == "True\n"
        return process

    yield start
    for process in processes:
        process.communicate()


def test_the_own_shard_goes_first_from_the_front_then_the_others_from_the_back_in_ever_smaller_shares(bench):
    picker = bench.picker(rank=0, world_size=2)
    blocks = []
    while numbers := taken(picker, 4):
        blocks.append(numbers)
    assert blocks == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [17, 18, 19], [15, 16], [13, 14], [12], [11], [10]]
    assert picker.look_again()


def test_helpers_begin_with_the_next_shard_and_not_all_with_the_same(bench):
    helped = {}
    for rank in range(4):
        picker = bench.picker(rank, 4)
        for number in range(5):
            picker.settle(5 * rank + number, RECORDED)
        helped[rank] = taken(picker, 1)
    assert helped == {0: [9], 1: [14], 2: [19], 3: [4]}


def test_recorded_and_failed_items_are_left_out(bench):
    bench.record(0, 2, 3, 19)
    bench.fail(1, 5)
    picker = bench.picker()
    assert picker.state.tolist() == [1, 2, 1, 1, 0, 2, *[0] * 13, 1]
    assert picker.shard_counts() == (14, 4, 2)
    assert taken(picker, 4) == [4, 6, 7, 8]


def test_a_record_counts_more_than_a_failure(bench):
    bench.fail(3)
    bench.record(3)
    assert item_states(bench.table, bench.records)[3] == RECORDED


def test_what_was_recorded_since_the_listing_is_not_given(bench, hold):
    picker = bench.picker()
    hold(0, 3).communicate()  # another process has had them
    bench.record(0, 2)
    bench.fail(1)
    assert taken(picker, 4) == [3]
    assert picker.state[:4].tolist() == [RECORDED, FAILED, RECORDED, RECORDED]


def test_what_another_process_has_is_passed_over_and_found_again_later(bench, hold):
    picker = bench.picker()
    holder = hold(3, 4)
    assert taken(picker, 5) == [5, 6, 7, 8, 9]  # the first block was not free as a whole
    while taken(picker, 5):
        pass
    assert not picker.look_again()
    picker.restart()
    assert taken(picker, 2) == [0, 1]
    assert taken(picker, 2) == [4]  # 2 and 3 were asked for together
    picker.restart()
    holder.communicate()
    assert taken(picker, 2) == [2, 3]
    assert taken(picker, 2) == []
    assert picker.look_again()


def test_a_block_that_is_taken_is_refused_to_others(bench, hold):
    block = bench.picker().take(4)
    assert (block.start, block.stop, block.left) == (0, 4, 4)
    assert not hold(3, 4).has_it
    assert hold(4, 5).has_it


def test_items_to_try_alone_come_one_at_a_time_and_in_no_block(bench):
    picker = bench.picker(alone=frozenset({"item2", "item7", "gone"}))
    assert taken(picker, 5) == [0, 1, 3, 4]
    blocks = []
    for block in picker.take_alone():
        blocks.append([index for index, _ in block.items])
        picker.settle(blocks[-1][0], RECORDED)
    assert blocks == [[2], [7]]


def test_an_item_to_try_alone_that_another_process_has_is_left_to_it(bench, hold):
    picker = bench.picker(alone=frozenset({"item2"}))
    holder = hold(2, 3)
    assert list(picker.take_alone()) == []
    bench.record(2)
    holder.communicate()
    assert list(picker.take_alone()) == []  # it has its record meanwhile
    assert picker.state[2] == RECORDED


def test_open_items_far_apart_are_taken_together(bench):
    bench.record(*range(1, 19))
    assert taken(bench.picker(), 8) == [0, 19]


def test_the_search_goes_on_behind_what_is_looked_at_in_one_call(bench, monkeypatch):
    monkeypatch.setattr("shared.loop.picker.LOOK_AT_ONCE", 3)
    bench.record(*range(8), *range(12, 20))
    assert taken(bench.picker(), 8) == [8]  # as far as one call saw
    assert taken(bench.picker(rank=0, world_size=2), 8) == [8]
    assert taken(bench.picker(rank=1, world_size=2), 8) == [10, 11]


def test_more_workers_than_items(tmp_path):
    bench = Bench(tmp_path, 2)
    pickers = [bench.picker(rank, 5) for rank in range(5)]
    assert sorted(picker.shard_counts() for picker in pickers) == [(0, 0, 0)] * 3 + [(1, 0, 0)] * 2
    assert all(sorted(taken(picker, 9) + taken(picker, 9)) == [0, 1] for picker in pickers)


keys = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), unique=True, min_size=1, max_size=12
)


@settings(deadline=None, max_examples=60)
@given(keys, st.data())
def test_every_key_is_found_in_the_listing_whatever_its_name(keys, data):
    states = [data.draw(st.sampled_from((OPEN, RECORDED, FAILED))) for _ in keys]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table, records = make_table(folder, keys), Records(folder)
        for key, state in zip(keys, states, strict=True):
            if state != OPEN:
                note(records.record_path(key) if state == RECORDED else records.failure_path(key), key)
        assert item_states(table, records).tolist() == states
        assert [records.is_recorded(key) for key in keys] == [state == RECORDED for state in states]
        assert [records.is_settled(key) for key in keys] == [state != OPEN for state in states]


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(1, 9), st.data())
def test_whatever_is_done_already_each_worker_alone_would_take_all_the_rest_once(count, world_size, size, data):
    done = data.draw(st.sets(st.integers(0, count - 1)))
    rank = data.draw(st.integers(0, world_size - 1))
    with tempfile.TemporaryDirectory() as name:
        one = Bench(Path(name), count)
        one.record(*done)
        picker, order = one.picker(rank, world_size), []
        while numbers := taken(picker, size):
            assert len(numbers) <= size
            order += numbers
        assert sorted(order) == sorted(set(range(count)) - done)
        assert np.all(picker.state == RECORDED)


@pytest.mark.parametrize("content", ["", '{"key": "a%', "[]", '{"key": 5}', '{"key": "other"}'])
def test_a_torn_record_with_an_escaped_name_is_open_for_all(tmp_path, content):
    table, records = make_table(tmp_path, ["a%b", "other"]), Records(tmp_path)
    note(records.record_path("a%b"), "")
    records.record_path("a%b").write_text(content)
    assert item_states(table, records).tolist() == [OPEN, OPEN]
    assert not records.is_recorded("a%b")
    picker = Picker(table, records, Claims(tmp_path / "claims"), 0, 1, set())
    assert taken(picker, 5) == [0, 1]
