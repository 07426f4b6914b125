"""Kill files are seen once, end files tell the truth, progress is only looked at."""

import os
import re
import signal

import orjson
import pytest

from shared.files.control import Control
from shared.files.step_folder import END_FILE, KILL_FILE, PROGRESS_FILE, matching


@pytest.fixture
def places(tmp_path):
    folders = [tmp_path / "step", tmp_path / "run", tmp_path / "beside the launcher"]
    for folder in folders:
        folder.mkdir()
    return folders


def test_nobody_asked(places):
    control = Control(places[0], 0, places, os.getppid())
    assert not control.stop_requested()
    assert control.reason == ""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_kill_file_is_honoured_in_each_place_once_and_removed(places, number):
    control = Control(places[0], 3, places, os.getppid())
    kill = places[number] / "kill3.txt"
    kill.touch()
    assert control.stop_requested()
    assert not kill.exists()
    assert control.reason == f"{kill} asked for it"
    assert control.stop_requested()  # and stays so
    assert not Control(places[0], 3, places, os.getppid()).stop_requested()  # the next worker is not meant


def test_a_signal_during_a_look_is_not_forgotten(places):
    class Signalling(type(places[0])):
        def unlink(self, missing_ok=False):
            signal.raise_signal(signal.SIGTERM)
            super().unlink(missing_ok)

    control = Control(places[0], 0, [], os.getppid())
    control.kill_files = [Signalling(places[0] / "kill0.txt")]
    before = signal.signal(signal.SIGTERM, lambda *_: control.stop("a TERM signal asked for it"))
    try:
        assert control.stop_requested()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert control.reason == "a TERM signal asked for it"


def test_another_gpus_kill_file_is_not_ours(places):
    (places[0] / "kill1.txt").touch()
    assert not Control(places[0], 11, places).stop_requested()
    assert (places[0] / "kill1.txt").exists()


def test_it_does_not_look_at_the_disk_for_every_item(places):
    control = Control(places[0], 0, places)
    assert not control.stop_requested()
    (places[0] / "kill0.txt").touch()
    assert not control.stop_requested()  # too soon after the last look
    control._next_look = 0.0
    assert control.stop_requested()


def test_a_worker_whose_launcher_is_gone_stops(places):
    control = Control(places[0], 0, places, parent=2**22 + 1)  # larger than any pid
    assert control.stop_requested()
    assert control.reason == "the launcher is gone"


def test_an_end_file_is_one_line_with_the_time_and_the_counts(places):
    Control(places[0], 2, places).mark_end(41, 1)
    line = (places[0] / "end2.txt").read_text()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d items 42, recorded 41, failed 1\n", line)


def test_progress_is_replaced_whole(places):
    control = Control(places[0], 2, places)
    control.show_progress({"recorded": 1})
    control.show_progress({"recorded": 2})
    assert orjson.loads((places[0] / "progress2.json").read_bytes()) == {"recorded": 2}
    assert [path.name for path in places[0].iterdir()] == ["progress2.json"]


@pytest.mark.parametrize("pattern", [KILL_FILE, END_FILE, PROGRESS_FILE])
def test_only_whole_names_match(tmp_path, pattern):
    names = [
        "kill0.txt",
        "kill12.txt",
        "xkill0.txt",
        "kill0.txt~",
        "kill.txt",
        "end0.txt",
        "bend0.txt",
        "progress0.json",
    ]
    for name in [*names, ".progress0.json.12-ab.part", "progressX.json"]:
        (tmp_path / name).touch()
    expected = {KILL_FILE: ["kill0.txt", "kill12.txt"], END_FILE: ["end0.txt"], PROGRESS_FILE: ["progress0.json"]}
    assert [path.name for path in matching(tmp_path, pattern)] == expected[pattern]


def test_a_folder_that_is_not_there_has_no_such_files(tmp_path):
    assert matching(tmp_path / "nowhere", KILL_FILE) == []
