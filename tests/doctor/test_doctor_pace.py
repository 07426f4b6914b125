"""How fast a step is taken to be, and that no probe outlives doctor."""

import os
import signal

import pytest

from shared.doctor.attempt import Attempt
from shared.doctor.probe import items_a_second, pace, repeated
from shared.doctor.trial import Answered
from tests.conftest import wait_until


def attempt_of(*answers: tuple[float, int], stopped: float = float("inf")) -> Attempt:
    return Attempt(1.0, [Answered(*answer) for answer in answers], stopped)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (attempt_of(), 0.0),
        (attempt_of((4.0, 1)), 0.25),
        (attempt_of((10.0, 1), (11.0, 1), (12.0, 1)), 1.0),  # the first also pays for imports
        (attempt_of(*[(9.0, 4)] * 4, *[(10.0, 4)] * 4, *[(11.0, 4)] * 4), 4.0),  # batches of four
        (attempt_of(*[(9.0, 4)] * 4, *[(10.0, 4)] * 3), 7 / 10.0),  # not two waves
        # An engine with four in hand, whose queue runs dry from second 4 on.
        (attempt_of(*[(2.0, 4)] * 4, *[(4.0, 4)] * 4, (7.0, 2), (9.0, 1), stopped=4.0), 2.0),
    ],
)
def test_the_pace_is_that_of_a_pipeline_that_is_full(found, expected):
    assert items_a_second(found) == pytest.approx(expected)


def test_what_fails_is_no_part_of_the_pace():
    failed = [Answered(0.1, 0, "ValueError: bad")] * 10
    assert items_a_second(Attempt(1.0, [*failed, Answered(2.0, 2), Answered(4.0, 1)])) == 0.5


def test_the_sample_is_repeated_under_other_keys():
    items = [{"key": "a", "n": 1}, {"key": "b", "n": 2}]
    assert repeated(items, 1) == items[:1]
    assert repeated(items, 5) == [
        *items,
        {"key": "a probe 2", "n": 1},
        {"key": "b probe 2", "n": 2},
        {"key": "a probe 3", "n": 1},
    ]
    assert repeated([], 5) == []


def test_a_pace_is_told_as_people_tell_it():
    assert [pace(rate) for rate in (0.02, 2.5, 1234.56)] == [
        "50000 ms an item",
        "400 ms an item",
        "1234.6 items a second",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_what_doctor_has_started(project, number):
    keys = project.items(8)
    project.write_config({"still": keys[0]})
    before = sorted(project.folder.rglob("*"))
    doctor = project.launch("doctor")
    wait_until(lambda: any(project.folder.glob(".doctor-*/run/step_1_toy/stood")))
    assert any("shared.doctor.trial" in words for words in project.processes())
    os.kill(doctor.pid, number)
    output, _ = doctor.communicate(timeout=30)
    assert doctor.returncode == {signal.SIGINT: 130}.get(number, 128 + number), output
    assert "Traceback" not in output
    wait_until(lambda: project.processes() == [])
    assert [path for path in sorted(project.folder.rglob("*")) if "__pycache__" not in path.parts] == [
        path for path in before if "__pycache__" not in path.parts
    ]


def test_a_killed_doctor_takes_its_probe_along(project):
    keys = project.items(8)
    project.write_config({"still": keys[0]})
    doctor = project.launch("doctor", TMPDIR=project.folder)
    wait_until(lambda: any(project.folder.glob(".doctor-*/run/step_1_toy/stood")))
    doctor.kill()
    doctor.wait()
    wait_until(lambda: project.processes() == [])
