"""What the filter writes for a person to verify its choice by."""

import numpy as np
import pytest
from PIL import Image

from tests.workers.filtering import PICTURES, best_first, collect, made_up

OF_TWELVE = """\
12 photographs in the ranking, 3 kept and 9 rejected

               count    lowest   highest      mean    median
kept               3    0.0090    0.0110    0.0100    0.0100
rejected           9    0.0000    0.0080    0.0040    0.0040

gap at the cut: 0.0010, from 0.0090 to 0.0080; a small gap: those just below the cut are about as good

the 10 best kept
       1  0.0110  00011.jpg
       2  0.0100  00010.jpg
       3  0.0090  00009.jpg

the 20 last kept
       1  0.0110  00011.jpg
       2  0.0100  00010.jpg
       3  0.0090  00009.jpg

around the cut
       1  0.0110  00011.jpg
       2  0.0100  00010.jpg
       3  0.0090  00009.jpg
        ---- cut ----
       4  0.0080  00008.jpg
       5  0.0070  00007.jpg
       6  0.0060  00006.jpg
       7  0.0050  00005.jpg
       8  0.0040  00004.jpg
       9  0.0030  00003.jpg

the 10 last of all
       3  0.0090  00009.jpg
       4  0.0080  00008.jpg
       5  0.0070  00007.jpg
       6  0.0060  00006.jpg
       7  0.0050  00005.jpg
       8  0.0040  00004.jpg
       9  0.0030  00003.jpg
      10  0.0020  00002.jpg
      11  0.0010  00001.jpg
      12  0.0000  00000.jpg

3 of those kept, by chance
       1  0.0110  00011.jpg
       2  0.0100  00010.jpg
       3  0.0090  00009.jpg
"""


def test_the_verification_says_ranges_gap_and_rows_around_the_cut(tmp_path):
    folder, _ = collect(tmp_path, made_up(12), draws=True, num_images=3)
    assert (folder / "verification.txt").read_text() == OF_TWELVE


@pytest.mark.slow
def test_another_cut_is_verified_on_request_in_text_and_pictures(tmp_path, measured):
    kept, _ = collect(tmp_path / "a", measured, draws=True, num_images=4)
    other, result = collect(tmp_path / "b", measured, draws=True, num_images=4, cutoff=6)
    assert len(result) == 4
    text = (other / "verification.txt").read_text()
    assert text.startswith("12 photographs in the ranking, 6 kept and 6 rejected\n")
    differing = [name for name in PICTURES if (kept / name).read_bytes() != (other / name).read_bytes()]
    of_what_is_kept = (
        "light_histograms.png", "score_distribution.png", "threshold_analysis.png", "top_images_grid.png",
    )  # fmt: skip
    assert differing == [name for name in PICTURES if name not in of_what_is_kept]


def test_the_distribution_shows_what_is_kept(tmp_path):
    some, _ = collect(tmp_path / "some", made_up(30), draws=True, num_images=10)
    every, _ = collect(tmp_path / "all", made_up(30), draws=True, cutoff=10)
    name = "score_distribution.png"
    assert (some / name).read_bytes() != (every / name).read_bytes()


@pytest.mark.slow
def test_the_seed_chooses_the_photographs_shown_by_chance(tmp_path):
    rows = made_up(40)
    for number, row in enumerate(rows):
        row["image_path"] = str(tmp_path / f"{number}.png")
        Image.new("RGB", (8, 8), (6 * number, 90, 90)).save(row["image_path"])
    drawn = [
        (collect(tmp_path / str(number), rows, seed=seed, draws=True)[0] / "random_20_filtered.png").read_bytes()
        for number, seed in enumerate((1, 1, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_pictures_show_the_photographs_at_their_place(tmp_path, measured):
    folder, _ = collect(tmp_path, measured, draws=True, num_images=4, grid_size=(2, 2))
    with Image.open(folder / "top_images_grid.png") as sheet:
        assert sheet.size == (12 + 2 * 212, 58 + 2 * 234)
        shown = np.asarray(sheet.crop((12, 46, 212, 246)).convert("RGB"))
    with Image.open(best_first(measured)[0]["image_path"]) as image:
        image.thumbnail((200, 200))
        centre = np.asarray(image.convert("RGB"))[image.height // 2, image.width // 2]
    assert np.abs(shown[100, 100].astype(int) - centre).max() < 25


def test_a_photograph_that_went_away_leaves_an_empty_place(tmp_path):
    folder, result = collect(tmp_path, made_up(3), draws=True)
    assert len(result) == 3
    with Image.open(folder / "top_images_grid.png") as sheet:
        assert sheet.width == 12 + 4 * 212
