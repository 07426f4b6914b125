"""The parts of the report: what is chosen, counted, grouped and drawn."""

import base64
import io
from pathlib import Path

import jinja2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image

from shared.files.lookup import ROOT
from shared.files.table import Table
from shared.reporting.failures import pattern, without_names
from shared.reporting.gallery import choose, most_cards
from shared.reporting.histograms import bars_of, kelvin_histogram, round_numbers
from shared.reporting.profile import Profile, light_of
from shared.reporting.thumbnails import link_to, mask_thumbnail, side_for


@pytest.mark.parametrize(("side", "expected"), [(768, 200), (3000, 111), (9000, 40), ("n/a", 200)])
def test_large_photographs_make_fewer_cards(tmp_path, side, expected):
    rows = [{"key": "a", "image_path": "/a.jpg", "output_image_path": "/b.png", "width": side, "height": side}]
    assert most_cards(Table.write(tmp_path / "rows.jsonl", rows, tmp_path)) == expected


@given(some.lists(some.tuples(some.floats(0, 1), some.integers(-1, 2)), max_size=60), some.integers(4, 20))
def test_the_chosen_are_few_unique_and_of_every_split(rows, most):
    scores, splits = np.array([row[0] for row in rows]), np.array([row[1] for row in rows], np.int8)
    chosen = choose(scores, splits, most)
    assert len(chosen) == len(set(chosen)) == min(most, len(rows))
    assert {splits[index] for index in chosen} == set(splits)
    assert [scores[index] for index in chosen] == sorted((scores[index] for index in chosen), reverse=True)


def test_a_large_split_is_sampled_from_its_best_to_its_worst():
    chosen = choose(np.arange(1000.0), np.zeros(1000, np.int8), 5)
    assert chosen == [999, 749, 499, 250, 0]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.812, 0.948, [0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95]),
        (0.0, 1.0, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (17.0, 29.0, [16, 18, 20, 22, 24, 26, 28, 30]),
        (0.5, 0.5, [0.44, 0.46, 0.48, 0.5, 0.52, 0.54, 0.56]),
    ],
)
def test_axes_run_between_round_numbers(low, high, expected):
    assert round_numbers(low, high) == pytest.approx(expected)


@given(some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=200))
def test_every_value_is_in_a_bar(values):
    drawn = bars_of(np.array(values))
    assert sum(int(bin.title.split(": ")[1].replace(",", "")) for bin in drawn.bins) == len(values)
    assert max(bin.height for bin in drawn.bins) == 100


def test_colour_temperatures_fall_into_their_bands():
    drawn = kelvin_histogram([1800, 2499, 2500, 5600, 15000])
    assert [bin.title for bin in drawn.bins if bin.height] == [
        "1800 to 2500 K: 2",
        "2500 to 3200 K: 1",
        "5000 to 5800 K: 1",
        "10000 to 15000 K: 1",
    ]


def test_what_the_captions_cost_is_summed():
    rows = [
        {"key": str(number), "asked": 2, "prompt_tokens": 900, "completion_tokens": 20, "cost": 0.25}
        for number in range(3)
    ]
    profile = Profile([*rows, {"key": "measured"}])
    spent = (profile.questions, profile.prompt_tokens, profile.completion_tokens, profile.dollars)
    assert spent == (6, 2700, 60, 0.75)


def test_light_of_which_only_a_part_was_measured_is_shown_as_far_as_it_was():
    light = light_of(Profile([{"light": {"direction": "left"}}, {"light": {"direction": None}}]))
    assert (light.told, light.total, light.kelvin) == (1, 2, None)
    assert [(share.label, share.count, share.height) for share in light.keys] == [
        ("low", 0, 0),
        ("mid", 0, 0),
        ("high", 0, 0),
    ]


def test_phrases_are_counted_and_wordings_told_apart():
    rows = [
        {"lighting_keywords": words}
        for words in ("soft light, calm", "hard light,  calm ", "soft light, calm", "", None)
    ]
    profile = Profile(rows)
    assert [(share.label, share.count) for share in profile.frequent_phrases()] == [
        ("calm", 3),
        ("soft light", 2),
        ("hard light", 1),
    ]
    assert (len(profile.wordings), profile.different_wordings) == (3, 2)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("/in/a 1.jpg is damaged: 12 bytes not processed", "… is damaged: … bytes not processed"),
        (
            "there is no mask for a 1.jpg in /masks/x; it would be named a.png",
            "there is no mask for … in …; it would be named a.png",
        ),
        ("PSNR 41.3 dB, at most 38 is kept", "PSNR … dB, at most … is kept"),
        ("the split is 'best'; 1,000 of them", "the split is …; … of them"),
    ],
)
def test_messages_differ_only_by_more_than_names_and_numbers(message, expected):
    assert pattern(without_names(message, "a 1.jpg", "/in/a 1.jpg")) == expected


def test_a_mask_keeps_its_subject_and_darkens_the_rest(tmp_path):
    Image.new("RGB", (100, 60), (200, 40, 40)).save(tmp_path / "red.png")
    mask = np.zeros((60, 100), np.uint8)
    mask[:, :50] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    shown = mask_thumbnail({"image_path": str(tmp_path / "red.png")}, str(tmp_path / "mask.png"), 100, tmp_path)
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shown.uri.partition(",")[2])))).astype(int)
    assert abs(pixels[30, 20] - [200, 40, 40]).max() < 12
    assert pixels[30, 80].max() < 60
    assert np.ptp(pixels[30, 80]) < 12
    assert shown.link == "mask.png"


def test_links_are_relative_inside_the_run_and_escaped():
    assert link_to("/runs/a/step 1/50%#?.png", Path("/runs/a")) == "step%201/50%25%23%3F.png"
    assert link_to("/runs/ab/x.png", Path("/runs/a")) == "file:///runs/ab/x.png"


def test_thumbnails_shrink_as_they_become_many():
    assert [side_for(count) for count in (1, 48, 800, 100_000)] == [480, 480, 218, 160]


@pytest.mark.parametrize(("count", "said"), [(1, "1 image<"), (3, "3 images<")])
def test_the_highest_bar_says_how_many_it_has(count, said):
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROOT / "shared" / "reporting"))
    charts = environment.get_template("charts.html.jinja").module
    assert said in charts.histogram(bars_of(np.full(count, 24.0)), "images", "PSNR")
