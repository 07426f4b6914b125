"""What must survive: kills at random moments, a full disk, and inputs that nobody should have."""

import contextlib
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.conftest import wait_until


def worker_pids(project) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes()
            place = os.readlink(entry / "cwd")
        except OSError:
            continue
        if place == str(project.folder) and b"workers.toy" in words and b"launch" not in words.split(b"\0")[2]:
            found.append(int(entry.name))
    return found


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "claims"), [("json", "locks"), ("packed", "files")])
def test_kills_at_random_moments_lose_and_double_nothing(project, form, claims):
    dice = random.Random(7)
    keys = project.items(800)
    project.write_config({"seconds": 0.03, "batch_size": 2, "draws": True, "records": form}, claims=claims)
    kills, process = 0, None
    while kills < 25:
        if process is None or process.poll() is not None:
            if process is not None:
                process.stdout.close()
            if len(project.recorded()) == len(keys):
                break
            process = project.launch(GPU_COUNT=dice.choice((1, 2, 3)), MAX_RESTARTS=1)
        time.sleep(dice.uniform(0.05, 0.9))
        target = dice.choice(("worker", "worker", "workers", "launcher"))
        pids = worker_pids(project)
        if target == "launcher":
            kill(process.pid)
            process.wait()
        else:
            for pid in pids[:1] if target == "worker" else pids:
                kill(pid)
        kills += 1
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=300)
    wait_until(lambda: project.processes() == [])
    done = project.run(timeout=300)
    assert done.returncode == 0, done.stdout
    recorded = project.recorded()
    assert sorted(recorded) == keys
    for key, record in recorded.items():
        assert record["value"] == key.upper()
        assert (project.step / record["output_image_path"]).stat().st_size == record["files"][f"drawn/{key}.png"][
            "bytes"
        ]
    assert [line for line in project.computed() if line[1] == "True"] == []  # none was computed after it was recorded
    assert kills == 25
    assert (project.step / "packed").exists() == (form == "packed") != (project.step / "records").exists()
    assert project.processes() == [] and project.leftovers() == []
    assert project.run("verify").returncode == 0


def test_the_workers_of_a_killed_launcher_drain_and_leave(project):
    project.items(100)
    gate = project.folder / "gate"
    project.write_config({"gate": str(gate), "free": 2, "seconds": 0.1, "batch_size": 1})
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 6)
    kill(process.pid)
    process.wait()
    process.stdout.close()
    gate.touch()
    wait_until(lambda: project.processes() == [])
    assert sorted(project.recorded()) == sorted(key for _, _, key in project.computed())
    assert "stopped: the launcher is gone" in (project.folder / "logs" / "gpu0.log").read_text()
    assert list(project.step.glob("end*.txt")) == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small tmpfs")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.slow
def test_a_full_disk_stops_with_one_sentence_and_a_rerun_completes(project, small_disk):
    keys = project.items(300)
    gate = project.folder / "gate"
    project.write_config({"draws": True, "batch_size": 4, "gate": str(gate)})
    project.output = small_disk / "out"
    process = project.launch()
    wait_until(lambda: len(project.computed()) == 2)
    status = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (status.f_bavail * status.f_frsize - 1_200_000))  # for half of them
    gate.touch()
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "No space left on device; free some space and run again" in output
    assert "Traceback" not in output + (project.folder / "logs" / "gpu0.log").read_text()
    recorded = project.recorded()
    assert 0 < len(recorded) < len(keys)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    done = project.run(timeout=300)
    assert done.returncode == 0, done.stdout
    assert sorted(project.recorded()) == keys
    assert [line for line in project.computed() if line[1] == "True"] == []
    assert project.leftovers() == []
    assert project.run("verify").returncode == 0


def test_a_disk_that_is_too_small_is_said_before_anything_is_done(project, small_disk):
    project.items(3000)
    project.write_config({})
    project.output = small_disk / "out"
    done = project.run()
    assert done.returncode == 2
    assert f"free under {small_disk}, and the run writes about 11.7 MiB; free some, or take another" in done.stdout
    assert not project.output.exists()
