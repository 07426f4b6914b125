"""A relative path in a config leads from the config's folder, else from the project's; settings hold it as written."""

import shutil
from pathlib import Path

import pytest
import yaml

from shared.errors import ConfigError
from shared.run.config import load_config
from shared.run.run import Run
from shared.run.settings import differences, settings_of

BOXES = '{"key": "a.jpg", "boxes": [[0, 0, 9, 9]]}\n'


def worker_of(folder: Path, kind: str, **options):
    (folder / "run.yaml").write_text(
        yaml.safe_dump({"meta_path": "photos", "steps": [{"type": kind, "config": options}]})
    )
    return load_config(folder / "run.yaml").steps[0].worker


@pytest.fixture
def places(tmp_path, monkeypatch):
    """The folder of a config and the current one, which is the project's where the launcher runs."""
    config, project = tmp_path / "config", tmp_path / "project"
    for place in (config, project):
        place.mkdir()
    monkeypatch.chdir(project)
    return config, project


def test_a_path_leads_from_the_config_first_and_then_from_the_project(places):
    config, project = places
    for place in (config, project):
        (place / "both").mkdir()
    (project / "far" / "masks").mkdir(parents=True)
    found = [worker_of(config, "degrade", mask="user", mask_folder=name).mask_folder for name in ("both", "far/masks")]
    assert found == [config / "both", project / "far" / "masks"]


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        ("filter", {"method": "clip", "checkpoint": "weights.pt"}, "checkpoint"),
        ("degrade", {"mask": "sam3", "mask_model": "weights.pt"}, "mask_model"),
        ("degrade", {"method": "marigold", "albedo_model": "weights.pt"}, "albedo_model"),
        ("caption", {"engine": "vllm", "model_path": "weights.pt"}, "model_path"),
    ],
)
def test_models_may_lie_beside_the_config(places, kind, options, name):
    (places[0] / "weights.pt").touch()
    assert getattr(worker_of(places[0], kind, **options), name) == str(places[0] / "weights.pt")


def test_a_prompt_is_read_from_beside_the_config_and_words_are_words(places):
    config, _ = places
    (config / "ask.txt").write_text("What light?")
    (config / "photos").mkdir()
    worker = worker_of(config, "caption", engine="server", prompt=["ask.txt", "photos"])
    assert worker.prompt == ["What light?", "photos"]


def test_names_on_the_hub_stay_as_they_are(places):
    worker = worker_of(places[0], "degrade", mask="sam3", mask_model="facebook/sam3")
    assert (worker.mask_model, worker.written) == ("facebook/sam3", {})


def test_what_is_in_neither_place_is_told_with_both(places):
    config, project = places
    with pytest.raises(ConfigError, match="mask_folder: there is no") as caught:
        worker_of(config, "degrade", mask="user", mask_folder="masks")
    assert str(caught.value) == f"step 1 (degrade): mask_folder: there is no {config}/masks and no {project}/masks"


def test_a_run_may_be_moved_with_its_config(places, tmp_path):
    config, _ = places
    (config / "masks").mkdir()
    (config / "boxes.jsonl").write_text(BOXES)
    for options in ({"mask": "user", "mask_folder": "masks"}, {"mask": "sam2", "prompt_file": "boxes.jsonl"}):
        before = settings_of(worker_of(config, "degrade", **options))
        moved = tmp_path / f"moved {options['mask']}"
        shutil.copytree(config, moved)
        assert settings_of(load_config(moved / "run.yaml").steps[0].worker) == before
    assert before["prompt_file"]["path"] == "boxes.jsonl"


def test_a_changed_prompt_file_is_noticed_and_a_grown_folder_of_masks_is_not(places):
    config, _ = places
    boxes, masks = config / "boxes.jsonl", config / "masks"
    boxes.write_text(BOXES)
    masks.mkdir()
    with_boxes = settings_of(worker_of(config, "degrade", mask="sam2", prompt_file="boxes.jsonl"))
    with_masks = settings_of(worker_of(config, "degrade", mask="user", mask_folder="masks"))
    boxes.write_text(BOXES.replace("9", "8"))
    (masks / "a.png").touch()
    [change] = differences(
        with_boxes, settings_of(worker_of(config, "degrade", mask="sam2", prompt_file="boxes.jsonl"))
    )
    assert change.startswith("prompt_file.content: ")
    assert settings_of(worker_of(config, "degrade", mask="user", mask_folder="masks")) == with_masks


def test_an_input_of_the_command_line_leads_from_here_first(places):
    config, project = places
    for place in (config, project):
        (place / "photos").mkdir()
        (place / "photos" / "a.jpg").touch()
    worker_of(config, "template")
    found = [Run(load_config(config / "run.yaml", given), config / "out").source.path for given in (None, "photos")]
    assert found == [config / "photos", project / "photos"]
