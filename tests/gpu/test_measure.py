"""measure.py on the CPU with tiny models: each part has its rows, and one that fails costs itself alone."""

import os
import re
import signal
import subprocess
import sys

import pytest

from tests.conftest import ROOT, wait_until
from tests.gpu import measure

NUMBER = re.compile(r"\d+\.\d+")


@pytest.mark.parametrize(
    ("code", "seconds", "reason"),
    [
        ("raise ValueError('no room | left')", 60, "exit status 1: ValueError: no room / left"),
        ("import time; time.sleep(60)", 0.5, "it had not ended after 0 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 60, "exit status -9"),
    ],
)
def test_a_part_that_fails_says_why_in_one_line(code, seconds, reason):
    with pytest.raises(measure.PartFailed, match=f"^{re.escape(reason)}$"):
        measure.ask_child([sys.executable, "-c", code], seconds)


def test_what_a_part_has_started_ends_with_it(tmp_path):
    code = f"""
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(600)
"""
    with pytest.raises(measure.PartFailed):
        measure.ask_child([sys.executable, "-c", code], 5)
    wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())), 10)


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_row_says_whether_its_goal_is_met(monkeypatch, capsys):
    rows = {
        "clip": [
            measure.Row("the step", 1600.0, 0.9, "1500 images/s", True, 1.25, "80 %"),
            measure.Row("alone", 3000.0),
        ],
        "train": [measure.Row("the trainer", 10.0, 0.5, "1.0 of the plain loop", False)],
    }

    def answer(command, seconds, is_cpu):
        name = command[command.index("--part") + 1]
        if name == "marigold":
            raise measure.PartFailed("out of memory")
        return rows[name]

    monkeypatch.setattr(measure, "ask_child", answer)
    monkeypatch.setattr(sys, "argv", ["measure", "--cpu", "--only", "clip", "marigold", "train"])
    with pytest.raises(SystemExit) as ended:
        measure.main()
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "| the step | 1600.0 | 0.90 | 1500 images/s | yes | 1.25 | 80 % |",
        "| alone | 3000.0 |  |  |  |  |  |",
        "| Marigold | - | - | failed: out of memory | - | - | - |",
        "| the trainer | 10.0 | 0.50 | 1.0 of the plain loop | no |  |  |",
    ]


def test_the_time_is_shared_among_what_is_still_to_come(monkeypatch, capsys):
    given = {}

    def answer(command, seconds, is_cpu):
        given[command[command.index("--part") + 1]] = round(seconds)
        return []

    monkeypatch.setattr(measure, "ask_child", answer)
    monkeypatch.setattr(sys, "argv", ["measure", "--cpu", "--minutes", "10"])
    with pytest.raises(SystemExit) as ended:
        measure.main()
    assert ended.value.code == 0
    # None of them took any of it, so that the last has all.
    assert given == {"clip": 90, "train": 282, "marigold": 267, "captions": 600}


@pytest.mark.slow
def test_every_row_is_there_with_its_numbers():
    command = [sys.executable, "-m", "tests.gpu.measure", "--cpu", "--minutes", "8"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("| ")][2:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    numbers = {row[0].rpartition(": ")[2]: row[1:] for row in rows}
    steps = ["the filter step", "the degrade step", "the caption step", "trainer", "trainer, latents cached"]
    alone = ["the model alone", "the decoder alone", "relighting alone", "the engine alone", "plain loop"]
    assert set(numbers) == {*steps, *alone}
    assert len(rows) == 11  # of CLIP and of Marigold the model alone
    for name, (rate, ratio, goal, is_met, memory, _) in numbers.items():
        assert float(rate) > 0, name
        if name in steps:
            assert min(float(ratio), float(memory)) > 0 and NUMBER.search(goal) and is_met in ("yes", "no"), name


@pytest.mark.slow
def test_ended_from_outside_it_leaves_nothing_behind(tmp_path):
    command = [sys.executable, "-m", "tests.gpu.measure", "--cpu", "--only", "captions"]
    process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # fmt: skip
    wait_until(lambda: list(tmp_path.glob("captions-*")), 120)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True).stdout
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 1
    for pid in map(int, children.split()):
        wait_until(lambda pid=pid: not is_alive(pid), 10)
    assert list(tmp_path.iterdir()) == []
