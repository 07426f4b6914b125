"""Photographs to ask about, and short pauses between tries."""

import numpy as np
import pytest
from PIL import Image

from shared.captions.engines import patience


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    monkeypatch.setattr(patience, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(patience, "LONGEST_PAUSE", 0.05)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def items(tmp_path):
    made = []
    for number in range(6):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((30 + number, 40, 3), 40 * number, np.uint8)).save(path)
        made.append({"key": path.name, "image_path": str(path)})
    return made
