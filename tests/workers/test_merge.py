"""What merge makes of records: declared tables in four formats, triplets, and what is dropped with its reason."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import yaml
from pyarrow import parquet

from shared.errors import ConfigError
from shared.exports.conditions import parse_condition
from shared.files.table import Table
from shared.run.config import load_config
from shared.run.run import Run
from workers.merge import source_table


def merge(tmp_path: Path, rows: list[dict], config: dict, **top):
    """Run one merge step over rows; returns its folder."""
    path = tmp_path / "merge.yaml"
    entry = {"type": "merge", "name": "out", "config": config}
    path.write_text(yaml.safe_dump({"meta_path": str(tmp_path), "steps": [entry]} | top))
    run = Run(load_config(path), tmp_path / "run")
    [step] = run.steps
    for folder in (step.folder, step.table_path.parent):
        folder.mkdir(parents=True, exist_ok=True)
    table = Table.write(step.table_path.parent / "rows.jsonl", rows, run.folder)
    chosen = step.worker.collect(table, step)
    kept = [row["key"] for row in (table if chosen is None else chosen)]
    return step.folder, kept


@pytest.fixture
def rows(tmp_path):
    """Four rows with their images; their paths are inside the run's folder and outside."""
    made = []
    for number, split in enumerate(("train", "train", "val", "test")):
        degraded, photograph = tmp_path / "run" / "made" / f"{number}.png", tmp_path / f"{number}.jpg"
        degraded.parent.mkdir(parents=True, exist_ok=True)
        degraded.write_bytes(b"degraded %d" % number)
        photograph.write_bytes(b"photograph %d" % number)
        made.append(
            {
                "key": f"k{number}", "image_path": str(photograph), "output_image_path": str(degraded), "split": split,
                "lighting_keywords": f'soft, "warm" light {number}', "lighting_score": [0.3, None, 0.9, 0.5][number],
                "light": {"direction": "left" if number % 2 else None},
            }
        )  # fmt: skip
    return made


def test_triplets_are_written_per_split_with_paths_that_hold_from_their_folder(tmp_path, rows):
    folder, kept = merge(tmp_path, rows, {"triplets": {}}, paths="relative")
    assert kept == ["k0", "k1", "k2", "k3"]
    lines = (folder / "train" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {
            "input_image": f"../../made/{number}.png",
            "instruction": f'soft, "warm" light {number}',
            "output_image": str(tmp_path / f"{number}.jpg"),
        }
        for number in (0, 1)
    ]
    assert (folder / "train" / json.loads(lines[1])["input_image"]).read_bytes() == b"degraded 1"
    assert json.loads((folder / "val" / "metadata.json").read_text())[0]["instruction"] == 'soft, "warm" light 2'


def test_rows_that_are_no_triplets_are_dropped_with_the_reason(tmp_path, rows):
    rows[0]["output_image_path"] = None
    rows[1]["lighting_keywords"] = "ERROR: rate limit"
    Path(rows[2]["image_path"]).unlink()
    rows[3]["lighting_keywords"] = " "
    folder, kept = merge(tmp_path, rows, {"triplets": {}})
    assert kept == []
    stats = {split: json.loads((folder / split / "stats.json").read_text()) for split in ("train", "val", "test")}
    assert {split: (one["rows"], one["total_samples"], one["dropped"]) for split, one in stats.items()} == {
        "train": (2, 0, {"with an error for an instruction": 1, "without output_image_path": 1}),
        "val": (1, 0, {"whose image_path is not there": 1}),
        "test": (1, 0, {"without lighting_keywords": 1}),
    }
    with open(folder / "passed_over.csv", newline="") as file:
        left_out = list(csv.DictReader(file))
    assert list(left_out[0]) == ["key", "image_path", "lighting_score", "reason", "passed_over"]
    assert [(row["key"], row["reason"]) for row in left_out] == [
        ("k0", "without output_image_path"),
        ("k1", "with an error for an instruction"),
        ("k2", "whose image_path is not there"),
        ("k3", "without lighting_keywords"),
    ]
    assert left_out[3]["passed_over"] == "a row without lighting_keywords"
    assert (folder / "val" / "metadata.jsonl").read_text() == "" and (
        folder / "val" / "metadata.json"
    ).read_text() == "[]\n"


def test_photographs_of_whose_light_nothing_can_be_said_are_passed_over_on_request(tmp_path, rows):
    rows[0]["lighting_keywords"], rows[2]["lighting_keywords"] = "unremarkable ambient light", "plain ambient light"
    usual = tmp_path / "usual"
    usual.mkdir()
    assert merge(usual, rows, {"triplets": {}})[1] == ["k0", "k1", "k2", "k3"]
    folder, kept = merge(tmp_path, rows, {"triplets": {}, "pass_over_unsaid": True})
    assert kept == ["k1", "k3"]
    assert json.loads((folder / "train" / "stats.json").read_text())["dropped"] == {
        "of whose light nothing can be said": 1
    }


def test_a_row_of_another_split_is_left_out_and_said(tmp_path, rows):
    rows[1]["split"] = "dev"
    folder, kept = merge(tmp_path, rows, {"triplets": {}})
    assert kept == ["k0", "k2", "k3"]
    with open(folder / "passed_over.csv", newline="") as file:
        assert [(row["key"], row["reason"]) for row in csv.DictReader(file)] == [
            ("k1", "whose split 'dev' is none of train, val, test")
        ]


def test_without_validation_a_missing_file_is_not_looked_for(tmp_path, rows):
    Path(rows[2]["image_path"]).unlink()
    assert merge(tmp_path, rows, {"triplets": {}, "no_validate": True})[1] == ["k0", "k1", "k2", "k3"]
    assert merge(tmp_path, rows, {"triplets": {}, "no_validate": True, "copy_images": True})[1] == ["k0", "k1", "k3"]


def test_the_paths_of_the_tables_hold_from_anywhere(tmp_path, rows, monkeypatch):
    folder, _ = merge(tmp_path, rows, {"triplets": {}})
    monkeypatch.chdir("/")
    lines = (folder / "train" / "metadata.jsonl").read_text().splitlines()
    for written in ([json.loads(line) for line in lines], json.loads((folder / "train" / "metadata.json").read_text())):
        assert [Path(one["input_image"]).read_bytes() for one in written] == [b"degraded 0", b"degraded 1"]
        assert [Path(one["output_image"]).read_bytes() for one in written] == [b"photograph 0", b"photograph 1"]


def test_copied_images_lie_beside_their_metadata(tmp_path, rows):
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "copy_images": True}, paths="relative")
    triplets = json.loads((folder / "train" / "metadata.json").read_text())
    assert [(one["input_image"], one["output_image"]) for one in triplets] == [
        ("inputs/000000.png", "outputs/000000.jpg"),
        ("inputs/000001.png", "outputs/000001.jpg"),
    ]
    assert (folder / "train" / "outputs" / "000001.jpg").read_bytes() == b"photograph 1"
    merge(tmp_path, rows[1:], {"triplets": {}, "copy_images": True})
    assert sorted(path.name for path in (folder / "train" / "outputs").iterdir()) == ["000000.jpg"]


def test_rows_without_splits_make_one_set(tmp_path, rows):
    for row in rows:
        del row["split"]
    folder, _ = merge(tmp_path, rows, {"triplets": {}})
    assert len((folder / "metadata.jsonl").read_text().splitlines()) == 4
    assert json.loads((folder / "stats.json").read_text()) == {
        "total_samples": 4,
        "source_csv": tmp_path.name,
        "copy_images": False,
        "columns_used": {
            "input_image": "output_image_path", "instruction": "lighting_keywords", "output_image": "image_path"
        },
        "rows": 4,
        "dropped": {},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("types", "split", "expected"),
    [
        (["merge"], "", "train_images.csv"),
        (["caption", "merge"], "", "train_images_with_albedo_with_keywords.csv"),
        (["caption", "merge"], "val", "val_images_with_albedo_with_keywords.csv"),
    ],
)
def test_the_statistics_name_the_table_of_the_same_rows(tmp_path, types, split, expected):
    steps = [{"type": name, "config": {"triplets": {}} if name == "merge" else {}} for name in types]
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({"meta_path": "/a/train_images.csv", "steps": steps}))
    step = Run(load_config(tmp_path / "run.yaml"), tmp_path / "run").steps[-1]
    assert source_table(step, split) == expected


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl", "parquet"])
def test_a_declared_table_has_its_columns_rows_and_order(tmp_path, rows, ending):
    table = {
        "output": f"best.{ending}",
        "columns": {"score": "lighting_score", "words": "lighting_keywords", "from": "light.direction"},
        "where": ["split != test"],
        "sort": "-lighting_score",
        "top": 2,
    }
    folder, _ = merge(tmp_path, rows, {"tables": [table]})
    path = folder / f"best.{ending}"
    if ending == "csv":
        with open(path, newline="") as file:
            found = [{**row, "score": float(row["score"]), "from": row["from"] or None} for row in csv.DictReader(file)]
    elif ending == "parquet":
        found = parquet.read_table(path).to_pylist()
    elif ending == "json":
        found = json.loads(path.read_text())
    else:
        found = [json.loads(line) for line in path.read_text().splitlines()]
    assert found == [
        {"score": 0.9, "words": 'soft, "warm" light 2', "from": None},
        {"score": 0.3, "words": 'soft, "warm" light 0', "from": None},
    ]


def test_a_second_merge_leaves_the_files_untouched(tmp_path, rows):
    table = {"output": "{split}.csv", "columns": {"key": "key"}, "splits": True}
    folder, _ = merge(tmp_path, rows, {"tables": [table], "triplets": {}})
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    shutil.rmtree(folder)
    again, _ = merge(tmp_path, rows, {"tables": [table], "triplets": {}})
    assert sorted(path.relative_to(folder) for path in before) == sorted(
        path.relative_to(again) for path in again.rglob("*")
    )
    for path in kept.rglob("*.*"):
        assert (again / path.relative_to(kept)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lighting_keywords", [True, True, True, True]),
        ("lighting_score >= 0.5", [False, False, True, True]),
        ("lighting_score < 0.5", [True, False, False, False]),
        ("split == train", [True, True, False, False]),
        ("light.direction == left", [False, True, False, True]),
        ("light.nothing", [False] * 4),
        ("split > 3", [False] * 4),
    ],
)
def test_conditions(rows, text, expected):
    condition = parse_condition(text)
    assert [condition(row) for row in rows] == expected


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({}, "step 1 (out): nothing to write; declare tables or triplets"),
        (
            {"tables": [{"output": "../x.csv", "columns": {}}]},
            "step 1 (out): the output '../x.csv' leaves the step's folder",
        ),
        (
            {"tables": [{"output": "x.xls", "columns": {}}]},
            "'x.xls' should end in one of .csv, .json, .jsonl, .parquet",
        ),
        ({"tables": [{"output": "x.csv", "columns": {}, "splits": True}]}, "needs {split} in its name"),
        (
            {"tables": [{"output": "x.csv", "columns": {}, "where": ["a =! b"]}]},
            "where of x.csv: 'a =! b' is no condition",
        ),
        ({"tables": [{"output": "x.csv", "columns": {}, "sorted": "a"}]}, "no option 'tables.0.sorted'"),
    ],
)
def test_a_wrong_declaration_is_one_sentence(tmp_path, config, sentence):
    with pytest.raises(ConfigError) as raised:
        merge(tmp_path, [], config)
    assert sentence in str(raised.value) and "\n" not in str(raised.value)
