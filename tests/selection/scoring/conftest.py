"""Tiny models of CLIP, small photographs, and no network."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from tests.selection.scoring.clip_models import NAMES, SAMPLES


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    from tests.tiny_clip import write_clip

    return write_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(autouse=True)
def _offline(monkeypatch, tmp_path):
    """No test asks the network; an empty cache."""
    if importlib.util.find_spec("huggingface_hub") is None:
        return
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    """The bundled photographs at a size that is decoded as it is."""
    folder = tmp_path_factory.mktemp("small")
    for name in NAMES:
        with Image.open(SAMPLES / name) as image:
            image = image.convert("RGB")
            image.thumbnail((90, 60))
            image.info = {}  # no colour profile, which open_clip would pass over
            image.save(folder / f"{Path(name).stem}.png")
    return folder
