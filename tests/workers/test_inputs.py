"""Inputs that nobody should have, through the launcher: each is done right or fails alone with a reason."""

import csv
import hashlib
import json
import os
import subprocess

import pytest

from tests import awkward_images as awkward
from tests.plain_rights import with_plain_rights


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    return folder


def failures(project, step: str) -> dict[str, str]:
    found = (json.loads(path.read_text()) for path in (project.output / step / "failures").rglob("*.json"))
    return {failure["key"]: failure["message"] for failure in found}


def write_config(project, *steps: dict, **top) -> None:
    project.write_config(*steps, **{"meta_path": str(project.input), "image_key": "image"} | top)


@pytest.mark.slow
@pytest.mark.parametrize("worker", ["template", "filter"])
def test_a_folder_of_awkward_photographs_costs_only_those_that_are_none(project, photographs, worker):
    project.input = photographs
    expected = awkward.write_all(photographs)
    (photographs / "hidden").mkdir()
    (photographs / "hidden" / "lost.jpg").symlink_to("nowhere")
    expected["hidden/lost.jpg"] = "does not exist"
    os.mkfifo(photographs / "pipe.jpg")
    (photographs / "folder.jpg").mkdir()
    (photographs / "notes.txt").write_text("no photograph")
    (photographs / os.fsdecode(b"latin-\xe9.jpg")).write_bytes(b"x")
    expected["latin-\\xe9.jpg"] = "is not valid UTF-8; rename the file"
    if worker == "template":  # it reads bytes and opens nothing
        for name in ("truncated.jpg", "text.png", "bomb.png"):
            expected[name] = None
    # Many of them show the same, and they are drawn.
    options = {"duplicates": "all", "graphics": "keep"} if worker == "filter" else {}
    write_config(project, {"type": worker, "config": options})
    done = project.run()
    assert done.returncode == 3, done.stdout
    step = f"step_1_{worker}"
    failed = failures(project, step)
    assert sorted(failed) == sorted(key for key, reason in expected.items() if reason)
    for key, message in failed.items():
        assert expected[key] in message, key
        assert "\n" not in message.replace("new\nline", ""), key
    rows = {row["key"]: row for row in project.rows(step)}
    assert sorted(rows) == sorted(key for key, reason in expected.items() if reason is None)
    recorded = [json.loads(path.read_text())["key"] for path in (project.output / step / "records").rglob("*.json")]
    assert sorted(recorded) == sorted(rows)
    if worker == "template":
        for key, row in rows.items():
            assert row["sha256"] == hashlib.sha256((photographs / key).read_bytes()).hexdigest()
    else:
        turned = [rows[f"turned{number}.jpg"] for number in range(1, 9)]
        assert [(row["width"], row["height"]) for row in turned] == [(60, 40)] * 8
        scores = [row["lighting_score"] for row in turned]
        assert max(scores) - min(scores) < 0.02
        assert (rows["animated.png"]["width"], rows["animated.png"]["height"]) == (16, 8)
    assert f"{len(failed)} items failed" in done.stdout
    assert project.leftovers() == []
    assert project.run("verify").returncode == 0


def test_a_photograph_that_may_not_be_read_fails_alone(project, photographs):
    project.input = photographs
    for name in ("a.jpg", "secret.jpg", "z.jpg"):
        (photographs / name).write_bytes(awkward.jpeg(awkward.photograph()))
    (photographs / "secret.jpg").chmod(0)
    write_config(project, {"type": "template"})
    command = with_plain_rights(project.folder / "launcher.sh")
    done = subprocess.run(command, env=project.environment({}), capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stdout
    assert failures(project, "step_1_template") == {
        "secret.jpg": f"{photographs / 'secret.jpg'} may not be read by this user"
    }
    assert [row["key"] for row in project.rows("step_1_template")] == ["a.jpg", "z.jpg"]


def write_table(project, rows: list[list[str]]) -> None:
    with open(project.input, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def test_a_table_with_a_key_twice_stops_before_anything_begins(project):
    write_table(project, [["key", "image"], ["a", "1.jpg"], ["b", "2.jpg"], ["a", "3.jpg"]])
    write_config(project, {"type": "template"})
    done = project.run()
    assert done.returncode == 2
    assert done.stdout.splitlines() == [
        'launcher: error: rows 1 and 3 of items.csv both have the key "a"; keys name the records, so each must be its own'
    ]
    assert not (project.output / "step_1_template").exists()
    assert [path.name for path in project.output.rglob("*") if path.is_file()] == [".lock"]


@pytest.mark.slow
def test_a_path_that_leaves_the_folder_or_a_missing_file_fails_alone(project, tmp_path):
    folder = tmp_path / "table"
    folder.mkdir()
    project.input = folder / "items.csv"
    (tmp_path / "secret.jpg").write_bytes(b"outside")
    (folder / "here.jpg").write_bytes(b"inside")
    paths = {
        "good": "here.jpg", "round": "x/../here.jpg", "absolute": str(folder / "here.jpg"),
        "leaves": "../secret.jpg", "leaves too": "x/../../secret.jpg", "missing": "gone.jpg",
        "empty": "", "address": "ftp://127.0.0.1/a.jpg", "nul": "a\0b.jpg",
    }  # fmt: skip
    write_table(project, [["key", "image"], *map(list, paths.items())])
    write_config(project, {"type": "template"})
    done = project.run()
    assert done.returncode == 3, done.stdout
    assert [row["key"] for row in project.rows("step_1_template")] == ["good", "round", "absolute"]
    assert failures(project, "step_1_template") == {
        "leaves": f"the path ../secret.jpg leaves the folder {folder}",
        "leaves too": f"the path x/../../secret.jpg leaves the folder {folder}",
        "missing": f"{folder}/gone.jpg does not exist",
        "empty": 'row 7 of items.csv has no path in "image"',
        "address": "ftp://127.0.0.1/a.jpg is an address of no kind we read; those begin with s3://, gs://, hf://, https:// or http://",
        "nul": "the path in row 9 of items.csv has a NUL character",
    }


KEYS = [
    "../../etc/x", "/abs", "a//b", "a/b", "x.json/y", "x", "x.json", "Case", "case", "CASE", ".", "..", "...", "-rf",
    "new\nline", "tab\t", "100%", "%2E%2E", "ü", "u\u0308", "long" * 100, "deep/" * 500 + "x", " ", "a/", "con", "*", "~",
    "records", "end0.txt", "kill0.txt", "%_", "a\\b", "quote\"'", "\u202egpj.exe",
]  # fmt: skip


@pytest.mark.slow
def test_keys_of_any_form_stay_in_the_runs_folder_and_apart(project):
    (project.folder / "here.jpg").write_bytes(b"inside")
    write_table(project, [["key", "image"], *([key, "here.jpg"] for key in KEYS)])
    write_config(project, {"type": "template"})
    before = sorted(path for path in project.folder.parent.rglob("*") if project.output not in path.parents)
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert [row["key"] for row in project.rows("step_1_template")] == KEYS
    recorded = [path for path in (project.output / "step_1_template" / "records").rglob("*") if path.is_file()]
    assert sorted(json.loads(path.read_text())["key"] for path in recorded) == sorted(KEYS)
    after = sorted(path for path in project.folder.parent.rglob("*") if project.output not in path.parents)
    made = {path.relative_to(project.folder) for path in set(after) - set(before)}
    assert {str(path).split("/")[0] for path in made if "__pycache__" not in path.parts} == {"out", "logs"}
    done = project.run()
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True), done.stdout
    assert project.run("verify").returncode == 0


@pytest.mark.slow
def test_escaped_records_that_are_torn_are_made_again_in_the_next_run(project):
    (project.folder / "here.jpg").write_bytes(b"inside")
    write_table(project, [["key", "image"], ["100%", "here.jpg"], ["plain", "here.jpg"]])
    write_config(project, {"type": "template"})
    assert project.run().returncode == 0
    for name in ("100%25.json", "plain.json"):
        (project.output / "step_1_template" / "records" / name).write_bytes(b"")
    done = project.run()
    assert done.returncode == 0, done.stdout
    assert [row["bytes"] for row in project.rows("step_1_template")] == [6, 6]
