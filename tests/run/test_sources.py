"""A photograph that was replaced under its name is noticed, named and done anew, and nothing else is."""

import io
import os
import shutil
import tarfile
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from shared.commands.verify import verify_run
from shared.files.records import Records
from shared.images import open_image
from shared.run import sources
from shared.run.config import RunConfig, StepConfig
from shared.run.run import Run
from shared.run.sources import find_replaced
from shared.worker import Worker
from tests.run.test_advance import Bench, Killed, dies


@dataclass
class Grey(Worker):
    """Say how bright each photograph is."""

    def load(self, item):
        return open_image(item)

    def process(self, batch):
        return [{"grey": image.getpixel((0, 0))[0]} for _, image in batch]


def photograph(grey: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((8, 8, 3), grey, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


class Photographs(Bench):
    """Two steps over a folder of photographs."""

    def run(self, meta_path=None, **top) -> Run:
        steps = [StepConfig(number, "grey", f"s{number}", Grey()) for number in (1, 2)]
        return Run(
            RunConfig(self.folder / "run.yaml", str(meta_path or self.folder / "in"), steps=steps, **top),
            self.folder / "out",
        )

    def greys(self, run: Run) -> list[int]:
        return [row["grey"] for row in self.rows(run, 2)]

    def times(self, run: Run) -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for step in run.steps for path in step.records.records.iterdir()}


@pytest.fixture
def bench(tmp_path):
    bench = Photographs(tmp_path)
    (tmp_path / "in").mkdir()
    for number in range(4):
        (tmp_path / "in" / f"{number}.png").write_bytes(photograph(number))
    bench.complete(bench.run())
    return bench


def test_a_record_says_which_file_it_was_made_of(bench):
    record = bench.run().steps[1].records.read("1.png")
    status = (bench.folder / "in" / "1.png").stat()
    assert (record["source"]["bytes"], record["source"]["time"]) == (status.st_size, status.st_mtime_ns)
    assert len(record["source"]["sha256"]) == 64
    assert "source" not in bench.rows(bench.run(), 2)[0]


def test_a_replaced_photograph_is_named_and_done_anew_in_every_step_and_no_other_is(bench):
    before = bench.times(bench.run())
    (bench.folder / "in" / "2.png").write_bytes(photograph(200))
    run = bench.run()
    assert list(find_replaced(run)) == ["2.png"]
    reached = bench.advance(run)
    assert bench.said[0] == "1 photographs were replaced since their records were made, and are done anew: 2.png"
    assert (reached.step.number, reached.left) == (1, 1)
    bench.complete(run)
    assert bench.greys(run) == [0, 1, 200, 3]
    after = bench.times(run)
    assert [name for name in after if after[name] != before[name]] == ["2.png.json"]
    assert list(find_replaced(run)) == []
    assert bench.advance(run).collected == 0 and bench.said == []


def test_one_of_the_same_size_and_time_but_another_place_is_found(bench):
    """The same key leads to another file: a table that was edited."""
    table = bench.folder / "t.csv"
    for name in ("a", "b"):
        (bench.folder / name).mkdir()
        (bench.folder / name / "x.png").write_bytes(photograph({"a": 5, "b": 6}[name]))
        os.utime(bench.folder / name / "x.png", ns=(10**18, 10**18))
    shutil.rmtree(bench.folder / "out")
    table.write_text("key,image\nx,a/x.png\n")
    bench.complete(bench.run(table))
    table.write_text("key,image\nx,b/x.png\n")
    bench.complete(bench.run(table))
    assert bench.greys(bench.run(table)) == [6]


@pytest.mark.parametrize("what", ["touched", "copied", "gone"])
def test_what_is_not_replaced_is_not_done_again(bench, what):
    before = bench.times(bench.run())
    path = bench.folder / "in" / "2.png"
    if what == "touched":
        os.utime(path, ns=(10**18, 10**18))
    elif what == "copied":
        shutil.copy(path, bench.folder / "copy")
        os.replace(bench.folder / "copy", path)
    run = bench.run()
    bench.advance(run)
    if what == "gone":
        path.unlink()
        reached = bench.advance(run, begun=frozenset({1}))  # the folder has been read already in this launch
        assert reached.is_complete
    assert bench.times(run) == before and bench.said == []


def test_verify_names_it_and_its_repair_lets_the_next_run_make_it_again(bench):
    (bench.folder / "in" / "0.png").write_bytes(photograph(77))
    run, said = bench.run(), []
    assert verify_run(run, False, said.append) == 1
    words = f"{bench.folder}/in/0.png is another file than the record of 0.png was made of"
    assert said[:1] + said[2:3] == [f"step 1 (s1): replaced: {words}", f"step 2 (s2): replaced: {words}"]
    verify_run(run, True, said.append)
    bench.complete(run)
    assert bench.greys(run) == [77, 1, 2, 3]
    assert verify_run(run, False, said.append) == 0


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("name", ["forget", "read_files"])
def test_a_kill_while_records_are_taken_away_is_made_up_for(bench, monkeypatch, name, call):
    (bench.folder / "in" / "3.png").write_bytes(photograph(90))
    with monkeypatch.context() as patch:
        dies(patch, Records if name == "forget" else sources, name, call)
        with pytest.raises(Killed):
            bench.advance(bench.run())
    run = bench.run()
    bench.complete(run)
    assert bench.greys(run) == [0, 1, 2, 90]


def test_a_tar_that_was_written_anew_costs_only_what_changed_in_it(bench):
    shutil.rmtree(bench.folder / "out")

    def write(*greys: int) -> None:
        with tarfile.open(bench.folder / "x.tar", "w") as tar:
            for number, grey in enumerate(greys):
                data = photograph(grey)
                info = tarfile.TarInfo(f"{number}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))

    write(1, 2, 3)
    bench.complete(bench.run(bench.folder / "x.tar"))
    before = bench.times(bench.run(bench.folder / "x.tar"))
    write(1, 9, 3)
    run = bench.run(bench.folder / "x.tar")
    bench.complete(run)
    after = bench.times(run)
    assert bench.greys(run) == [1, 9, 3]
    assert [name for name in after if after[name] != before[name]] == ["1.json"]


def test_workers_at_work_are_left_alone(bench, monkeypatch):
    (bench.folder / "in" / "0.png").write_bytes(photograph(50))
    run = bench.run()
    monkeypatch.setattr(type(run.steps[1]), "is_alive", lambda step: step.number == 2)
    sources.redo_replaced(run, bench.said.append)
    assert run.steps[0].records.is_recorded("0.png")


def test_of_very_many_items_the_files_are_not_looked_at_and_that_is_said(bench, monkeypatch):
    monkeypatch.setattr(sources, "MOST_LOOKED_AT", 3)
    (bench.folder / "in" / "2.png").write_bytes(photograph(200))
    bench.advance(bench.run())
    assert bench.said == ["4 photographs: whether some were replaced is not looked at; ./launcher.sh verify does"]
    said: list[str] = []
    assert verify_run(bench.run(), False, said.append) == 1
    assert any("2.png is another file than the record of 2.png was made of" in line for line in said)
