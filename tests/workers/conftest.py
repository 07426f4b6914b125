"""A photograph to degrade, and the tiny models of those who degrade with models."""

import pytest
from PIL import Image

from shared.light.scenes.scenes import render
from tests.conftest import ROOT
from tests.workers import degrading_neurally
from tests.workers.filtering import SAMPLES, measure


@pytest.fixture
def photograph(tmp_path):
    path = tmp_path / "photos" / "indoor" / "a.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(render("subject", 3, 240).image[:200]).save(path)
    return path


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    import torch

    from tests.tiny_vision import TinyModels

    torch.set_num_threads(1)  # threads that wait for one another on a busy machine are slower than one
    return TinyModels(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Four small photographs in a folder."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in degrading_neurally.SAMPLES:
        with Image.open(ROOT / "configs" / "samples" / name) as image:
            image.thumbnail((200, 200))
            image.convert("RGB").save(folder / name, quality=95)
    return folder


@pytest.fixture(scope="session")
def measured() -> list[dict]:
    """The rows of the bundled photographs, as the step's records make them."""
    return measure(SAMPLES)
