"""Tables of an earlier run as input: they are of a split by their names, and image_path is their photograph."""

import csv
import json

import pytest
from PIL import Image

from shared.files.table import Table
from shared.readers.split_names import split_of_table
from tests.run.small_runs import read_step_0
from tests.workers.filtering import collect, made_up


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train_images.csv", "train"), ("val_images_with_albedo.csv", "val"), ("test_images.jsonl", "test"),
        ("train_images_with_albedo_with_keywords.csv", "train"),
        ("images.csv", None), ("test.csv", None), ("train.csv", None), ("my_train_images.csv", None), ("train_images_2.csv", None),
    ],
)  # fmt: skip
def test_the_name_of_a_table_says_its_split_as_a_run_names_its_tables(name, split):
    assert split_of_table(name) == split


def test_rows_of_such_a_table_are_of_its_split_unless_they_say_another(tmp_path):
    (tmp_path / "val_images.csv").write_text("image,split\na.jpg,\nb.jpg,train\n")
    assert [row["split"] for row in read_step_0(tmp_path / "run", tmp_path / "val_images.csv")] == ["val", "train"]
    (tmp_path / "val_images.jsonl").write_text('{"image": "a.jpg"}\n{"image": "b.jpg", "split": "train"}\n')
    found = read_step_0(tmp_path / "other", tmp_path / "val_images.jsonl")
    assert [row["split"] for row in found] == ["val", "train"]


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_image_path_is_the_photograph_where_there_is_no_column_image(tmp_path, delimiter):
    lines = [["image_path", "lighting_score"], [str(tmp_path / "a.jpg"), "0.5"], ["b.jpg", "0.25"]]
    with open(tmp_path / "rows.csv", "w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(lines)
    found = list(read_step_0(tmp_path / "run", tmp_path / "rows.csv"))
    assert [row["image_path"] for row in found] == [str(tmp_path / "a.jpg"), str(tmp_path / "b.jpg")]
    assert [row["lighting_score"] for row in found] == ["0.5", "0.25"]
    rows = [{"image_path": "a.jpg"}, {"image_path": "b.jpg", "image": 7}]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    assert [row["image_path"] for row in read_step_0(tmp_path / "json", tmp_path / "rows.json")] == [
        str(tmp_path / name) for name in ("a.jpg", "b.jpg")
    ]


def test_what_image_key_names_is_taken_though_image_path_is_there(tmp_path):
    (tmp_path / "rows.csv").write_text("image,image_path\na.jpg,b.jpg\n")
    [row] = read_step_0(tmp_path / "run", tmp_path / "rows.csv")
    assert row["image_path"] == str(tmp_path / "a.jpg")


def test_the_filter_leaves_photographs_in_the_split_that_they_come_with(tmp_path, capsys):
    rows = made_up(40)
    for row in rows[:20]:
        row["split"] = "val"
    rows[20]["split"] = "validation"  # as the datasets library calls it
    _, result = collect(tmp_path / "given", rows)
    assert {row["key"]: row["split"] for row in result}.items() >= dict.fromkeys(
        [r["key"] for r in rows[:21]], "val"
    ).items()
    assert "train" in {row["split"] for row in result[21:]}
    assert "21 of 40 stay in the split that the input gives them" in capsys.readouterr().out
    _, drawn = collect(tmp_path / "drawn", rows, split_ratios=(1, 0, 0))
    assert {row["split"] for row in drawn} == {"train"}


@pytest.mark.slow
@pytest.mark.parametrize("with_filter", [False, True], ids=["as it is", "filtered again"])
def test_a_table_of_one_split_makes_triplets_of_that_split_and_no_others(project, with_filter):
    photographs = project.folder / "photographs"
    photographs.mkdir()
    lines = [["image_path", "lighting_score", "output_image_path"]]
    for name in ("coffee", "fig"):
        with Image.open(f"configs/samples/{name}.jpg") as image:
            image.thumbnail((160, 160))
            image.save(photographs / f"{name}.jpg")
        lines.append([str(photographs / f"{name}.jpg"), "0.5", "old.png"])
    project.input = project.folder / "train_images_with_albedo.csv"
    with open(project.input, "w", newline="") as file:
        csv.writer(file).writerows(lines)
    roles = {"input_image": "output_image_path", "instruction": "lighting_keywords", "output_image": "image_path"}
    steps = [
        {"type": "filter", "config": {"create_grid": False}},
        {"type": "degrade", "config": {"mask": "none"}},
        {"type": "caption", "name": "keywords", "config": {}},
        {"type": "merge", "name": "triplets", "config": {"triplets": roles, "dataset": {}}},
    ]
    project.write_config(*steps[0 if with_filter else 1 :], image_key="image")
    done = project.run()
    assert done.returncode == 0, done.stdout
    first = 2 if with_filter else 1
    degraded = project.output / f"step_{first}_degrade"
    assert sorted(path.name for path in degraded.glob("data*")) == ["data-train"]
    assert len(list((degraded / "data-train").iterdir())) == 2
    merged = project.output / f"step_{first + 2}_merge_triplets"
    assert len(Table(merged / "result.jsonl")) == 2
    assert len((merged / "train" / "metadata.jsonl").read_text().splitlines()) == 2
    assert not list(merged.glob("val")) and not list(merged.glob("test"))
