"""doctor tries a step on a few items as a worker would, and says what the run will cost in time and room."""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from shared.doctor import attempt as attempting
from shared.doctor import probe as probing
from shared.doctor.examination import Examination
from shared.doctor.finding import fail, warn
from shared.doctor.probe import Probe
from shared.forecast import Forecast, Model
from shared.images import ImageFile
from shared.worker import Worker
from tests.run.test_advance import Bench, Upper

NOBODY = Model("nobody/nothing", "model_path", "transformers", ())


@dataclass
class Drawing(Worker):
    """Draw, note where, and keep half."""

    keeps: int = 1000

    def forecast(self):
        return Forecast(keeps=self.keeps)

    def process(self, batch):
        (self.folder / "mark").write_text("anything that a step writes by itself")
        return [
            {"drawn_path": ImageFile(f"{item['key']}.png", np.zeros((8, 8, 3), np.uint8)), "size": 8}
            for item, _ in batch
        ]


@dataclass
class Following(Worker):
    """Needs what the first step found."""

    def process(self, batch):
        assert not any("drawn_path" in item for item, _ in batch)
        return [{"double": 2 * item["size"]} for item, _ in batch]


@dataclass
class Modelled(Worker):
    """Would load a model."""

    def forecast(self):
        return Forecast([NOBODY], images=2)

    def setup(self):
        raise AssertionError("what is not here cannot be loaded")


@dataclass
class Together(Worker):
    """Would train."""

    runs_together: ClassVar[bool] = True


@dataclass
class Telling(Worker):
    """Says in what surroundings it works."""

    def setup(self):
        self.names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")

    def process(self, batch):
        surroundings = [os.environ.get(name, "") for name in self.names]
        return [{"size": len(batch), "said": [*surroundings, self.gpu, self.cores]} for _ in batch]


@dataclass
class Slow(Worker):
    """Takes its time, and has a process of its own whose id it leaves where it is told."""

    where: str = ""
    still: str = ""  # where it stands still: setup or process
    deadly: bool = False

    def setup(self):
        if self.where:
            with open(self.where, "w") as file:
                file.write(f"{subprocess.Popen(['sleep', '1000']).pid}\n")
        if self.deadly:
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.still == "setup":
            time.sleep(1000)

    def process(self, batch):
        time.sleep(1000 if self.still == "process" else 0.02)
        return [{} for _ in batch]


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items(*"abcdef")
    return bench


def probe_of(run, **more) -> Probe:
    items = [item for item, _ in zip(run.source.items(), range(3), strict=False)]
    return Probe(run, items, **({"cores": 2, "workers": 2} | more))


def is_alive(path) -> bool:
    """Whether the process runs whose id a step left there; one that nobody waits for is not running."""
    try:
        with open(f"/proc/{int(path.read_text())}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_steps_are_tried_one_after_another_and_nothing_is_left(bench):
    run = bench.run(Drawing(), Following())
    probe = probe_of(run)
    before = sorted(bench.folder.rglob("*"))
    found = [finding for step in run.steps for finding in probe.check(step, 600)]
    assert [finding.mark for finding in found] == ["ok", "ok"]
    for finding in found:
        assert re.fullmatch(
            r"step \d \(s\d\): .+ in a probe of 300 items; about .+ for 600 items with 2 workers, an estimate",
            finding.sentence,
        )
    assert probe.items == [{"key": key, "split": "train", "size": 8, "double": 16} for key in "abc"]
    assert sorted(bench.folder.rglob("*")) == before
    assert run.steps[0].worker.folder == run.steps[0].folder  # the run's own worker is untouched
    assert probe.bytes[1] > probe.bytes[2] > 0


def test_a_step_is_tried_as_a_worker_with_its_share_of_the_machine(bench):
    run = bench.run(Telling(batch_size=3))
    probe = probe_of(run, cores=8, gpus="2,3")
    list(probe.check(run.steps[0], 6))
    assert [(item["size"], item["said"]) for item in probe.items] == [(3, ["2,3", "4", 2, 4])] * 3


def test_items_that_fail_are_told_and_a_step_that_does_none_stands_in_the_way(bench):
    bench.items("a", "b", "c", b={"bad": True})
    run = bench.run(Upper())
    found = list(probe_of(run, workers=1).check(run.steps[0], 3))
    assert found[0] == warn("step 1 (s1): 1 of 3 items that were tried fail: ValueError: bad")
    assert found[1].mark == "ok"
    run = bench.run(Following())
    assert list(probe_of(run, workers=1).check(run.steps[0], 3)) == [
        fail("step 1 (s1): KeyError: 'size'; all of 3 items that were tried fail")
    ]


def test_a_step_whose_models_are_not_here_is_not_tried_and_what_follows_may_have_to_wait(bench):
    run = bench.run(Modelled(), Following())
    examination = Examination(run, workers="0 1")
    sentences = [finding for finding in examination.findings() if finding.sentence.startswith("step ")]
    assert warn("step 1 (s1): its time cannot be probed, because its models are not here") in sentences
    assert warn("step 2 (s2) cannot be probed before step 1 (s1) has run") in sentences


@pytest.mark.slow
def test_a_step_whose_workers_do_one_work_together_is_not_tried_and_what_it_makes_may_be_needed(bench):
    run = bench.run(Together(), Modelled(), Upper())
    found = list(Examination(run, workers="0").findings())
    assert (
        warn(
            "step 1 (s1): its time cannot be probed, because its workers do one work together; their logs say what is left of it"
        )
        in found
    )
    probe = probe_of(run)
    probe.skipped.append("step 1 (s1)")
    [finding] = probe.check(run.steps[1], 6, models=[NOBODY])
    assert finding.mark == "warn"
    assert finding.sentence.startswith("step 2 (s2) cannot be probed before step 1 (s1) has run: AssertionError: ")
    assert [finding.mark for finding in probe.check(run.steps[2], 6)] == ["ok"]


def test_a_quick_examination_tries_nothing(bench):
    examination = Examination(bench.run(Following()), workers="0", is_quick=True)
    sentences = [finding.sentence for finding in examination.findings()]
    assert not any("step 1 (s1)" in sentence or "whole run" in sentence for sentence in sentences)
    assert any("the run writes about" in sentence for sentence in sentences)


def test_the_probe_stops_when_its_seconds_are_up(bench, monkeypatch):
    monkeypatch.setattr(probing, "SECONDS_OF_PROBE", 0.5)
    run = bench.run(Slow())
    [finding] = probe_of(run).check(run.steps[0], 10**6)
    tried = int(re.search(r"a probe of (\d+) items", finding.sentence)[1])
    assert 1 < tried <= 0.5 / 0.02 + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"still": "setup"}, "warn  step 1 (s1) was not ready within 10 s, so its time is not known; take smaller models, a GPU, or a server"),
        ({"still": "process"}, "warn  step 1 (s1): not one item was done within 2 s, so its time is not known; take smaller models, a GPU, or a server"),
        ({"deadly": True}, "FAIL  step 1 (s1): its process died (signal SIGSEGV)"),
    ],
)  # fmt: skip
def test_what_stands_still_or_dies_costs_itself_alone_and_leaves_no_process(
    bench, tmp_path, monkeypatch, options, sentence
):
    monkeypatch.setattr(attempting, "SECONDS_TO_LOAD", 10.0 if options.get("still") == "setup" else 60.0)
    monkeypatch.setattr(probing, "SECONDS_TO_LOAD", 10.0)
    monkeypatch.setattr(probing, "SECONDS_OF_MODELS", 1.0)
    for module in (probing, attempting):
        monkeypatch.setattr(module, "SECONDS_TO_FINISH", 1.0)
    run = bench.run(Slow(where=str(tmp_path / "pid"), **options), Upper())
    probe = probe_of(run)
    [finding] = probe.check(run.steps[0], 6, models=[NOBODY])
    assert str(finding) == sentence
    assert (tmp_path / "pid").exists() and not is_alive(tmp_path / "pid")
    assert probe.skipped == ["step 1 (s1)"]
    assert [finding.mark for finding in probe.check(run.steps[1], 6)] == ["ok"]


def test_a_step_that_breaks_says_why(bench):
    run = bench.run(Modelled())
    [finding] = probe_of(run).check(run.steps[0], 6, models=[NOBODY])
    assert finding == fail("step 1 (s1): AssertionError: what is not here cannot be loaded")


def test_what_a_step_keeps_is_what_the_next_one_costs(bench):
    examination = Examination(bench.run(Drawing(keeps=2), Following()), workers="0")
    sentences = [finding.sentence for finding in examination.findings()]
    [following] = [one for one in sentences if one.startswith("step 2 (s2): ")]
    assert "for 2 items with 1 worker" in following
    assert any("the run writes about 0.0 MiB" in one or "the run writes about 0.1 MiB" in one for one in sentences)
