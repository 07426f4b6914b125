"""Tables that people read: whole or absent, RFC 4180, with paths that hold where the run is moved to."""

import csv
import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.exports.writers import write_csv, write_json_list, write_jsonl
from shared.files.small_files import write_bytes, write_json, write_text
from tests.conftest import ROOT

COLUMNS = {"image_path": "image_path", "score": "lighting_score"}
WRITERS = [write_csv, write_jsonl, write_json_list]


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_csv_is_quoted_only_where_it_must_be_as_rfc_4180_says(tmp_path):
    rows = [
        {"a": "plain", "b": 1.5},
        {"a": 'a "quote", a comma', "b": None},
        {"a": "two\nlines\r\n", "b": True},
        {"a": "Größe 東京 🌅", "b": ["x", {"y": "ü"}]},
        {"a": " spaces ", "b": 0},
    ]
    assert write_csv(tmp_path / "t.csv", {"a": "a", "the b": "b", "not there": "c"}, rows, tmp_path) == 5
    assert (tmp_path / "t.csv").read_bytes().decode() == (
        "a,the b,not there\n"
        "plain,1.5,\n"
        '"a ""quote"", a comma",,\n'
        '"two\nlines\r\n",True,\n'
        'Größe 東京 🌅,"[""x"", {""y"": ""ü""}]",\n'
        " spaces ,0,\n"
    )


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_what_a_csv_holds_is_read_back(values):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "t.csv"
        write_csv(path, {"a": "a", "b": "b"}, ({"a": value, "b": 1} for value in values), Path(name))
        assert [row["a"] for row in read_csv(path)] == values


@pytest.mark.parametrize(
    ("write", "expected"), [(write_csv, "image_path,score\n"), (write_jsonl, ""), (write_json_list, "[]\n")]
)
def test_no_rows_is_a_table_too(tmp_path, write, expected):
    assert write(tmp_path / "t", COLUMNS, [], tmp_path) == 0
    assert (tmp_path / "t").read_text() == expected


def test_json_tables_hold_the_columns_in_their_order(tmp_path):
    rows = [{"key": "x", "lighting_score": 0.25, "image_path": "/a/ü.jpg"}, {"lighting_score": 1, "image_path": None}]
    expected = [{"image_path": "/a/ü.jpg", "score": 0.25}, {"image_path": None, "score": 1}]
    assert write_jsonl(tmp_path / "t.jsonl", COLUMNS, rows, tmp_path) == 2
    assert (tmp_path / "t.jsonl").read_text() == (
        '{"image_path": "/a/ü.jpg", "score": 0.25}\n{"image_path": null, "score": 1}\n'
    )
    assert write_json_list(tmp_path / "t.json", COLUMNS, rows, tmp_path) == 2
    assert json.loads((tmp_path / "t.json").read_text()) == expected
    assert list(json.loads((tmp_path / "t.json").read_text())[0]) == ["image_path", "score"]


def test_paths_inside_the_run_are_relative_to_the_tables_folder_and_others_are_not(tmp_path):
    run = tmp_path / "run"
    table = run / "step_4_merge" / "train" / "metadata.csv"
    paths = [
        run / "step_2" / "data-train" / "a.png",
        run / "step_4_merge" / "train" / "b.png",
        tmp_path / "run2" / "c.png",
        tmp_path / "photographs" / "d.png",
    ]
    write_csv(
        table, {"input": "image_path", "image": "image"}, [{"image_path": str(p), "image": str(p)} for p in paths], run
    )
    assert [row["input"] for row in read_csv(table)] == [
        "../../step_2/data-train/a.png", "b.png", str(paths[2]), str(paths[3]),
    ]  # fmt: skip
    assert [row["image"] for row in read_csv(table)] == list(map(str, paths))  # only fields ending in _path are paths
    for path, row in zip(paths, read_csv(table), strict=True):
        assert os.path.normpath(table.parent / row["input"]) == str(path)


@pytest.mark.parametrize("write", WRITERS)
def test_the_same_rows_leave_the_file_untouched(tmp_path, write):
    rows = [{"image_path": "/a.jpg", "lighting_score": 0.5}]
    write(tmp_path / "t", COLUMNS, rows, tmp_path)
    os.utime(tmp_path / "t", ns=(1, 1))
    before = (tmp_path / "t").stat()
    write(tmp_path / "t", COLUMNS, rows, tmp_path)
    assert (tmp_path / "t").stat().st_mtime_ns == 1
    assert (tmp_path / "t").stat().st_ino == before.st_ino
    write(tmp_path / "t", COLUMNS, rows * 2, tmp_path)
    assert (tmp_path / "t").stat().st_mtime_ns > 1
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


@pytest.mark.parametrize("write", WRITERS)
def test_an_error_among_the_rows_leaves_the_old_table(tmp_path, write):
    def rows():
        yield {"image_path": "/b.jpg"}
        raise RuntimeError("torn")

    write(tmp_path / "t", COLUMNS, [{"image_path": "/a.jpg"}], tmp_path)
    before = (tmp_path / "t").read_bytes()
    with pytest.raises(RuntimeError, match="torn"):
        write(tmp_path / "t", COLUMNS, rows(), tmp_path)
    assert (tmp_path / "t").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


KILLED = """
import os, signal, sys
from pathlib import Path
from shared.exports.writers import write_csv
def rows():
    for number in range(100000):
        yield {"a": "x" * 100}
    os.kill(os.getpid(), signal.SIGKILL)
write_csv(Path(sys.argv[1]) / "t.csv", {"a": "a"}, rows(), Path(sys.argv[1]))
"""


def test_a_killed_writer_leaves_the_old_table_and_the_next_removes_its_half(tmp_path):
    write_csv(tmp_path / "t.csv", {"a": "a"}, [{"a": 1}], tmp_path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, check=False)
    assert killed.returncode == -9
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"
    assert len(list(tmp_path.iterdir())) == 2
    write_csv(tmp_path / "t.csv", {"a": "a"}, [{"a": 2}], tmp_path)
    assert (tmp_path / "t.csv").read_text() == "a\n2\n"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_small_files_are_whole_and_untouched_when_equal(tmp_path):
    assert write_json(tmp_path / "folder" / "a.json", {"ü": [1, 2]})
    assert (tmp_path / "folder" / "a.json").read_text() == '{\n  "ü": [\n    1,\n    2\n  ]\n}\n'
    assert not write_json(tmp_path / "folder" / "a.json", {"ü": [1, 2]})
    assert write_text(tmp_path / "a.txt", "ü\udcff")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xbc\xff"
    assert write_bytes(tmp_path / "a", b"1")
    assert not write_bytes(tmp_path / "a", b"1")
    assert write_bytes(tmp_path / "a", b"2")
    assert (tmp_path / "a").read_bytes() == b"2"
