"""What `./launcher.sh validate` finds in triplets of every form, and that it finds nothing where nothing is wrong."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from shared.errors import RunError
from shared.triplets.validate import validate_folder
from tests.conftest import ROOT
from tests.workers.test_merge import merge

FLOOR = "PSNR ... dB in the median"
FORMS = pytest.mark.parametrize("images", ["files", "embedded"])


def make_rows(tmp_path: Path, splits=("train", "train", "val", "test")) -> list[dict]:
    """Triplets of noise: every image another."""
    random = np.random.default_rng(7)
    rows = []
    for number, split in enumerate(splits):
        paths = []
        for folder in ("run/made", "photographs"):
            path = tmp_path / folder / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.integers(0, 255, (12, 16, 3), np.uint8)).save(path)
            paths.append(str(path))
        words = f"soft light {number}"
        rows.append(
            {
                "key": f"k{number}",
                "split": split,
                "lighting_keywords": words,
                "output_image_path": paths[0],
                "image_path": paths[1],
            }
        )
    return rows


@pytest.fixture
def made(tmp_path):
    """A merge step's folder without a dataset, whose images may be spoiled."""
    rows = make_rows(tmp_path)
    return merge(tmp_path, rows, {"triplets": {}})[0], rows


def found(folder: Path, metadata_file: str | None = None) -> tuple[int, list[str]]:
    """The exit status, and what was said but for the last line."""
    said: list[str] = []
    status = validate_folder(folder, metadata_file, said.append)
    return status, said[:-1]


@FORMS
def test_what_merge_writes_is_right_in_every_form(tmp_path, images, capsys):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"images": images}})
    capsys.readouterr()
    for place, sets in ((folder, ["dataset"] * 3 + ["train/metadata.jsonl", "val/metadata.jsonl", "test/metadata.jsonl"]),
                        (folder / "dataset", ["dataset"] * 3)):  # fmt: skip
        assert found(place) == (0, [])
        lines = capsys.readouterr().out.splitlines()[1:]
        lines = [re.sub(r"PSNR \d+\.\d dB", "PSNR ... dB", line) for line in lines]
        assert [re.split(r"\s{2,}", line) for line in lines] == [
            [name, split, "2" if split == "train" else "1", "0", "12 to 16", FLOOR]
            for name, split in zip(sets, ("train", "val", "test") * 2, strict=False)
        ]


def spoil_image(path: str) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: len(data) // 2])


def test_every_image_is_decoded_also_the_last(made):
    folder, rows = made
    spoil_image(rows[3]["image_path"])
    status, said = found(folder)
    assert status == 1 and len(said) == 1
    assert said[0].startswith("test/metadata.jsonl: test: 3-") and f"{rows[3]['image_path']} is damaged: " in said[0]


def test_sizes_that_differ_are_named(made):
    folder, rows = made
    Image.new("RGB", (16, 10)).save(rows[1]["output_image_path"])
    status, [said] = found(folder)
    assert status == 1 and said.endswith(": its input has 16 x 10 pixels and its edited image 16 x 12")


def test_pixels_that_moved_and_images_that_are_one_are_named(tmp_path):
    rows = make_rows(tmp_path, ("train",) * 4)
    photograph = Image.open(ROOT / "configs" / "samples" / "cat.jpg").convert("RGB").resize((320, 240))
    for row, shift, zoom in zip(rows, (0, 3, 0, 0), (1.0, 1.0, 1.02, 1.0), strict=True):
        photograph.save(row["image_path"])
        darker = photograph.point(lambda value: value * 0.6)
        moved = darker.transform(
            (320, 240),
            Image.Transform.AFFINE,
            (1 / zoom, 0, -shift + 160 - 160 / zoom, 0, 1 / zoom, 120 - 120 / zoom),
            Image.Resampling.BICUBIC,
        )
        moved.save(row["output_image_path"])
    photograph.save(rows[3]["output_image_path"])
    for number, row in enumerate(rows):  # a photograph of its own each
        for path in (row["image_path"], row["output_image_path"]):
            image = Image.open(path)
            image.putpixel((0, 0), (number, 0, 0))
            image.save(path)
    status, said = found(merge(tmp_path, rows, {"triplets": {}})[0])
    assert status == 1 and len(said) == 3, said
    assert (
        ": what its edited image shows lies 3.0 pixels beside its input; a model would learn to move pixels" in said[0]
    )
    assert re.search(": what its edited image shows is 0.98. times as large as it; a model would learn", said[1])
    assert said[2].endswith(": its input is its edited image, so that there is nothing to learn")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (" ", "it has no instruction"),
        (None, "it has no instruction"),
        ("ERROR: rate limit", "its instruction is an error: ERROR: rate limit"),
    ],
)
def test_a_triplet_without_an_instruction_is_named(made, words, sentence):
    folder, _ = made
    path = folder / "val" / "metadata.jsonl"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"instruction": words}) + "\n")
    status, [said] = found(folder)
    assert status == 1 and said.startswith("val/metadata.jsonl: val: 2-") and said.endswith(sentence)


@pytest.mark.parametrize("column", ["input_image", "output_image"])
def test_a_missing_column_is_named(made, column):
    folder, _ = made
    path = folder / "train" / "metadata.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps({name: row[name] for name in row if name != column}) + "\n" for row in rows))
    status, said = found(folder)
    assert status == 1 and f'train/metadata.jsonl: no column "{column}" in {path}' in said[0]
    assert said[1:] == ["train/metadata.jsonl: stats.json tells of 2 triplets, and there are 0"]


def test_triplets_that_got_lost_are_missed(made):
    folder, _ = made
    path = folder / "train" / "metadata.jsonl"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert found(folder) == (1, ["train/metadata.jsonl: stats.json tells of 2 triplets, and there are 1"])


@FORMS
def test_what_is_there_twice_is_named_within_and_across_splits(tmp_path, images):
    rows = make_rows(tmp_path)
    for field in ("image_path", "output_image_path", "lighting_keywords"):
        rows[1][field] = rows[0][field]
    shutil.copy(rows[2]["image_path"], rows[3]["image_path"])
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {"images": images}})
    assert found(folder / "dataset") == (1, [
        "dataset: train: the triplets 1 and 2 are the same",
        "dataset: the edited image of triplet 1 of val is that of triplet 1 of test too",
    ])  # fmt: skip


def test_two_triplets_with_one_key_are_named(tmp_path):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {}})
    for split, key in (("train", "k1"), ("test", "k1")):  # a set that another program made
        path = folder / "dataset" / split / "metadata.jsonl"
        *others, last = path.read_text().splitlines()
        path.write_text("".join(line + "\n" for line in (*others, json.dumps(json.loads(last) | {"key": key}))))
    assert found(folder / "dataset") == (1, ["dataset: triplet 2 of train and triplet 1 of test have the same key"])


def test_a_lost_parquet_file_and_one_that_no_trainer_decodes(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.triplets.embedded_images.GROUP_BYTES", 1)
    monkeypatch.setattr("shared.triplets.embedded_images.FILE_BYTES", 1)
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"images": "embedded"}})
    data = folder / "dataset" / "data"
    assert found(folder / "dataset") == (0, [])
    (data / "train-00000-of-00002.parquet").unlink()
    table = parquet.read_table(data / "test-00000-of-00001.parquet")
    parquet.write_table(table.replace_schema_metadata({}), data / "test-00000-of-00001.parquet")
    assert found(folder / "dataset") == (1, [
        "dataset: the file train-00000-of-00002.parquet is missing",
        "dataset: the column input_image of test-00000-of-00001.parquet is not marked as an image, so that trainers do not decode it",
        "dataset: the column edited_image of test-00000-of-00001.parquet is not marked as an image, so that trainers do not decode it",
    ])  # fmt: skip


def test_an_image_inside_parquet_is_decoded(tmp_path):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"images": "embedded"}})
    path = folder / "dataset" / "data" / "train-00000-of-00001.parquet"
    table = parquet.read_table(path)
    rows = table.to_pylist()
    rows[1]["input_image"]["bytes"] = rows[1]["input_image"]["bytes"][:100]
    parquet.write_table(pyarrow.Table.from_pylist(rows, table.schema), path)
    status, [said] = found(folder / "dataset")
    assert status == 1 and re.fullmatch(rf"dataset: train: (k1-\S+): \1 in {re.escape(str(path))} is damaged: .*", said)


@pytest.mark.parametrize("name", ["instructions.jsonl", "data.jsonl", "metadata.json", "data.json"])
def test_the_metadata_file_is_found_by_its_name(made, name):
    folder, rows = made
    path = folder / "train" / name
    triplets = [json.loads(line) for line in (folder / "train" / "metadata.jsonl").read_text().splitlines()]
    for other in ("metadata.jsonl", "metadata.json"):
        (folder / "train" / other).unlink()
    wrapped = {"data": triplets} if name == "data.json" else triplets
    path.write_text("\n".join(map(json.dumps, triplets)) if name.endswith("l") else json.dumps(wrapped))
    assert found(folder) == (0, [])
    assert found(folder / "train") == (0, [])
    spoil_image(rows[0]["image_path"])
    assert found(folder / "train")[0] == 1


def test_another_metadata_file_may_be_named(made):
    folder, rows = made
    shutil.copy(folder / "train" / "metadata.jsonl", folder / "train" / "mine.jsonl")
    (folder / "train" / "metadata.jsonl").write_text("{")
    spoil_image(rows[0]["image_path"])
    status, said = found(folder / "train", "mine.jsonl")
    assert (status, len(said)) == (1, 1) and "is damaged" in said[0]
    with pytest.raises(RunError, match=r"there is no .*other\.jsonl"):
        found(folder / "train", "other.jsonl")


def test_a_folder_without_triplets_is_misuse_and_one_with_none_in_it_is_wrong(tmp_path):
    with pytest.raises(RunError, match=r"holds no triplets: there is no metadata\.jsonl, metadata\.json, instructions"):
        found(tmp_path)
    with pytest.raises(RunError, match="there is no folder"):
        found(tmp_path / "gone")
    folder, _ = merge(tmp_path, [], {"triplets": {}})
    assert found(folder) == (1, [])


@pytest.mark.slow
def test_the_launcher_validates_a_folder_and_the_runs_own(project):
    rows = make_rows(project.folder)
    table = project.folder / "rows.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    step = {"type": "merge", "name": "triplets", "config": {"triplets": {}, "dataset": {}}}
    project.write_config(step, meta_path=str(table))
    assert project.run("validate").returncode == 2
    assert project.run().returncode == 0
    done = project.run("validate")
    assert done.returncode == 0 and "8 triplets, nothing is wrong" in done.stdout, done.stdout
    spoil_image(rows[2]["image_path"])
    folder = project.output / "step_1_merge_triplets"
    project.called_from = folder
    done = project.run("validate", "dataset", OUTPUT_DIR="nowhere")
    assert done.returncode == 1 and "4 triplets, 1 faults" in done.stdout, done.stdout
    done = project.run("validate", "val", "--metadata_file", "metadata.json")
    assert done.returncode == 1 and "1 triplets, 1 faults" in done.stdout, done.stdout
    assert project.run("validate", str(ROOT / "configs" / "models")).returncode == 2
