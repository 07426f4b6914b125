"""Photographs, and a run over them that is complete."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from shared.run.run import Run
from tests.reporting.reported_runs import HOSTILE, RELIGHT, SAMPLES, copied, finish, make_run


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """Six small photographs, one too small, and four files that are none."""
    folder = tmp_path_factory.mktemp("photographs")
    names = ["admiral.jpg", "coffee.jpg", "fig.jpg", "mountains.jpg", "sunset.jpg"]
    for name, source in [*zip(names, names, strict=True), (HOSTILE, "rocket.jpg")]:
        image = Image.open(SAMPLES / source)
        image.thumbnail((200, 200))
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name)
    Image.open(SAMPLES / "cat.jpg").resize((60, 40)).save(folder / "tiny.png")
    whole = (folder / "coffee.jpg").read_bytes()
    (folder / "cut 1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut 2.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, photographs) -> Run:
    run = make_run(tmp_path_factory.mktemp("finished"), photographs, RELIGHT)
    finish(run)
    return run


@pytest.fixture
def copy_of_finished(tmp_path, finished) -> Run:
    """To be changed: as the run that is finished, in a folder of its own."""
    return copied(finished, tmp_path)


@pytest.fixture
def copy_of_filtered(copy_of_finished) -> Run:
    """As the run was when step 1 had ended and step 2 had not begun."""
    for step in copy_of_finished.steps[1:]:
        shutil.rmtree(step.folder)
    finish(copy_of_finished, until=lambda step: step.module == "degrade")
    return copy_of_finished
