"""Tables are whole or absent, found by row, and never hold two rows with one key."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import DatasetError
from shared.files.table import Table
from shared.seeding import name_hash
from tests.conftest import ROOT
from tests.files.numbered import numbered_rows


def test_a_table_gives_its_rows_by_place_and_in_order(tmp_path):
    rows = [{"key": "a", "number": 1.5}, {"key": "ü/b.jpg", "list": [1, None, {"x": "line\nbreak\u2028"}]}]
    table = Table.write(tmp_path / "result.jsonl", iter(rows), tmp_path)
    assert (len(table), table[0], table[1], table[-1], list(table)) == (2, rows[0], rows[1], rows[1], rows)
    assert table.hashes.tolist() == [name_hash("a"), name_hash("ü/b.jpg")]
    assert table.hashes.dtype == np.uint64
    with pytest.raises(IndexError):
        table[2]
    with pytest.raises(TypeError, match="row by row"):
        table[0:1]
    assert sorted(os.listdir(tmp_path)) == ["result.jsonl", "result.jsonl.index"]


def test_an_empty_table_is_a_table(tmp_path):
    table = Table.write(tmp_path / "result.jsonl", [], tmp_path)
    assert (len(table), list(table), len(table.hashes)) == (0, [], 0)
    assert len(Table(tmp_path / "result.jsonl")) == 0


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.text("ab\n\r\u2028"), max_size=9)
)
def test_any_keys_and_texts_come_back(tmp_path, texts):
    rows = [{"key": key, "text": text} for key, text in texts.items()]
    assert list(Table.write(tmp_path / "result.jsonl", rows, tmp_path)) == rows


def test_rows_longer_than_a_block_come_back(tmp_path):
    rows = [{"key": str(size), "text": "x" * size} for size in (3_000_000, 1, 1_048_576, 2, 1_048_530)]
    table = Table.write(tmp_path / "result.jsonl", rows, tmp_path)
    assert list(table) == rows
    assert [table[place] for place in range(5)] == rows


def test_paths_are_relative_on_disk_and_absolute_in_memory(tmp_path):
    run = tmp_path / "run"
    (run / "step_2").mkdir(parents=True)
    row = {
        "key": "a",
        "image_path": "/elsewhere/a.jpg",
        "output_image_path": f"{run}/step_1/a.png",
        "mask_path": f"{run}/step_2/masks/a.png",
        "near_path": f"{run}-other/a.png",
        "remote_path": "s3://bucket/a.png",
        "here_path": f"{run}/step_2/a.png",
        "missing_path": None,
        "note": f"{run}/not a path field",
    }
    table = Table.write(run / "step_2" / "result.jsonl", [row], run)
    assert table[0] == row
    assert list(table) == [row]
    text = (run / "step_2" / "result.jsonl").read_text()
    assert '"output_image_path":"../step_1/a.png","mask_path":"masks/a.png"' in text
    assert f'"near_path":"{run}-other/a.png"' in text
    assert '"here_path":"a.png"' in text
    moved = shutil.move(run, tmp_path / "moved")
    assert Table(Path(moved, "step_2", "result.jsonl"))[0]["output_image_path"] == f"{moved}/step_1/a.png"


def test_two_runs_in_two_folders_write_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        Table.write(tmp_path / name / "t.jsonl", [{"key": "a", "b_path": f"{tmp_path}/{name}/b"}], tmp_path / name)
    for file in ("t.jsonl", "t.jsonl.index"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_equal_rows_keep_the_file_and_its_time(tmp_path):
    path = tmp_path / "result.jsonl"
    first = Table.write(path, numbered_rows(3), tmp_path)
    os.utime(path, ns=(10**18, 10**18))
    before = path.stat()
    second = Table.write(path, numbered_rows(3), tmp_path)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert second.digest == first.digest
    assert Table.write(path, numbered_rows(4), tmp_path).digest != first.digest
    assert path.stat().st_ino != before.st_ino


def test_the_digest_sees_a_changed_value_of_equal_length(tmp_path):
    digests = {Table.write(tmp_path / "t", [{"key": "a", "x": x}], tmp_path).digest for x in (1, 2)}
    assert len(digests) == 2


def test_a_table_that_is_replaced_stays_readable(tmp_path):
    old = Table.write(tmp_path / "t", numbered_rows(3), tmp_path)
    Table.write(tmp_path / "t", numbered_rows(1), tmp_path)
    assert list(old) == numbered_rows(3)


def test_two_rows_with_one_key_are_named_and_the_old_table_stays(tmp_path):
    path = tmp_path / "result.jsonl"
    Table.write(path, numbered_rows(2), tmp_path)
    rows = [*numbered_rows(50), {"key": "photo-11"}, {"key": "photo-11"}]
    sentence = (
        'rows 12 and 51 of photos.csv both have the key "photo-11"; keys name the records, so each must be its own'
    )
    with pytest.raises(DatasetError) as caught:
        Table.write(path, rows, tmp_path, name="photos.csv")
    assert str(caught.value) == sentence
    assert list(Table(path)) == numbered_rows(2)
    assert sorted(os.listdir(tmp_path)) == ["result.jsonl", "result.jsonl.index"]


def test_keys_with_equal_hashes_are_no_duplicates(tmp_path, monkeypatch):
    monkeypatch.setattr("shared.files.table_index.name_digest", lambda key: b"12345678")
    assert list(Table.write(tmp_path / "t", numbered_rows(3), tmp_path)) == numbered_rows(3)
    with pytest.raises(DatasetError, match='rows 2 and 4 of t both have the key "photo-1"'):
        Table.write(tmp_path / "t", [*numbered_rows(3), {"key": "photo-1"}], tmp_path)


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"x": 1}, "row 2 of t has no key: None"),
        ({"key": ""}, "row 2 of t has no key: ''"),
        ({"key": 7}, "row 2 of t has no key: 7"),
        ({"key": "b", "x": b"bytes"}, "row 2 of t cannot be written as JSON"),
        ({"key": "b\udcff"}, "row 2 of t cannot be written as JSON"),
    ],
)
def test_a_row_that_cannot_be_written_is_named(tmp_path, row, sentence):
    with pytest.raises(DatasetError, match=sentence):
        Table.write(tmp_path / "t", [{"key": "a"}, row], tmp_path)
    assert os.listdir(tmp_path) == []


def test_an_error_in_the_rows_leaves_the_old_table(tmp_path):
    def rows():
        yield {"key": "new"}
        raise KeyboardInterrupt

    Table.write(tmp_path / "t", numbered_rows(2), tmp_path)
    with pytest.raises(KeyboardInterrupt):
        Table.write(tmp_path / "t", rows(), tmp_path)
    assert list(Table(tmp_path / "t")) == numbered_rows(2)
    assert sorted(os.listdir(tmp_path)) == ["t", "t.index"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{"key":"a"}\n{"key":"b', "line 2 of t is cut off"),
        ('{"key":"a"}\n{"key":"b"}', "line 2 of t is cut off"),
        ('{"key":"a"}\nnonsense\n{"key":"c"}\n', "line 2 of t is not a row"),
        ('{"key":"a"}\n\n{"key":"c"}\n', "line 2 of t is not a row"),
        ('{"key":"a"}\n[1]\n', "line 2 of t is not a row"),
        ('{"key":"a"}\n{"name":"b"}\n', "line 2 of t is not a row"),
        ('{"key":"a"}\n{"key":"a"}\n', 'rows 1 and 2 of t both have the key "a"'),
    ],
)
def test_a_damaged_table_is_refused_with_its_line(tmp_path, text, sentence):
    (tmp_path / "t").write_text(text)
    with pytest.raises(DatasetError, match=sentence):
        Table(tmp_path / "t")
    assert os.listdir(tmp_path) == ["t"]


def test_a_missing_table_is_an_error_in_one_sentence(tmp_path):
    with pytest.raises(DatasetError, match=f"there is no table {tmp_path}/t"):
        Table(tmp_path / "t")


def test_threads_read_the_right_rows(tmp_path):
    table = Table.write(tmp_path / "t", numbered_rows(2000), tmp_path)
    wrong: list = []

    def read(start: int) -> None:
        wrong.extend(place for place in range(start, 2000, 4) if table[place]["number"] != place)
        wrong.extend([] if [row["number"] for row in table] == list(range(2000)) else ["order"])

    threads = [threading.Thread(target=read, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


WRITER = """
import sys
from shared.files.table import Table
rows = ({"key": f"new-{number}", "text": "x" * 200} for number in range(20000))
print("writing", flush=True)
Table.write(sys.argv[1], rows, "/")
"""


@pytest.mark.parametrize("wait", [0.0, 0.01, 0.03, 0.06, 0.1, 0.2])
def test_a_killed_writer_leaves_the_old_table_or_the_new_one(tmp_path, wait):
    path = tmp_path / "result.jsonl"
    Table.write(path, numbered_rows(3), tmp_path)
    process = subprocess.Popen([sys.executable, "-c", WRITER, path], cwd=ROOT, stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
    table = Table(path)
    assert len(table) in (3, 20000)
    assert table[0]["key"] == ("photo-0" if len(table) == 3 else "new-0")
    Table.write(path, numbered_rows(5), tmp_path)
    assert list(Table(path)) == numbered_rows(5)
    assert sorted(os.listdir(tmp_path)) == ["result.jsonl", "result.jsonl.index"]


def test_a_part_of_a_living_writer_is_left_alone(tmp_path):
    def rows():
        yield {"key": "outer"}
        Table.write(tmp_path / "t", [{"key": "inner"}], tmp_path)
        assert len([name for name in os.listdir(tmp_path) if name.endswith(".part")]) == 2

    assert list(Table.write(tmp_path / "t", rows(), tmp_path)) == [{"key": "outer"}]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_rows(tmp_path):
    script = (
        "import resource, sys\n"
        "from shared.files.table import Table\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "Table.write(sys.argv[1], ({'key': str(n), 'text': 'x' * 2000} for n in range(100)), '/')\n"
        "before = peak()\n"
        "rows = ({'key': str(n), 'text': 'x' * 2000} for n in range(50_000))\n"
        "table = Table.write(sys.argv[1], rows, '/')\n"
        "assert sum(1 for row in table) == 50_000\n"
        "print(peak() - before)\n"
    )
    grown = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "t"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    assert int(grown.stdout) < 30_000  # kB; the rows are 100,000 of them
