"""save_folder holds the last step's results, run after run, and nothing of others is touched."""

import json
import os

import pytest
import yaml

from shared.errors import ConfigError, RunError
from shared.files.table import Table
from shared.run.config import load_config
from shared.run.run import Run
from shared.run.saving import save_folder_of, save_results


@pytest.fixture
def saved(tmp_path):
    return Saver(tmp_path)


class Saver:
    """A run of one finished step that has made two images and a table."""

    def __init__(self, folder):
        self.folder, self.place, self.said = folder, folder / "results", []
        self.write()

    def write(self, **images: str):
        run = self.run
        step = run.steps[0].folder
        (step / "generated_images").mkdir(parents=True, exist_ok=True)
        (step / "records").mkdir(exist_ok=True)
        (step / "records" / "a.json").write_text("{}")
        (step / "end0.txt").write_text("")
        for name, text in {"a": "first", "b": "second", **images}.items():
            path = step / "generated_images" / f"{name}.png"
            if not path.exists() or path.read_text() != text:
                path.unlink(missing_ok=True)
                path.write_text(text)
        rows = [
            {"key": name, "image": f"{name}.jpg", "image_path": f"/photos/{name}.jpg", "text": text,
             "generated_path": str(step / "generated_images" / f"{name}.png")}
            for name, text in {"a": "first", "b": "second", **images}.items()
        ]  # fmt: skip
        Table.write(run.steps[0].result_path, rows, run.folder)

    @property
    def run(self) -> Run:
        path = self.folder / "run.yaml"
        config = {"meta_path": "items.csv", "save_folder": str(self.place), "steps": [{"type": "template"}]}
        path.write_text(yaml.safe_dump(config))
        return Run(load_config(path), self.folder / "out")

    def save(self):
        return save_results(self.run, self.said.append)

    def files(self):
        return {str(path.relative_to(self.place)): path.read_text() for path in self.place.rglob("*") if path.is_file()}


def test_results_are_there_by_hard_link_and_the_step_s_bookkeeping_is_not(saved):
    assert saved.save() == saved.place
    assert set(saved.files()) == {"result.jsonl", "generated_images/a.png", "generated_images/b.png"}
    step = saved.run.steps[0].folder
    assert os.path.samefile(saved.place / "generated_images" / "a.png", step / "generated_images" / "a.png")
    assert json.loads((saved.place / "result.jsonl").read_text().splitlines()[0]) == {
        "key": "a", "image": "a.jpg", "image_path": "/photos/a.jpg", "text": "first", "generated_path": "generated_images/a.png",
    }  # fmt: skip


def test_a_second_and_a_third_run_are_in_place_and_tell_only_what_is_new(saved):
    saved.save()
    before = {path: path.stat().st_mtime_ns for path in saved.place.rglob("*")}
    saved.save()
    assert {path: path.stat().st_mtime_ns for path in saved.place.rglob("*")} == before
    assert saved.said == [f"results in {saved.place}"]
    saved.write(c="third", a="changed")
    saved.save()
    assert saved.files()["generated_images/c.png"] == "third"
    assert saved.files()["generated_images/a.png"] == "changed"
    assert len(saved.files()["result.jsonl"].splitlines()) == 3
    assert sorted(path.name for path in saved.folder.iterdir() if "result" in path.name) == ["results"]


def test_what_somebody_has_taken_away_is_put_there_again(saved):
    saved.save()
    (saved.place / "generated_images" / "b.png").unlink()
    saved.save()
    assert saved.files()["generated_images/b.png"] == "second"


def test_files_of_others_stay_and_one_with_the_name_of_a_result_is_told(saved):
    (saved.place / "generated_images").mkdir(parents=True)
    (saved.place / "notes.txt").write_text("mine")
    (saved.place / "generated_images" / "other.png").write_text("mine")
    saved.save()
    assert saved.files()["notes.txt"] == saved.files()["generated_images/other.png"] == "mine"
    (saved.place / "generated_images" / "c.png").write_text("mine")
    saved.write(c="third")
    with pytest.raises(RunError) as caught:
        saved.save()
    assert str(caught.value) == (
        f"save_folder {saved.place} holds generated_images/c.png of something else, which stays as it is; name another "
        f"save_folder, or move it away. The results are in {saved.run.steps[0].folder}"
    )
    assert saved.files()["generated_images/c.png"] == "mine"


def test_where_no_hard_links_can_be_made_they_are_copies(saved, monkeypatch):
    def refuse(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    saved.save()
    saved.save()
    saved.write(a="changed")
    saved.save()
    assert saved.files()["generated_images/a.png"] == "changed"
    assert not os.path.samefile(
        saved.place / "generated_images" / "a.png", saved.run.steps[0].folder / "generated_images" / "a.png"
    )


@pytest.mark.parametrize("place", ["out", "out/results", "."])
def test_a_folder_that_the_run_writes_into_is_refused(saved, place):
    saved.place = saved.folder / place
    with pytest.raises(ConfigError, match="hold each other; name one beside the other"):
        save_folder_of(saved.run)


def test_without_the_key_nothing_is_saved(saved):
    run = saved.run
    run.config.save_folder = None
    assert save_results(run, saved.said.append) is None
    assert not saved.place.exists()
