"""doctor says what stands in the way of a run before hours are spent."""

from importlib.metadata import version

import pytest

from shared import doctor
from shared.config import ROOT
from shared.doctor import check_disk, check_input, check_machine, check_packages, check_python, examine, read_pins
from tests.test_advance import Bench, Upper


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items("a", "b")
    return bench


def test_nothing_stands_in_the_way(bench, capsys):
    run = bench.run(Upper())
    findings = [*check_python(), *check_machine(), *check_disk(run), *check_input(run)]
    assert [sentence for is_good, sentence in findings if not is_good] == []
    examine(run)
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:6] in ("ok    ", "FAIL  ") for line in lines)
    assert f"ok    the input {bench.input} can be read; its first item is a" in lines
    assert not run.folder.exists()  # it only looks


def test_an_input_that_is_not_there_is_said(bench):
    bench.input.unlink()
    assert list(check_input(bench.run(Upper()))) == [(False, f"there is no {bench.input}")]
    bench.input.write_text("")
    assert list(check_input(bench.run(Upper()))) == [(False, f"there is nothing in {bench.input}")]


def test_the_status_says_whether_all_is_good(bench, monkeypatch):
    for name in ("check_packages", "check_machine"):
        monkeypatch.setattr(doctor, name, lambda: iter([(True, "fine")]))
    assert examine(bench.run(Upper())) == 0
    bench.input.unlink()
    assert examine(bench.run(Upper())) == 1


def test_a_missing_or_another_package_is_named_with_the_way_to_mend_it(tmp_path, monkeypatch):
    pins = f"numpy=={version('numpy')}\nPillow==0.0.1  # a reason\nno-such-package==1.0\n"
    (tmp_path / "requirements-core.txt").write_text(pins)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    [(is_good, sentence)] = check_packages()
    assert not is_good
    assert sentence.startswith(f"packages: Pillow {version('pillow')} instead of 0.0.1, no-such-package missing instead of 1.0; mend")
    assert sentence.endswith("-r requirements-core.txt")
    (tmp_path / "requirements-core.txt").write_text(pins.splitlines()[0])
    assert list(check_packages()) == [(True, "packages as requirements-core.txt has them")]


def test_pins_for_another_python_are_passed_over(tmp_path, monkeypatch):
    path = tmp_path / "pins.txt"
    path.write_text(
        "# a comment==1\nboth==1\nold==1 ; python_version < '3.11'\nnew==2; python_version >= '3.11'\n\n-r other.txt\n"
    )
    for number, expected in (((3, 10, 4), ["both", "old"]), ((3, 11, 0), ["both", "new"]), ((3, 12, 1), ["both", "new"])):
        monkeypatch.setattr(doctor.sys, "version_info", number)
        assert [name for name, _ in read_pins(path)] == expected, number


def test_every_pin_of_the_project_is_read():
    lines = (ROOT / "requirements-core.txt").read_text().splitlines()
    names = {line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")}
    assert {name for name, _ in read_pins(ROOT / "requirements-core.txt")} == names


def test_another_python_is_told(monkeypatch):
    for number, is_good in (((3, 9, 1), False), ((3, 10, 0), True), ((3, 12, 9), True), ((3, 13, 0), False)):
        monkeypatch.setattr(doctor.sys, "version_info", number)
        [(found, sentence)] = check_python()
        assert (found, "3.10 to 3.12 is needed" in sentence) == (is_good, not is_good)


def test_a_folder_without_locks_or_case_is_told(bench, monkeypatch):
    monkeypatch.setattr(doctor, "locks_work", lambda path: path.with_name("CLAIMS").touch() or False)
    findings = dict((sentence.split(" under ")[0], is_good) for is_good, sentence in check_disk(bench.run(Upper())))
    assert findings["locks between processes do not work"] is False
    assert [is_good for sentence, is_good in findings.items() if "upper and lower case" in sentence] == [False]


def test_locks_are_tried_from_another_process(tmp_path):
    assert doctor.locks_work(tmp_path / "claims")


def test_a_place_that_cannot_be_written_is_told(bench):
    run = bench.run(Upper())
    run.folder.write_text("a file where the run's folder should be")
    findings = list(check_disk(run))
    assert findings[-1] == (False, f"cannot write under {run.folder}: Not a directory")
