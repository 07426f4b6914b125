"""The filter scores light, keeps the best, splits them, and shows what it did."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from shared.errors import ConfigError
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.run.config import checked
from shared.selection.ranking import rank
from shared.selection.scoring.score import Score, rate_light
from shared.worker import Loaded
from tests.conftest import ROOT
from tests.workers.filtering import NAMES, PICTURES, SAMPLES, best_first, collect, made_up, measure, read_csv
from workers.filter import Filter


def expected_csv(rows: list[dict]) -> list[list[str]]:
    cells = [[row["image_path"], str(row["lighting_score"])] for row in rows]
    return [["image_path", "lighting_score"], *cells]


def photograph(name: str) -> np.ndarray:
    with Image.open(SAMPLES / name) as image:
        image = image.convert("RGB")
        image.thumbnail((512, 512))
        return np.asarray(image)


def test_a_record_says_score_method_light_hashes_and_size(measured):
    row = next(row for row in measured if row["key"] == "dogs.jpg")
    assert set(row) == {
        "key", "image_path", "lighting_score", "method", "light", "light_ratings", "phash", "phash_mirrored",
        "phash_fine", "width", "height", "sharpness", "picture",
    }  # fmt: skip
    assert (row["method"], row["width"], row["height"]) == ("photometric", 511, 768)
    assert 0.85 < row["lighting_score"] < 0.97
    assert set(row["light"]) == {
        "azimuth_degrees", "direction", "hardness", "cct_kelvin", "key", "contrast", "exposure_ev",
        "confidence", "is_colour_sure", "weather", "has_sun", "is_backlit",
        "shadows", "tinge", "is_lit_alone", "source", "outline", "pattern",
    }  # fmt: skip
    assert set(row["light_ratings"]) == set(Score._fields)
    assert len(row["phash"]) == len(row["phash_mirrored"]) == 16
    json.dumps(row)


def test_the_mirror_image_has_the_two_hashes_swapped_and_the_same_score(tmp_path):
    with Image.open(SAMPLES / "astronaut.jpg") as image:
        image.save(tmp_path / "a.png")
        ImageOps.mirror(image).save(tmp_path / "b.png")
    worker = Filter()
    worker.setup()
    paths = [{"key": name, "image_path": str(tmp_path / name)} for name in ("a.png", "b.png")]
    one, other = worker.process([Loaded(item, worker.load(item)) for item in paths])
    assert (one["phash"], one["phash_mirrored"]) == (other["phash_mirrored"], other["phash"])
    assert one["lighting_score"] == pytest.approx(other["lighting_score"], abs=0.005)


def test_a_photograph_lying_on_its_side_is_measured_upright(tmp_path, measured):
    upright = next(row for row in measured if row["key"] == "dogs.jpg")
    with Image.open(SAMPLES / "dogs.jpg") as image:
        exif = Image.Exif()
        exif[0x0112] = 6
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "dogs.jpg", exif=exif, quality=95)
    row = measure(tmp_path)[0]
    assert (row["width"], row["height"]) == (511, 768)
    assert (int(row["phash"], 16) ^ int(upright["phash"], 16)).bit_count() <= 2


def exposed(image: np.ndarray, stops: float) -> np.ndarray:
    return linear_to_srgb(srgb_to_linear(image) * np.float32(2.0**stops))


WORSE = {
    "two stops too dark": lambda image: exposed(image, -2),
    "two stops too bright": lambda image: exposed(image, 2),
    "a quarter of the contrast": lambda image: (128 + (image.astype(np.float32) - 128) / 4).astype(np.uint8),
    "blurred": lambda image: cv2.GaussianBlur(image, (0, 0), 4),
    "one grey": lambda image: np.full_like(image, 119),
    "black": lambda image: np.zeros_like(image),
    "white": lambda image: np.full_like(image, 255),
}


@pytest.mark.parametrize("spoil", WORSE.values(), ids=WORSE)
@pytest.mark.parametrize("name", [name for name in NAMES if name != "rocket.jpg"])  # night gains by brightening
def test_a_photograph_scores_higher_than_when_its_light_is_spoilt(name, spoil):
    image = photograph(name)
    assert rate_light(spoil(image)).lighting_score < rate_light(image).lighting_score - 0.01


def test_a_green_or_magenta_cast_lowers_the_rating_of_colour_and_warm_light_does_not():
    image = photograph("cameraman.jpg")
    light = srgb_to_linear(image)
    tints = {"white": (1, 1, 1), "warm": (1, 0.72, 0.42), "green": (0.6, 1, 0.6), "magenta": (1, 0.6, 1)}
    rated = {name: rate_light(linear_to_srgb(light * np.float32(tint))).colour for name, tint in tints.items()}
    assert rated["white"] == 1.0
    assert rated["warm"] > 0.95
    assert rated["green"] < 0.93
    assert rated["magenta"] < 0.93


def test_light_that_falls_off_shapes_a_scene_and_even_light_does_not():
    image = photograph("mountains.jpg")
    across = np.linspace(0, 1, image.shape[1], dtype=np.float32)[:, np.newaxis]
    even, falling = (
        rate_light(linear_to_srgb(0.3 + 0.1 * srgb_to_linear(image) - 0.25 * depth * across)).shaping
        for depth in (0, 1)
    )
    assert even < 0.1
    assert falling > 0.5


@pytest.mark.parametrize("size", [(1, 1), (1, 700), (2, 3), (16, 16), (3000, 20)])
def test_any_size_has_a_score_between_zero_and_one(size):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    assert 0 <= rate_light(image).lighting_score <= 1
    assert rate_light(image) == rate_light(image.copy())


def test_the_tables_hold_the_best_in_order_and_result_keeps_the_input_order(tmp_path, measured):
    folder, result = collect(tmp_path, measured, num_images=7)
    best = best_first(measured)[:7]
    assert [row["key"] for row in result] == sorted(row["key"] for row in best)
    by_key = {row["key"]: row for row in measured}
    assert [{name: value for name, value in row.items() if name != "split"} for row in result] == [
        by_key[row["key"]] for row in result
    ]
    assert json.loads((folder / "filtered_images.json").read_text()) == [
        {"image_path": row["image_path"], "lighting_score": row["lighting_score"]} for row in best
    ]
    assert (folder / "filtered_images.txt").read_text() == "".join(row["image_path"] + "\n" for row in best)
    assert read_csv(folder / "all_scores.csv") == expected_csv(best_first(measured))
    split_of = {row["key"]: row["split"] for row in result}
    for split in ("train", "val", "test"):
        members = [row for row in best if split_of[row["key"]] == split]
        assert read_csv(folder / f"{split}_images.csv") == expected_csv(members)


def test_the_bundled_photographs_are_split_for_the_default_seed_as_ever(tmp_path, measured):
    _, result = collect(tmp_path, measured)
    assert {row["key"]: row["split"] for row in result} == {
        **dict.fromkeys(NAMES, "train"),
        "dogs.jpg": "val",
        "fig.jpg": "test",
    }


def test_the_statistics_are_those_of_what_is_kept(tmp_path):
    folder, _ = collect(tmp_path, made_up(9), num_images=5)
    statistics = json.loads((folder / "statistics.json").read_text())
    assert statistics == pytest.approx(
        {
            "count": 5, "mean": 0.006, "std": 0.0014142135623, "min": 0.004, "max": 0.008, "median": 0.006,
            "q25": 0.005, "q75": 0.007,
        }
    )  # fmt: skip


def test_equal_scores_are_ranked_by_key(tmp_path):
    rows = [{**row, "lighting_score": 0.5} for row in made_up(6)][::-1]
    folder, result = collect(tmp_path, rows, num_images=2)
    assert read_csv(folder / "all_scores.csv") == expected_csv(sorted(rows, key=lambda row: row["key"]))
    assert [row["key"] for row in result] == ["00001.jpg", "00000.jpg"]


def test_keys_are_read_for_equal_scores_only():
    asked = []
    order = rank(np.array([0.1, 0.3, 0.2, 0.3]), lambda index: asked.append(index) or "ba"[index // 2])
    assert (order.tolist(), sorted(asked)) == ([3, 1, 2, 0], [1, 3])


def test_photographs_that_are_too_small_are_scored_and_not_kept(tmp_path):
    folder, result = collect(tmp_path, made_up(9), min_size=103)
    assert [row["key"] for row in result] == [f"{number:05d}.jpg" for number in range(3, 9)]
    assert len(read_csv(folder / "all_scores.csv")) == 10


@pytest.mark.slow
def test_options_leave_out_scores_and_grid(tmp_path, measured):
    folder, _ = collect(tmp_path, measured, draws=True, no_save_scores=True, create_grid=False)
    assert not (folder / "all_scores.csv").exists()
    assert not (folder / "top_images_grid.png").exists()


@pytest.mark.parametrize("copies", [False, True])
def test_the_forecast_counts_the_copies_and_names_no_repository(copies):
    told = checked(Filter, {"copy_images": copies, "num_images": 7}, "step 1 (filter)").forecast()
    assert (told.keeps, told.images, told.repository) == (7, int(copies), None)


@pytest.mark.slow
def test_copies_are_named_by_rank_and_those_of_an_earlier_selection_go(tmp_path, measured):
    collect(tmp_path, measured, num_images=4, copy_images=True)
    folder, _ = collect(tmp_path, measured, num_images=3, copy_images=True)
    best = best_first(measured)[:3]
    found = {path.name: path.read_bytes() for path in (folder / "filtered_images").iterdir()}
    assert found == {
        f"{number:06d}_{row['key']}": (SAMPLES / row["key"]).read_bytes() for number, row in enumerate(best)
    }


def test_nothing_scored_gives_tables_with_a_header_and_pictures_all_the_same(tmp_path):
    folder, result = collect(tmp_path, [], draws=True)
    assert result == []
    for name in ("all_scores", "train_images", "val_images", "test_images"):
        assert (folder / f"{name}.csv").read_text() == "image_path,lighting_score\n"
    assert json.loads((folder / "filtered_images.json").read_text()) == []
    assert json.loads((folder / "statistics.json").read_text())["count"] == 0
    assert all((folder / name).stat().st_size > 0 for name in PICTURES if name != "light_histograms.png")
    assert (folder / "passed_over.csv").read_text() == "key,image_path,lighting_score,reason,passed_over\n"


def test_counts_bound_what_is_kept_and_are_met(tmp_path):
    folder, result = collect(tmp_path, made_up(40), split_counts=(10, 3, 2))
    sizes = [len(read_csv(folder / f"{split}_images.csv")) - 1 for split in ("train", "val", "test")]
    assert sizes == [10, 3, 2]
    assert [row["key"] for row in result] == [f"{number:05d}.jpg" for number in range(25, 40)]


def test_another_seed_splits_otherwise_and_keeps_the_same(tmp_path):
    _, one = collect(tmp_path, made_up(60))
    _, other = collect(tmp_path, made_up(60), split_seed=7)
    assert [row["key"] for row in one] == [row["key"] for row in other]
    assert [row["split"] for row in one] != [row["split"] for row in other]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split_ratios": (0, 0, 0)}, r"step 1 \(filter\): split_ratios is \[0.0, 0.0, 0.0\]; one of train"),
        ({"split_counts": (0, 0, 0)}, r"step 1 \(filter\): split_counts is \[0, 0, 0\]; one of train"),
        ({"num_images": 0}, r"step 1 \(filter\): num_images is 0; input should be greater than 0"),
        ({"grid_size": (4, 21)}, r"step 1 \(filter\): grid_size.1 is 21"),
        ({"method": "clip2"}, r"step 1 \(filter\): method is 'clip2'"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        collect(tmp_path, [], **options)


@pytest.mark.slow
def test_two_runs_in_two_folders_write_the_same_bytes(tmp_path, measured):
    one, _ = collect(tmp_path / "one", measured, draws=True, num_images=8, copy_images=True)
    other, _ = collect(tmp_path / "elsewhere" / "two", measured, draws=True, num_images=8, copy_images=True)
    files = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert len(files) == 8 + 2 + 3 + len(PICTURES) + 8
    assert [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_the_worker_s_help_needs_no_heavy_library():
    heavy = ("cv2", "matplotlib", "scipy", "PIL", "imagehash")
    code = f"import sys, workers.filter; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("ratios", "sizes"), [((0.5, 0.25, 0.25), [50, 25, 25]), ((8, 1, 1), [80, 10, 10]), ((1, 1, 1), [34, 33, 33])]
)
def test_ratios_that_are_given_are_kept_to_exactly(tmp_path, ratios, sizes):
    _, result = collect(tmp_path, made_up(100), split_ratios=ratios)
    assert [sum(row["split"] == split for row in result) for split in ("train", "val", "test")] == sizes


def test_a_share_of_what_may_be_kept_is_kept(tmp_path, capsys):
    rows = made_up(100)
    _, result = collect(tmp_path / "half", rows, keep_share=0.5)
    assert sorted(row["key"] for row in result) == sorted(row["key"] for row in best_first(rows)[:50])
    assert "nothing is filtered" not in capsys.readouterr().out
    assert len(collect(tmp_path / "both", rows, keep_share=0.5, num_images=20)[1]) == 20


def test_that_nothing_is_filtered_is_said(tmp_path, capsys):
    collect(tmp_path, made_up(100), num_images=100)
    assert "nothing is filtered by score: all 100 that may be kept are (num_images is 100;" in capsys.readouterr().out
