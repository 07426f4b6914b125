"""Claims between real processes: one holder, whole blocks, and nothing left of the dead."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from shared.files import leases
from shared.files.claims import SLOTS, TABLE, Claims
from shared.files.leases import LeasedClaims
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from shared.files import leases
from shared.files.claims import TABLE, Claims
leases.BEAT, leases.LEASE = 0.05, 1.0
kind, *numbers = sys.argv[3:]
if sys.argv[2] == "elsewhere":  # as of another machine, whose clock is an hour ahead
    leases.PLACE, now = "elsewhere.1", time.time
    time.time = lambda: now() + 3600
claims = Claims(Path(sys.argv[1])) if sys.argv[2] == "locks" else leases.LeasedClaims(Path(sys.argv[1]))
if kind == "take":
    print(claims.take(*map(int, numbers)), flush=True)
elif kind == "wait":
    won, has_it, tries = Path(sys.argv[1] + ".won"), False, 0
    while not has_it and tries < 10:
        tries += won.exists()
        has_it = claims.take(*map(int, numbers))
        time.sleep(0.02)
    won.touch()
    print(has_it, flush=True)
elif kind == "table":
    print(claims.take(TABLE, TABLE + 1) if sys.argv[2] == "locks" else claims.take_name("table"), flush=True)
elif kind == "touch":
    print(claims.take(*map(int, numbers)) and claims.touch(*map(int, numbers)), flush=True)
elif kind == "check":
    print(claims.take(*map(int, numbers)), flush=True)
    while True:
        try:
            claims.check()
        except RuntimeError as error:
            print(error, flush=True)
            break
        time.sleep(0.02)
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

    def __init__(self, path, how, *words):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), how, *map(str, words)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.answer = self.process.stdout.readline().strip()

    def end(self, how: str = "communicate"):
        if how == "kill":
            self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["locks", "files", "elsewhere"])
def how(request, monkeypatch):
    """By locks; by files, of processes of one machine; by files, where the other process is on another machine."""
    monkeypatch.setattr(leases, "BEAT", 0.05)
    monkeypatch.setattr(leases, "LEASE", 1.0)
    return request.param


@pytest.fixture
def make(tmp_path, how):
    made = []

    def opened():
        made.append((Claims if how == "locks" else LeasedClaims)(tmp_path / "claims"))
        return made[-1]

    yield opened
    for claims in made:
        claims.close()


@pytest.fixture
def other(tmp_path, how):
    held = []

    def hold(*words):
        held.append(Other(tmp_path / "claims", how, *words))
        return held[-1]

    yield hold
    for one in held:
        if one.process.returncode is None:
            one.end("kill")


def within(condition, seconds: float = 60.0) -> bool:
    """Whether it comes true: what a process of another machine held is free when that has shown no life for a while."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_what_one_process_has_another_is_refused_until_it_lets_go(make, other):
    claims = make()
    assert claims.take(640, 1280)
    assert other("take", 700, 701).answer == "False"
    claims.release(640, 1280)
    assert other("take", 700, 701).answer == "True"
    assert not claims.take(640, 1280)


def test_a_block_is_taken_whole_or_not_at_all(make, other):
    claims = make()
    other("take", 960, 1024)
    assert not claims.take(640, 1280)
    assert other("take", 640, 960).answer == "True"  # nothing of it was taken
    assert claims.take(1024, 1280)


def test_parts_of_a_block_are_let_go_of_one_by_one(make, other):
    claims = make()
    assert claims.take(0, 40) and claims.take(40, 80)  # which may share a file
    claims.release(0, 40)
    assert other("take", 40, 64).answer == "False"
    claims.release(40, 80)
    assert other("take", 0, 80).answer == "True"


@pytest.mark.parametrize("end", ["kill", "communicate"])
def test_what_a_process_had_that_has_ended_is_free(make, other, end):
    claims = make()
    holder = other("take", 0, 1000)
    assert holder.answer == "True"
    assert not claims.take(900, 1000)
    holder.end(end)
    assert within(lambda: claims.take(0, 1000))


def test_the_locks_of_a_process_that_has_ended_are_free_at_once(tmp_path):
    claims, holder = Claims(tmp_path / "claims"), Other(tmp_path / "claims", "locks", "take", 0, 1_000_000)
    assert not claims.take(999_999, 1_000_000)
    holder.end("kill")
    assert claims.take(0, 1_000_000)


def test_of_those_that_want_what_a_dead_process_had_one_gets_it(make, other, how):
    holder = other("take", 0, 64)
    holder.end("kill")
    others = [other("wait", 0, 64) for _ in range(6)]  # they ask again and again for a while
    assert sorted(one.answer for one in others) == ["False"] * 5 + ["True"]


def test_each_living_worker_has_a_slot_of_its_own_and_a_dead_ones_is_given_again(make, other):
    claims = make()
    assert not claims.has_living_workers()
    first, second = other("slot"), other("slot")
    assert (first.answer, second.answer, claims.take_slot()) == ("0", "1", 2)
    assert claims.has_living_workers()
    assert not claims.is_slot_free(0)
    first.end("kill")
    assert claims.is_slot_free(0)
    assert claims.has_living_workers()
    assert claims.take_slot_of_dead(0)
    claims.release_slot(0)
    assert not claims.take_slot_of_dead(1)


def test_what_the_dead_left_is_tidied_away_and_what_the_living_have_stays(make, other, tmp_path, how):
    dead, living = other("slot"), other("slot")
    dead.end("kill")
    claims = make()
    assert within(lambda: claims.is_slot_free(0))
    claims.tidy()
    assert not claims.is_slot_free(1)
    living.end("kill")
    assert within(lambda: claims.is_slot_free(1))
    claims.tidy()
    if how != "locks":
        assert {path.name.partition("-")[0] for path in (tmp_path / "claims").iterdir()} == {"alive", "own"}  # our own
        claims.close()
        assert list((tmp_path / "claims").iterdir()) == []


def test_asking_for_living_workers_takes_nothing(make, other):
    claims = make()
    assert claims.is_slot_free(0)
    assert not claims.has_living_workers()
    assert other("slot").answer == "0"  # the first: nothing stood in its way


def test_the_holder_of_a_lock_is_told(tmp_path):
    claims = Claims(tmp_path / "claims")
    assert claims.holder(0, 10) is None
    worker = Other(tmp_path / "claims", "locks", "slot")
    assert claims.holder(SLOTS, 1) == worker.process.pid
    worker.end()


def test_a_table_is_not_replaced_while_a_worker_opens_it(make, other, how):
    claims = make()
    reader = other("read")
    assert reader.answer == "reading"
    if how == "locks":
        with claims.reading_table():  # readers do not wait for each other
            pass
        assert not claims.take(TABLE, TABLE + 1)
    else:
        assert not claims.take_name("table")
    reader.end("kill")
    with claims.replacing_table():
        assert other("table").answer == "False"
    assert other("table").answer == "True"


def test_items_slots_and_the_table_do_not_meet(tmp_path):
    claims = Claims(tmp_path / "claims")
    assert claims.take(0, SLOTS)  # more items than there will ever be
    for words, answer in (("slot", "0"), ("table", "True")):
        one = Other(tmp_path / "claims", "locks", words)
        assert one.answer == answer
        one.end()


def test_who_stood_still_until_others_took_over_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    monkeypatch.setattr(leases, "LEASE", 1.0)
    sleeper = Other(tmp_path / "claims", "elsewhere", "check", 0, 64)
    os.kill(sleeper.process.pid, signal.SIGSTOP)
    claims = LeasedClaims(tmp_path / "claims")
    assert within(lambda: claims.take(0, 64))
    os.kill(sleeper.process.pid, signal.SIGCONT)
    assert re.match(r"it stood still for \d+ s, and others that took it for dead", sleeper.process.stdout.readline())
    sleeper.end()
    claims.check()
    claims.close()


def test_what_nobody_has_had_needs_no_look(tmp_path):
    claims = Claims(tmp_path / "claims")
    assert claims.take(10, 20) and not claims.touch(10, 20)
    claims.release(10, 20)
    other = Other(tmp_path / "claims", "locks", "touch", 15, 30)
    assert other.answer == "True"  # 15 to 20 were had before
    other.end("kill")
    assert claims.take(25, 40) and claims.touch(25, 40)
    assert claims.take(50, 60) and not claims.touch(50, 60)
    with claims.replacing_table():
        claims.forget_touched()
    assert claims.take(10, 40) and not claims.touch(10, 40)
