"""What intervals of ranks and histograms of light show."""

import json

import numpy as np
import pytest
from PIL import Image

from shared.selection import light_histograms
from shared.selection.intervals import intervals
from shared.selection.measured import Measured
from tests.selection.lit_photographs import lit, read
from tests.workers.filtering import collect, made_up


@pytest.mark.slow
def test_each_interval_of_ranks_says_what_it_holds(tmp_path):
    rows = made_up(7)
    for number, row in enumerate(rows):
        row["light"] = lit(1)[0]["light"] | {
            "direction": "left" if number > 3 else None, "hardness": number / 10, "cct_kelvin": 1000 * (number + 2),
            "key": "low" if number < 3 else "mid", "contrast": float(number), "exposure_ev": -1.0,
        }  # fmt: skip
    folder, _ = collect(tmp_path, rows, draws=True, num_images=4, interval=3)
    table = read(folder / "threshold_analysis.csv")
    assert [(row["first_rank"], row["last_rank"], row["photographs"], row["kept"]) for row in table] == [
        ("1", "3", "3", "3"), ("4", "6", "3", "1"), ("7", "7", "1", "0"),
    ]  # fmt: skip
    assert table[1] == {
        "first_rank": "4", "last_rank": "6", "photographs": "3", "kept": "1", "highest_score": "0.003",
        "lowest_score": "0.001", "mean_score": "0.002", "direction_told": "0.0", "mean_hardness": "0.2",
        "mean_cct_kelvin": "4000.0", "low_key": "0.6667", "mid_key": "0.3333", "high_key": "0.0",
        "mean_contrast": "2.0", "mean_exposure_ev": "-1.0",
    }  # fmt: skip


def test_an_interval_is_a_tenth_of_the_ranking_where_none_is_given(tmp_path):
    folder, _ = collect(tmp_path, made_up(95), draws=True)
    assert [row["photographs"] for row in read(folder / "threshold_analysis.csv")] == ["10"] * 9 + ["5"]


def test_light_that_was_not_measured_has_no_numbers_and_no_histogram(tmp_path):
    folder, _ = collect(tmp_path, made_up(3), draws=True)
    assert {row["mean_hardness"] for row in read(folder / "threshold_analysis.csv")} == {""}
    assert not (folder / "light_histograms.png").exists()
    assert "entropy_bits" not in json.loads((folder / "selection.json").read_text())


def test_the_photographs_of_each_interval_are_shown(tmp_path):
    rows = made_up(60)
    for number, row in enumerate(rows):
        row["image_path"] = str(tmp_path / f"{number}.png")
        Image.new("RGB", (8, 8), (4 * number, 90, 90)).save(row["image_path"])
    folder, _ = collect(tmp_path / "run", rows, draws=True, interval=20)
    with Image.open(folder / "threshold_analysis.png") as sheet:
        # Three headings, each with five photographs of 200 pixels: the first best, the last worst.
        assert sheet.size == (12 + 5 * 212, 58 + 3 * (34 + 234))
        shown = np.asarray(sheet.convert("RGB"))
    places = [(58 + line * 268 + 34 + 88, 12 + column * 212 + 100) for line in range(3) for column in range(5)]
    reds = [int(shown[place][0]) for place in places]
    assert reds == [4 * (59 - rank) for line in range(3) for rank in (20 * line + np.array([0, 4, 9, 14, 19])).tolist()]


@pytest.mark.slow
def test_the_histograms_of_light_show_what_is_kept_of_what_there_is(tmp_path):
    rows = lit(60)
    drawn = [
        (collect(tmp_path / str(count), rows, draws=True, num_images=count)[0] / "light_histograms.png").read_bytes()
        for count in (20, 20, 30)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_bars_and_petals_count_what_is_kept_of_each_key_and_direction(monkeypatch):
    drawn = {}
    for name in ("draw_bars", "draw_rose"):
        original = getattr(light_histograms, name)

        def noting(axes, *what, name=name, original=original):
            drawn[name] = [value if isinstance(value, str | list) else value.tolist() for value in what]
            original(axes, *what)

        monkeypatch.setattr(light_histograms, name, noting)
    rows = made_up(5)
    lights = [
        ("right", 2.0, "low"),
        ("above", 67.5, "mid"),  # rounded over the border of the word
        ("right", 359.0, "mid"),
        ("front", 30.0, "mid"),
        (None, None, "high"),
    ]
    for row, (direction, azimuth, key) in zip(rows, lights, strict=True):
        row["light"] = lit(1)[0]["light"] | {"direction": direction, "azimuth_degrees": azimuth, "key": key}
    kept = np.array([True, False, False, True, True])
    light_histograms.light_histograms(Measured.of(rows).light, kept)
    assert drawn["draw_bars"] == [["low key", "mid key", "high key"], [1, 3, 1], [1, 1, 1]]
    assert drawn["draw_rose"] == [
        "direction; 1 from the front, 1 not told", [2, 0, 1, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_intervals_of_nothing_are_none():
    measured = Measured.of([])
    assert list(intervals(measured, np.zeros(0, int), np.zeros(0, bool), 3)) == []
