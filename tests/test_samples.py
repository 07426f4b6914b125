"""The bundled photographs are small, readable, and each has its source, author and licence."""

import re

import pytest
from PIL import Image

from tests.conftest import ROOT

SAMPLES = ROOT / "configs" / "samples"
PHOTOGRAPHS = sorted(SAMPLES.glob("*.jpg"))
LICENCES = (
    "https://creativecommons.org/publicdomain/mark/1.0/",
    "https://creativecommons.org/publicdomain/zero/1.0/",
    "https://creativecommons.org/licenses/by/4.0/",
)


def licence_table() -> dict[str, list[str]]:
    lines = (SAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {row[0]: row for row in rows[2:]}


def test_the_folder_holds_the_photographs_of_its_table_and_nothing_else():
    assert [path.name for path in sorted(SAMPLES.iterdir())] == [
        "README.md",
        *sorted([*licence_table(), "test_image_captioner.jsonl"]),
    ]
    assert 8 <= len(PHOTOGRAPHS) <= 12


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_each_photograph_states_subject_source_author_licence_and_change(path):
    name, subject, source, author, licence, changed = licence_table()[path.name]
    assert name == path.name
    assert len(subject) > 5
    assert re.search(r"\]\(https://\S+\)", source)
    assert len(author) > 3
    assert re.search(r"\]\((\S+)\)", licence).group(1) in LICENCES
    assert changed in ("nothing", "PNG to JPEG", "resized")


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.stem)
def test_each_photograph_is_a_whole_jpeg_of_at_most_768_pixels_without_personal_data(path):
    with Image.open(path) as image:
        image.load()
        assert (image.format, image.mode in ("RGB", "L")) == ("JPEG", True)
        assert 256 <= min(image.size) <= max(image.size) <= 768
        assert dict(image.getexif()) == {}


def test_together_they_take_at_most_one_and_a_half_megabytes():
    assert sum(path.stat().st_size for path in PHOTOGRAPHS) <= 1_500_000
