"""Claims between real processes: one holder, whole blocks, and nothing left of the dead."""

import subprocess
import sys

import pytest

from shared.files.claims import SLOTS, TABLE, Claims
from tests.conftest import ROOT

HOLD = """
import sys
from pathlib import Path
from shared.files.claims import Claims
claims = Claims(Path(sys.argv[1]))
kind, *numbers = sys.argv[2:]
if kind == "take":
    print(claims.take(*map(int, numbers)), flush=True)
elif kind == "slot":
    print(claims.take_slot(), flush=True)
elif kind == "read":
    with claims.reading_table():
        print("reading", flush=True)
        sys.stdin.read()
sys.stdin.read()
"""


class Other:
    """Another process that answers once and then holds what it has got until it is let go or killed."""

    def __init__(self, path, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *map(str, words)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answer = self.process.stdout.readline().strip()

    def end(self, how: str = "communicate"):
        if how == "kill":
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def other(tmp_path):
    held = []

    def hold(*words):
        held.append(Other(tmp_path / "claims", *words))
        return held[-1]

    yield hold
    for one in held:
        if one.process.returncode is None:
            one.end("kill")


def test_what_one_process_has_another_is_refused_until_it_lets_go(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    assert claims.take(10, 20)
    assert other("take", 12, 13).answer == "False"
    claims.release(10, 20)
    assert other("take", 12, 13).answer == "True"
    assert not claims.take(10, 20)


def test_a_block_is_taken_whole_or_not_at_all(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    other("take", 15, 16)
    assert not claims.take(10, 20)
    assert other("take", 10, 15).answer == "True"  # nothing of it was taken
    assert claims.take(16, 20)


@pytest.mark.parametrize("how", ["kill", "communicate"])
def test_the_locks_of_a_process_that_has_ended_are_free_at_once(tmp_path, other, how):
    claims = Claims(tmp_path / "claims")
    holder = other("take", 0, 1_000_000)
    assert holder.answer == "True"
    assert not claims.take(999_999, 1_000_000)
    holder.end(how)
    assert claims.take(0, 1_000_000)


def test_each_living_worker_has_a_slot_of_its_own_and_a_dead_ones_is_given_again(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    assert not claims.has_living_workers()
    first, second = other("slot"), other("slot")
    assert (first.answer, second.answer, claims.take_slot()) == ("0", "1", 2)
    assert claims.has_living_workers()
    assert not claims.is_slot_free(0)
    first.end("kill")
    assert claims.is_slot_free(0)
    assert claims.has_living_workers()
    assert other("slot").answer == "0"


def test_asking_for_living_workers_takes_no_lock(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    assert claims.is_slot_free(0)
    assert not claims.has_living_workers()
    assert claims.holder(0, 10) is None
    worker = other("slot")
    assert worker.answer == "0"  # the first: nothing stood in its way
    assert claims.holder(SLOTS, 1) == worker.process.pid


def test_a_table_is_not_replaced_while_a_worker_opens_it(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    reader = other("read")
    assert reader.answer == "reading"
    with claims.reading_table():  # readers do not wait for each other
        pass
    assert not claims.take(TABLE, TABLE + 1)
    reader.end("kill")
    with claims.replacing_table():
        assert other("take", TABLE, TABLE + 1).answer == "False"
    assert other("take", TABLE, TABLE + 1).answer == "True"


def test_items_slots_and_the_table_do_not_meet(tmp_path, other):
    claims = Claims(tmp_path / "claims")
    assert claims.take(0, SLOTS)  # more items than there will ever be
    assert other("slot").answer == "0"
    assert other("take", TABLE, TABLE + 1).answer == "True"
