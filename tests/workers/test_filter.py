"""The filter scores light, keeps the best, splits them, and shows what it did."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from shared.errors import ConfigError
from shared.files.table import Table
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.run.config import RunConfig, StepConfig, checked
from shared.run.run import Run
from shared.selection.ranking import rank
from shared.selection.scoring.score import Score, rate_light
from shared.worker import Loaded
from tests.conftest import ROOT
from workers.filter import Filter

SAMPLES = ROOT / "configs" / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.jpg"))
PICTURES = (
    "bottom_20_filtered.png",
    "filtering_verification.png",
    "light_histograms.png",
    "random_20_filtered.png",
    "score_distribution.png",
    "threshold_analysis.png",
    "top_images_grid.png",
    "top_vs_bottom_comparison.png",
)


def measure(photographs: Path) -> list[dict]:
    worker = Filter()
    worker.setup()
    keys = sorted(str(path.relative_to(photographs)) for path in photographs.rglob("*.jpg"))
    items = [{"key": key, "image_path": str(photographs / key)} for key in keys]
    found = worker.process([Loaded(item, worker.load(item)) for item in items])
    return [{**item, **record} for item, record in zip(items, found, strict=True)]


@pytest.fixture(scope="module")
def measured() -> list[dict]:
    """The rows of the bundled photographs, as the step's records make them."""
    return measure(SAMPLES)


def collect(folder: Path, rows: list[dict], seed: int = 42, **options) -> tuple[Path, list[dict]]:
    """Collect rows into a run's folder; returns the step's folder and the rows of its result."""
    worker = checked(Filter, options, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    steps = [StepConfig(1, "filter", "", worker)]
    config = RunConfig(ROOT / "configs" / "relight.yaml", "samples", seed=seed, steps=steps)
    step = Run(config, folder).steps[0]
    step.folder.mkdir(parents=True, exist_ok=True)
    table = Table.write(step.folder / "recorded.jsonl", rows, folder)
    return step.folder, list(worker.collect(table, step))


def made_up(count: int) -> list[dict]:
    """Rows with scores 0, 0.001, ... whose photographs are not there and look alike to nobody."""
    hashes = np.random.default_rng(0).integers(0, 2**64, (count, 2), dtype=np.uint64)
    return [
        {
            "key": f"{number:05d}.jpg",
            "image_path": f"/photographs/{number:05d}.jpg",
            "lighting_score": number / 1000,
            "phash": f"{hashes[number, 0]:016x}",
            "phash_mirrored": f"{hashes[number, 1]:016x}",
            "phash_fine": f"{number:016x}",
            "width": 100 + number,
            "height": 400,
            "sharpness": 0.5,
        }
        for number in range(count)
    ]


def read_csv(path: Path) -> list[list[str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def expected_csv(rows: list[dict]) -> list[list[str]]:
    cells = [[row["image_path"], str(row["lighting_score"])] for row in rows]
    return [["image_path", "lighting_score"], *cells]


def best_first(rows: list[dict]) -> list[dict]:
    return sorted(rows, key=lambda row: (-row["lighting_score"], row["key"]))


def photograph(name: str) -> np.ndarray:
    with Image.open(SAMPLES / name) as image:
        image = image.convert("RGB")
        image.thumbnail((512, 512))
        return np.asarray(image)


# The record


def test_a_record_says_score_method_light_hashes_and_size(measured):
    row = next(row for row in measured if row["key"] == "dogs.jpg")
    assert set(row) == {
        "key", "image_path", "lighting_score", "method", "light", "light_ratings", "phash", "phash_mirrored",
        "phash_fine", "width", "height", "sharpness",
    }  # fmt: skip
    assert (row["method"], row["width"], row["height"]) == ("photometric", 511, 768)
    assert 0.85 < row["lighting_score"] < 0.97
    assert set(row["light"]) == {
        "azimuth_degrees", "direction", "hardness", "cct_kelvin", "key", "contrast", "exposure_ev",
        "confidence",
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


# The score


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


# The selection


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


def test_options_leave_out_scores_and_grid(tmp_path, measured):
    folder, _ = collect(tmp_path, measured, no_save_scores=True, create_grid=False)
    assert not (folder / "all_scores.csv").exists()
    assert not (folder / "top_images_grid.png").exists()


def test_copies_are_named_by_rank_and_those_of_an_earlier_selection_go(tmp_path, measured):
    collect(tmp_path, measured, num_images=4, copy_images=True)
    folder, _ = collect(tmp_path, measured, num_images=3, copy_images=True)
    best = best_first(measured)[:3]
    found = {path.name: path.read_bytes() for path in (folder / "filtered_images").iterdir()}
    assert found == {
        f"{number:06d}_{row['key']}": (SAMPLES / row["key"]).read_bytes() for number, row in enumerate(best)
    }


def test_nothing_scored_gives_tables_with_a_header_and_pictures_all_the_same(tmp_path):
    folder, result = collect(tmp_path, [])
    assert result == []
    for name in ("all_scores", "train_images", "val_images", "test_images"):
        assert (folder / f"{name}.csv").read_text() == "image_path,lighting_score\n"
    assert json.loads((folder / "filtered_images.json").read_text()) == []
    assert json.loads((folder / "statistics.json").read_text())["count"] == 0
    assert all((folder / name).stat().st_size > 0 for name in PICTURES if name != "light_histograms.png")
    assert (folder / "passed_over.csv").read_text() == "key,image_path,lighting_score,reason,passed_over\n"


# The splits


@pytest.fixture(scope="module")
def with_copies(tmp_path_factory) -> list[dict]:
    """The rows of the bundled photographs, of each encoded again, and of each mirrored."""
    photographs = tmp_path_factory.mktemp("photographs")
    for path in SAMPLES.glob("*.jpg"):
        shutil.copy(path, photographs / path.name)
        with Image.open(path) as image:
            image.save(photographs / f"{path.stem} again.jpg", quality=40)
            ImageOps.mirror(image).save(photographs / f"{path.stem} mirrored.jpg")
    return measure(photographs)


def test_near_duplicates_and_mirror_images_are_in_one_split(tmp_path, with_copies):
    _, result = collect(tmp_path, with_copies, split_ratios=(1, 1, 1), duplicates="all")
    splits = {row["key"]: row["split"] for row in result}
    assert len(splits) == 3 * len(NAMES)
    for name in NAMES:
        stem = name.removesuffix(".jpg")
        assert len({splits[f"{stem}{copy}.jpg"] for copy in ("", " again", " mirrored")}) == 1
    assert set(splits.values()) == {"train", "val", "test"}


def test_of_near_duplicates_the_best_is_kept_and_the_others_say_of_which_they_are_copies(tmp_path, with_copies, capsys):
    folder, result = collect(tmp_path, with_copies)
    stems = [name.removesuffix(".jpg") for name in NAMES]
    families = [[row for row in with_copies if row["key"].removesuffix(".jpg").split(" ")[0] == stem] for stem in stems]
    best = [best_first(family)[0] for family in families]
    assert sorted(row["key"] for row in result) == sorted(row["key"] for row in best)
    original = {row["key"]: first["key"] for family, first in zip(families, best, strict=True) for row in family}
    others = [row for row in best_first(with_copies) if row["key"] not in original.values()]
    assert read_csv(folder / "passed_over.csv") == [
        ["key", "image_path", "lighting_score", "reason", "passed_over"],
        *(
            [row["key"], row["image_path"], str(row["lighting_score"]), "near-duplicates", sentence]
            for row in others
            for sentence in [f"near-duplicate of {original[row['key']]}"]
        ),
    ]
    assert "passed over: 24 near-duplicates\n" in capsys.readouterr().out


def test_a_photograph_stays_in_its_split_when_a_better_copy_of_it_arrives(tmp_path):
    rows = made_up(60)
    _, before = collect(tmp_path / "before", rows, split_ratios=(1, 1, 1))
    copies = [{**row, "key": f"copy of {row['key']}", "lighting_score": 1.0} for row in rows]
    _, after = collect(tmp_path / "after", rows + copies, split_ratios=(1, 1, 1))
    assert {row["key"] for row in after} == {row["key"] for row in copies}
    order = ("train", "val", "test")
    moved = [
        (row["split"], copy["split"]) for row, copy in zip(before, after, strict=True) if row["split"] != copy["split"]
    ]
    # A copy whose own draw is lower takes its picture towards train, and none ever leaves train.
    assert 0 < len(moved) < 30 and all(order.index(new) < order.index(old) for old, new in moved)


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


# The verification


def test_the_verification_says_ranges_gap_and_rows_around_the_cut(tmp_path):
    folder, _ = collect(tmp_path, made_up(12), num_images=3)
    assert (
        (folder / "verification.txt").read_text()
        == """\
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
    )


def test_another_cut_is_verified_on_request_in_text_and_pictures(tmp_path, measured):
    kept, _ = collect(tmp_path / "a", measured, num_images=4)
    other, result = collect(tmp_path / "b", measured, num_images=4, cutoff=6)
    assert len(result) == 4
    text = (other / "verification.txt").read_text()
    assert text.startswith("12 photographs in the ranking, 6 kept and 6 rejected\n")
    differing = [name for name in PICTURES if (kept / name).read_bytes() != (other / name).read_bytes()]
    of_what_is_kept = (
        "light_histograms.png", "score_distribution.png", "threshold_analysis.png", "top_images_grid.png",
    )  # fmt: skip
    assert differing == [name for name in PICTURES if name not in of_what_is_kept]


def test_the_distribution_shows_what_is_kept(tmp_path):
    some, _ = collect(tmp_path / "some", made_up(30), num_images=10)
    every, _ = collect(tmp_path / "all", made_up(30), cutoff=10)
    name = "score_distribution.png"
    assert (some / name).read_bytes() != (every / name).read_bytes()


def test_the_seed_chooses_the_photographs_shown_by_chance(tmp_path):
    rows = made_up(40)
    for number, row in enumerate(rows):
        row["image_path"] = str(tmp_path / f"{number}.png")
        Image.new("RGB", (8, 8), (6 * number, 90, 90)).save(row["image_path"])
    drawn = [
        (collect(tmp_path / str(number), rows, seed=seed)[0] / "random_20_filtered.png").read_bytes()
        for number, seed in enumerate((1, 1, 2))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_pictures_show_the_photographs_at_their_place(tmp_path, measured):
    folder, _ = collect(tmp_path, measured, num_images=4, grid_size=(2, 2))
    with Image.open(folder / "top_images_grid.png") as sheet:
        assert sheet.size == (12 + 2 * 212, 58 + 2 * 234)
        shown = np.asarray(sheet.crop((12, 46, 212, 246)).convert("RGB"))
    with Image.open(best_first(measured)[0]["image_path"]) as image:
        image.thumbnail((200, 200))
        centre = np.asarray(image.convert("RGB"))[image.height // 2, image.width // 2]
    assert np.abs(shown[100, 100].astype(int) - centre).max() < 25


def test_a_photograph_that_went_away_leaves_an_empty_place(tmp_path):
    folder, result = collect(tmp_path, made_up(3))
    assert len(result) == 3
    with Image.open(folder / "top_images_grid.png") as sheet:
        assert sheet.width == 12 + 4 * 212


def test_two_runs_in_two_folders_write_the_same_bytes(tmp_path, measured):
    one, _ = collect(tmp_path / "one", measured, num_images=8, copy_images=True)
    other, _ = collect(tmp_path / "elsewhere" / "two", measured, num_images=8, copy_images=True)
    files = sorted(str(path.relative_to(one)) for path in one.rglob("*") if path.is_file())
    assert len(files) == 8 + 2 + 3 + len(PICTURES) + 8
    assert [name for name in files if (one / name).read_bytes() != (other / name).read_bytes()] == []


def test_the_worker_s_help_needs_no_heavy_library():
    heavy = ("cv2", "matplotlib", "scipy", "PIL", "imagehash")
    code = f"import sys, workers.filter; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
