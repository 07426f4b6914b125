"""Near-duplicates: in one split, the largest or best kept, and steady when a better one arrives."""

import shutil

import pytest
from PIL import Image, ImageOps

from tests.workers.filtering import NAMES, SAMPLES, best_first, collect, made_up, measure, read_csv

SIX = NAMES[::2]


@pytest.fixture(scope="module")
def with_copies(tmp_path_factory) -> list[dict]:
    """The rows of six of the bundled photographs, of each encoded again, and of each mirrored."""
    photographs = tmp_path_factory.mktemp("photographs")
    for path in (SAMPLES / name for name in SIX):
        shutil.copy(path, photographs / path.name)
        with Image.open(path) as image:
            image.save(photographs / f"{path.stem} again.jpg", quality=40)
            ImageOps.mirror(image).save(photographs / f"{path.stem} mirrored.jpg")
    return measure(photographs)


def test_near_duplicates_and_mirror_images_are_in_one_split(tmp_path, with_copies):
    _, result = collect(tmp_path, with_copies, split_ratios=(1, 1, 1), duplicates="all")
    splits = {row["key"]: row["split"] for row in result}
    assert len(splits) == 3 * len(SIX)
    for name in SIX:
        stem = name.removesuffix(".jpg")
        assert len({splits[f"{stem}{copy}.jpg"] for copy in ("", " again", " mirrored")}) == 1
    assert set(splits.values()) == {"train", "val", "test"}


def test_of_near_duplicates_the_best_is_kept_and_the_others_say_of_which_they_are_copies(tmp_path, with_copies, capsys):
    folder, result = collect(tmp_path, with_copies)
    stems = [name.removesuffix(".jpg") for name in SIX]
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
    assert "passed over: 12 near-duplicates\n" in capsys.readouterr().out


def test_a_photograph_stays_in_its_split_when_a_better_copy_of_it_arrives(tmp_path):
    rows = made_up(300)
    _, before = collect(tmp_path / "before", rows)
    copies = [{**row, "key": f"copy of {row['key']}", "lighting_score": 1.0} for row in rows]
    _, after = collect(tmp_path / "after", rows + copies)
    assert {row["key"] for row in after} == {row["key"] for row in copies}
    order = ("train", "val", "test")
    moved = [
        (row["split"], copy["split"]) for row, copy in zip(before, after, strict=True) if row["split"] != copy["split"]
    ]
    # A copy whose own draw is lower takes its picture towards train, and none ever leaves train.
    assert 0 < len(moved) < 60 and all(order.index(new) < order.index(old) for old, new in moved)


def test_of_one_picture_in_several_sizes_the_largest_is_kept_whatever_their_scores(tmp_path):
    """A thumbnail is no target to train on."""
    rows = [row | {"width": 1600, "height": 1200} for row in made_up(20)]
    thumbnails = [
        row | {"key": f"small {row['key']}", "width": 160, "height": 120, "lighting_score": 1.0} for row in rows
    ]
    folder, result = collect(tmp_path, thumbnails + rows)
    assert sorted(row["key"] for row in result) == sorted(row["key"] for row in rows)
    assert {row[4] for row in read_csv(folder / "passed_over.csv")[1:]} == {
        f"near-duplicate of {row['key']}" for row in rows
    }


def test_what_is_no_photograph_is_passed_over_with_its_reason_or_kept_on_request(tmp_path, capsys):
    rows = made_up(12)
    kinds = {"00001.jpg": "graphics", "00002.jpg": "plain colour"}
    assert set(kinds) < {row["key"] for row in rows}
    rows = [row | {"picture": kinds.get(row["key"], "photograph")} for row in rows]
    folder, result = collect(tmp_path / "without", rows)
    assert len(result) == 10 and not set(kinds) & {row["key"] for row in result}
    assert {row[0]: (row[3], row[4]) for row in read_csv(folder / "passed_over.csv")[1:]} == {
        "00001.jpg": (
            "no photographs",
            "it is no photograph but drawn, written or a screenshot: most of it is even, in a few colours",
        ),
        "00002.jpg": ("no photographs", "it is no photograph but one plain colour"),
    }
    assert "passed over: 2 no photographs" in capsys.readouterr().out
    assert len(collect(tmp_path / "with", rows, graphics="keep")[1]) == 12
