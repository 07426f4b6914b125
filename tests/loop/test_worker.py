"""The one loop: batches, failures that cost themselves alone, stopping, and its helpers at the command line."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import orjson
import pytest

from shared.files.table import Table
from shared.loop.loop import STOPPED, Loop
from shared.loop.place import Place
from shared.run.config import RunConfig, StepConfig
from shared.run.run import Run
from shared.worker import Loaded, Worker
from tests.conftest import ROOT
from tests.loop.noting import OutOfMemoryError


@dataclass
class Noting(Worker):
    """Notes its batches; each key may have an error that load() or process() raises."""

    batches: list = field(default_factory=list)
    load_errors: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    room: int = 1000
    speed_options: ClassVar[frozenset[str]] = Worker.speed_options | {"batches", "load_errors", "errors", "room"}

    def seen(self) -> list[str]:
        return [key for batch in self.batches[1:] for key in batch]

    def setup(self):
        self.batches.append("setup")

    def load(self, item):
        if item["key"] in self.load_errors:
            raise self.load_errors[item["key"]]
        return item["key"].upper()

    def process(self, batch):
        keys = [item["key"] for item, _ in batch]
        self.batches.append(keys)
        if len(keys) > self.room:
            raise OutOfMemoryError("CUDA out of memory")
        for key in keys:
            if key in self.errors:
                raise self.errors[key]
        return [{"value": data} for _, data in batch]


class Bench:
    """A run of one step over items named by letters; run() is a worker's part in it, in this process."""

    def __init__(self, folder: Path, keys: str | list[str]):
        self.folder, self.keys = folder, list(keys)
        (folder / "step_0_preprocess_format").mkdir()
        items = ({"key": key} for key in keys)
        Table.write(folder / "step_0_preprocess_format" / "result.jsonl", items, folder)

    def loop(self, worker: Worker, rank: int = 0, world_size: int = 1, **more) -> Loop:
        config = RunConfig(ROOT / "configs" / "template.yaml", "samples", steps=[StepConfig(1, "noting", "", worker)])
        self.step = Run(config, self.folder).steps[0]
        self.step.folder.mkdir(exist_ok=True)
        defaults = {"cores": 2, "gpu": rank, "parent": None, "kill_folder": None}
        return Loop(self.step, Place(rank=rank, world_size=world_size, **{**defaults, **more}))

    def run(self, worker: Worker, **more) -> int:
        return self.loop(worker, **more).run()

    def values(self, folder: str = "records", name: str = "value") -> dict:
        found = (orjson.loads(path.read_bytes()) for path in (self.step.folder / folder).glob("*.json"))
        return {record["key"]: record[name] for record in found}

    def failures(self) -> dict:
        return self.values("failures", "message")


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path, "abcdefgh")


def test_every_item_is_loaded_processed_once_and_recorded(bench):
    worker = Noting(batch_size=3)
    assert bench.run(worker) == 0
    assert worker.batches[0] == "setup"
    assert worker.seen() == bench.keys
    assert all(len(batch) <= 3 for batch in worker.batches[1:])
    assert bench.values() == {key: key.upper() for key in bench.keys}
    assert sorted(path.name for path in bench.step.folder.iterdir()) == [
        "claims",
        "end0.txt",
        "progress0.json",
        "records",
    ]


def test_the_worker_knows_its_place_before_setup(bench):
    @dataclass
    class Placed(Noting):
        def setup(self):
            self.batches.append((self.seed, self.folder, self.gpu))

    worker = Placed()
    bench.run(worker, gpu=5)
    assert worker.batches[0] == (42, bench.step.folder, 5)


def test_with_nothing_to_do_no_model_is_loaded(bench):
    bench.run(Noting())
    worker = Noting()
    assert bench.run(worker) == 0
    assert worker.batches == []


def test_a_shard_is_done_first_and_then_the_others_are_helped(bench):
    worker = Noting(batch_size=1)
    assert bench.run(worker, rank=1, world_size=2) == 0
    assert [batch[0] for batch in worker.batches[1:]][:4] == list("efgh")
    assert sorted(bench.values()) == bench.keys
    assert (bench.step.folder / "end1.txt").read_text().endswith(" items 4, recorded 4, failed 0\n")


def test_one_bad_item_costs_itself_alone(bench, caplog):
    worker = Noting(batch_size=4, errors={"c": ValueError("no c")})
    assert bench.run(worker) == 0
    assert bench.failures() == {"c": "no c"}
    assert sorted(bench.values()) == [key for key in bench.keys if key != "c"]
    assert ["a"] in worker.batches
    assert ["c"] in worker.batches
    assert "a batch of 4 failed (no c): trying its items one by one" in caplog.text


def test_an_item_that_cannot_be_loaded_never_reaches_process(bench):
    worker = Noting(load_errors={"b": OSError("gone"), "c": MemoryError()}, batch_size=8)
    assert bench.run(worker) == 0
    assert bench.failures() == {"b": "gone", "c": "MemoryError"}
    assert "b" not in worker.seen()
    assert sorted(bench.values()) == list("adefgh")


def test_an_item_that_the_reader_could_not_make_sense_of_is_its_failure(tmp_path):
    bench = Bench(tmp_path, "ab")
    rows = [{"key": "a", "unreadable": "the path leaves the folder"}, {"key": "b"}]
    Table.write(tmp_path / "step_0_preprocess_format" / "result.jsonl", rows, tmp_path)
    assert bench.run(Noting()) == 0
    assert (bench.failures(), bench.values()) == ({"a": "the path leaves the folder"}, {"b": "B"})


def test_the_batch_is_halved_when_memory_runs_out_and_stays_so(bench):
    worker = Noting(batch_size=8, room=2)
    loop = bench.loop(worker)
    assert [
        found["value"] for _, found in worker.stream(iter(Loaded({"key": key}, key) for key in "abcdefgh"))
    ] == list("abcdefgh")
    assert [len(batch) for batch in worker.batches] == [8, 4, 2, 2, 4, 2, 2]
    assert worker.batch_size == 2
    worker.batches.clear()
    assert loop.run() == 0
    assert all(len(batch) <= 2 for batch in worker.batches[1:])
    assert len(bench.values()) == 8


def test_an_item_that_does_not_fit_the_memory_alone_is_its_failure(bench):
    assert bench.run(Noting(batch_size=2, room=0)) == 0
    assert bench.failures() == dict.fromkeys(bench.keys, "CUDA out of memory")


def test_too_few_results_are_noticed(bench):
    @dataclass
    class Short(Noting):
        def process(self, batch):
            return []

    assert bench.run(Short(batch_size=4)) == 0
    assert bench.failures() == dict.fromkeys(bench.keys, "Short.process gave 0 results for 1 items")


def test_results_may_come_in_any_order_from_a_stream_of_ones_own(bench):
    @dataclass
    class Backwards(Noting):
        def stream(self, loaded: Iterator[Loaded]):
            for item, data in reversed(list(loaded)):
                yield item, {"value": data}

    assert bench.run(Backwards(batch_size=8)) == 0
    assert bench.values() == {key: key.upper() for key in bench.keys}


def test_an_item_that_a_stream_forgets_is_a_failure(bench):
    @dataclass
    class Forgetful(Noting):
        def stream(self, loaded: Iterator[Loaded]):
            for item, data in loaded:
                if item["key"] != "d":
                    yield item, {"value": data}

    assert bench.run(Forgetful()) == 0
    assert bench.failures() == {"d": "the worker's stream ended without a result for this item"}


@pytest.mark.parametrize("times", [2, 3])
def test_a_stream_that_answers_twice_is_a_mistake_that_is_told(bench, times):
    @dataclass
    class Twice(Noting):
        def stream(self, loaded: Iterator[Loaded]):
            item, data = next(loaded)
            for _ in range(times):
                yield item, {"value": data}
                loop.recorder.wait()

    loop = bench.loop(Twice())
    with pytest.raises(RuntimeError, match="gave a result for 'a', which it was not given or gave before"):
        loop.run()
    assert bench.values() == {"a": "A"}


def test_a_stop_finishes_what_has_begun_and_leaves_the_rest(bench):
    @dataclass
    class Stopping(Noting):
        def process(self, batch):
            (self.folder / "kill0.txt").touch()
            loop.control._next_look = 0.0
            return super().process(batch)

    worker = Stopping(batch_size=2)
    loop = bench.loop(worker)
    assert loop.run() == STOPPED
    assert sorted(bench.values()) == sorted(worker.seen()) == ["a", "b"]
    assert sorted(path.name for path in bench.step.folder.iterdir()) == ["claims", "progress0.json", "records"]
    assert orjson.loads((bench.step.folder / "progress0.json").read_bytes())["state"] == "stopped"
    assert bench.run(Noting()) == 0
    assert sorted(bench.values()) == bench.keys


def test_a_stop_before_the_first_item_does_not_load_the_model(bench):
    worker = Noting()
    loop = bench.loop(worker)
    (bench.step.folder / "kill0.txt").touch()
    assert (loop.run(), worker.batches) == (STOPPED, [])


def test_a_setup_that_breaks_breaks_the_worker_and_records_nothing(bench):
    @dataclass
    class Broken(Noting):
        def setup(self):
            raise ImportError("no such model")

    with pytest.raises(ImportError):
        bench.run(Broken())
    assert bench.values() == bench.failures() == {}
    assert orjson.loads((bench.step.folder / "progress0.json").read_bytes())["state"] == "broke: no such model"


def test_never_more_is_loaded_than_is_soon_needed(tmp_path):
    bench = Bench(tmp_path, [f"{number:04d}" for number in range(600)])
    loaded: list[str] = []
    ahead: list[int] = []

    @dataclass
    class Counting(Noting):
        def load(self, item):
            loaded.append(item["key"])

        def process(self, batch):
            self.batches.append([item["key"] for item, _ in batch])
            ahead.append(len(loaded) - sum(map(len, self.batches[1:])))
            return [{} for _ in batch]

    assert bench.run(Counting(batch_size=4)) == 0
    assert len(loaded) == 600
    assert max(ahead) <= 2 * 64 + 4
