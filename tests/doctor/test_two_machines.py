"""What two machines find out about locks in a folder that they share, or do not."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.doctor import two_machines
from shared.doctor.disk import check_disk
from shared.doctor.two_machines import DO_NOT_HOLD, HOLD, NOT_SHARED, hold_or_ask
from tests.conftest import ROOT


def on_another(folder) -> subprocess.Popen:
    """The second machine, which is a process of its own."""
    code = "import sys, pathlib; from shared.doctor.two_machines import hold_or_ask; print(hold_or_ask(pathlib.Path(sys.argv[1]), False))"
    return subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_lock_that_the_other_machine_sees_holds(tmp_path):
    other = on_another(tmp_path / "trial")
    assert hold_or_ask(tmp_path / "trial", True) == HOLD
    assert other.communicate()[0].strip() == HOLD


def test_a_lock_that_both_get_does_not_hold(tmp_path):
    # Of one process: POSIX gives it a lock that it has, as a machine whose locks are its own would.
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda is_first: hold_or_ask(tmp_path / "trial", is_first), (True, False)))
    assert found == [DO_NOT_HOLD, DO_NOT_HOLD]


@pytest.mark.parametrize("is_first", [True, False])
def test_machines_whose_folder_is_not_the_same_say_so(tmp_path, monkeypatch, is_first):
    monkeypatch.setattr(two_machines, "SECONDS_TO_SEE", 0.3)
    assert hold_or_ask(tmp_path / "mine", is_first) == NOT_SHARED


def test_the_doctor_of_a_disk_says_how_claims_are_kept(tmp_path, monkeypatch):
    def said(leased: bool) -> str:
        [finding] = [
            one for one in check_disk(tmp_path, 0.0, leased) if "lock" in one.sentence or "claims" in one.sentence
        ]
        return f"{finding.mark}: {finding.sentence}"

    assert said(leased=False) == f"ok: locks between processes work under {tmp_path}"
    assert said(leased=True) == "ok: claims are files, as the config says"
    monkeypatch.setattr("shared.doctor.disk.lock_trouble", lambda folder: "it lies on a bucket")
    assert said(leased=True) == "ok: claims are files: it lies on a bucket"
    assert said(leased=False).startswith("warn: it lies on a bucket; for a run of several machines leave out")
