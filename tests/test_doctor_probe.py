"""doctor tries a step on a few items, in memory, and says what the run will cost in time and room."""

from dataclasses import dataclass

import numpy as np
import pytest

from shared.doctor.examination import Examination
from shared.doctor.finding import fail, warn
from shared.doctor.probe import RECORD_BYTES, Probe, typical
from shared.forecast import Forecast, Model
from shared.records import ImageFile
from shared.worker import Worker
from tests.test_advance import Bench, Upper


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
        return Forecast([Model("nobody/nothing", "model_path", "transformers", ())], images=2)

    def setup(self):
        raise AssertionError("a probe must not load models")


@pytest.fixture
def bench(tmp_path):
    bench = Bench(tmp_path)
    bench.items(*"abcdef")
    return bench


def probe_of(run, **more) -> Probe:
    items = [item for item, _ in zip(run.source.items(), range(3), strict=False)]
    return Probe(items, **({"cores": 2, "workers": 2} | more))


def test_steps_are_tried_one_after_another_in_memory(bench):
    run = bench.run(Drawing(), Following())
    probe = probe_of(run)
    before = sorted(bench.folder.rglob("*"))
    found = [finding for step in run.steps for finding in probe.check(step, 600)]
    assert [finding.mark for finding in found] == ["ok", "ok"]
    assert all("for 600 items with 2 workers, an estimate" in finding.sentence for finding in found)
    assert [item["double"] for item in probe.items] == [16, 16, 16]
    assert sorted(bench.folder.rglob("*")) == before
    assert run.steps[0].worker.folder == run.steps[0].folder  # the run's own worker is untouched
    assert probe.bytes[1] > probe.bytes[2] == RECORD_BYTES


def test_items_that_fail_are_told_and_a_step_that_does_none_stands_in_the_way(bench):
    bench.items("a", "b", "c", b={"bad": True})
    run = bench.run(Upper())
    found = list(probe_of(run).check(run.steps[0], 3))
    assert found[0] == warn("step 1 (s1): 1 of 3 items that were tried fail: bad")
    assert found[1].mark == "ok"
    run = bench.run(Following())
    assert list(probe_of(run).check(run.steps[0], 3)) == [
        fail("step 1 (s1): KeyError: 'size'; all of 3 items that were tried fail")
    ]


def test_a_step_that_needs_models_is_not_tried_and_what_follows_may_have_to_wait(bench):
    run = bench.run(Modelled(), Following())
    examination = Examination(run, workers="0 1")
    sentences = [finding for finding in examination.findings() if finding.sentence.startswith("step ")]
    assert warn("step 1 (s1): its time cannot be probed, because its models are not here") in sentences
    assert warn("step 2 (s2) cannot be probed before step 1 (s1) has run") in sentences


def test_the_probe_stops_when_it_takes_long(bench, monkeypatch):
    monkeypatch.setattr("shared.doctor.probe.SECONDS", -1.0)
    run = bench.run(Drawing())
    probe = probe_of(run)
    list(probe.check(run.steps[0], 3))
    assert len(probe.items) == 1


def test_time_is_scaled_by_items_workers_and_threads():
    assert typical([9.0, 1.0, 2.0]) == 1.5  # the first also pays for imports
    assert typical([9.0]) == 9.0
    worker = Upper()
    worker.cores = 1
    assert Probe([], 1, 1).seconds_each(worker, 4.0, 1.0) == 5.0
    worker.cores = 8
    assert Probe([], 8, 1).seconds_each(worker, 4.0, 1.0) == 1.0
    assert Probe([], 8, 1).seconds_each(worker, 80.0, 1.0) == 10.0
    worker.load_threads = 4
    assert Probe([], 8, 1).seconds_each(worker, 80.0, 1.0) == 20.0


def test_what_a_step_keeps_is_what_the_next_one_costs(bench):
    examination = Examination(bench.run(Drawing(keeps=2), Following()), workers="0")
    sentences = [finding.sentence for finding in examination.findings()]
    [following] = [one for one in sentences if one.startswith("step 2 (s2): ")]
    assert "for 2 items with 1 worker" in following
    [disk] = [one for one in sentences if "the run writes about" in one]
    expected = (6 * (RECORD_BYTES + RECORD_BYTES / 2) + 2 * RECORD_BYTES) / 2**20
    assert f"about {expected:.1f} MiB" in disk
