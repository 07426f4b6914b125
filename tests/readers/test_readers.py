"""Folders of photographs and text tables: their items, order and keys, and what is refused in what words."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.dataset import DatasetError, Source
from shared.files.table import Table
from tests.conftest import ROOT
from tests.readers.reading import items, key, written


def test_a_folder_is_read_recursively_in_the_order_of_paths(tmp_path):
    names = [
        "a.jpg",
        "a-b/x.PNG",
        "a/z.Jpeg",
        "a/b/c.webp",
        "a0.bmp",
        "b.tif",
        "b b\n.TIFF",
        "-c.jpg",
        "ü.png",
    ]
    passed_over = [".hidden.jpg", ".git/a.jpg", "a/notes.txt", "jpg", "a/.x.png"]
    for name in names + passed_over:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert items(tmp_path) == [{"key": name, "image_path": f"{tmp_path}/{name}"} for name in sorted(names)]


@given(st.sets(st.lists(st.sampled_from(["a", "b", "-", "a.", "~", "A"]), min_size=1, max_size=4).map(tuple)))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_any_tree_is_read_in_the_order_of_its_paths(tmp_path_factory, paths):
    folder = tmp_path_factory.mktemp("tree")
    names = ["/".join([*(part + "," for part in parents), name + ".jpg"]) for *parents, name in paths]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    if names:
        assert [item["key"] for item in items(folder)] == sorted(names)


def test_links_are_followed_and_loops_end(tmp_path):
    photos, outside = tmp_path / "photos", tmp_path / "outside"
    for name in ("photos/a/1.jpg", "outside/2.jpg"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    (photos / "a" / "up").symlink_to(photos)
    (photos / "a" / "self").symlink_to("self")
    (photos / "out").symlink_to(outside)
    (outside / "back").symlink_to(photos)
    (photos / "linked.jpg").symlink_to(outside / "2.jpg")
    (photos / "broken.jpg").symlink_to(tmp_path / "gone.jpg")
    os.mkfifo(photos / "pipe.jpg")
    assert [item["key"] for item in items(photos)] == ["a/1.jpg", "broken.jpg", "linked.jpg", "out/2.jpg"]


def test_a_name_that_is_not_utf8_is_an_item_that_cannot_be_read(tmp_path):
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.jpg")).touch()
    (tmp_path / "a.jpg").touch()
    assert items(tmp_path) == [
        {"key": "a.jpg", "image_path": f"{tmp_path}/a.jpg"},
        {
            "key": "caf\\xe9.jpg",
            "image_path": f"{tmp_path}/caf\\xe9.jpg",
            "unreadable": "the name caf\\xe9.jpg is not valid UTF-8; rename the file",
        },
    ]
    assert Source(str(tmp_path)).digest()


def test_a_csv_becomes_items_with_paths_keys_and_fields(tmp_path):
    text = '\ufeffimage,caption,extra\r\na/1.jpg,"two\r\nlines, ""quoted""",x\r\n\r\n/abs/2.jpg,,\r\n'
    assert items(written(tmp_path, "rows.csv", text)) == [
        {
            "key": key("a/1.jpg"),
            "image": "a/1.jpg",
            "caption": 'two\r\nlines, "quoted"',
            "extra": "x",
            "image_path": f"{tmp_path}/a/1.jpg",
        },
        {
            "key": key("/abs/2.jpg"),
            "image": "/abs/2.jpg",
            "caption": "",
            "extra": "",
            "image_path": "/abs/2.jpg",
        },
    ]


def test_the_table_of_the_lighting_filter_is_an_input(tmp_path):
    path = written(tmp_path, "train.csv", "image_path,lighting_score,output_image_path\na.jpg,0.3,/b.png\n")
    assert items(path, image_key="image_path") == [
        {
            "key": key("a.jpg"),
            "image_path": f"{tmp_path}/a.jpg",
            "lighting_score": "0.3",
            "output_image_path": "/b.png",
        }
    ]


def test_paths_are_relative_to_the_meta_folder_and_other_paths_to_the_table(tmp_path):
    (tmp_path / "photos").mkdir()
    path = written(tmp_path, "rows.csv", "image,mask_path\n./x//a.jpg,m/a.png\n")
    found = items(path, meta_folder="photos", config_folder=tmp_path)
    assert [(row["image_path"], row["mask_path"]) for row in found] == [
        (f"{tmp_path}/photos/x/a.jpg", f"{tmp_path}/m/a.png")
    ]


def test_the_key_column_is_used_where_the_table_has_it(tmp_path):
    path = written(tmp_path, "rows.csv", "new_key,key,image\nn1,k1,a.jpg\n")
    assert [row["key"] for row in items(path)] == ["k1"]
    assert [row["key"] for row in items(path, key_column="new_key")] == ["n1"]
    assert [row["key"] for row in items(path, key_column=None)] == [key("a.jpg")]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("../x.jpg", "the path ../x.jpg leaves the folder {folder}"),
        ("a/../../x.jpg", "the path a/../../x.jpg leaves the folder {folder}"),
        ("..", "the path .. leaves the folder {folder}"),
        ("", 'row 2 of rows.csv has no path in "image_path"'),
        (
            "ftp://a.org/x.jpg",
            "ftp://a.org/x.jpg is an address of no kind we read; those begin with s3://, gs://, hf://, https:// or http://",
        ),
    ],
)
def test_a_path_that_cannot_be_is_that_items_failure(tmp_path, image, reason):
    path = written(tmp_path, "rows.csv", f"image_path,n\na.jpg,1\n{image},2\n..b/c..jpg,3\n")
    found = items(path, image_key="image_path")
    assert [row.get("unreadable") for row in found] == [None, reason.format(folder=tmp_path), None]
    assert [row.get("image_path") for row in found] == [f"{tmp_path}/a.jpg", None, f"{tmp_path}/..b/c..jpg"]
    assert len({row["key"] for row in found}) == 3


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,a\nx.jpg,1,2\ny.jpg,1,2\n", "line 2 of rows.csv has 3 fields, not 2"),
        ('image\n"x.jpg\ny.jpg\n', "line 3 of rows.csv is not CSV: unexpected end of data"),
        ('image\n"x"y.jpg\n', "line 2 of rows.csv is not CSV: ',' expected after '\"'"),
        ("image,image\nx.jpg,y.jpg\n", 'rows.csv has two columns named "image"'),
        ("key,image\n,y.jpg\n", 'row 1 of rows.csv has nothing in "key"'),
        (
            "images,caption\na.jpg,b\n",
            'no column "image" in {folder}/rows.csv; did you mean "images"? (images, caption)',
        ),
        ("x,y\na.jpg,b\n", 'no column "image" in {folder}/rows.csv; there are (x, y)'),
    ],
)
def test_a_wrong_csv_is_refused_in_one_sentence(tmp_path, text, sentence):
    with pytest.raises(DatasetError) as caught:
        items(written(tmp_path, "rows.csv", text))
    assert str(caught.value) == sentence.format(folder=tmp_path)


def test_a_csv_that_is_not_utf8_is_refused_with_its_place(tmp_path):
    (tmp_path / "rows.csv").write_bytes(b"image\na.jpg\ncaf\xe9.jpg\n")
    with pytest.raises(DatasetError, match=r"rows\.csv is not UTF-8"):
        items(tmp_path / "rows.csv")


def test_a_key_column_that_was_asked_for_must_be_there(tmp_path):
    with pytest.raises(DatasetError, match=r'no column "new_key" in .*; did you mean "newkey"'):
        items(written(tmp_path, "rows.csv", "newkey,image\na,b.jpg\n"), key_column="new_key")


def test_a_field_longer_than_the_csv_modules_limit_is_read(tmp_path):
    long = "x" * 1_000_000
    assert items(written(tmp_path, "rows.csv", f"image,caption\na.jpg,{long}\n"))[0]["caption"] == long


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=5), st.sampled_from([("csv", ","), ("tsv", "\t")]))
def test_what_the_csv_module_writes_is_read_back(tmp_path, rows, kind):
    suffix, delimiter = kind
    with open(tmp_path / f"rows.{suffix}", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["key", "first", "second"])
        writer.writerows((number, *row) for number, row in enumerate(rows))
    found = items(tmp_path / f"rows.{suffix}", image_key=None)
    assert [(row["key"], row["first"], row["second"]) for row in found] == [
        (str(number), *row) for number, row in enumerate(rows)
    ]


def test_two_rows_with_one_key_are_named_before_a_table_is_there(tmp_path):
    text = "key,image\n" + "".join(f"{'a' if row in (12, 40) else row},{row}.jpg\n" for row in range(1, 50))
    source = Source(str(written(tmp_path, "photos.csv", text)))
    with pytest.raises(DatasetError) as caught:
        Table.write(tmp_path / "result.jsonl", source.items(), tmp_path, name=source.path.name)
    assert str(caught.value) == (
        'rows 12 and 40 of photos.csv both have the key "a"; keys name the records, so each must be its own'
    )
    assert os.listdir(tmp_path) == ["photos.csv"]


def test_a_table_of_an_earlier_run_is_an_input(tmp_path):
    rows = [{"key": "a", "image_path": f"{tmp_path}/in/a.jpg", "output_image_path": f"{tmp_path}/run/x/a.png"}]
    (tmp_path / "run" / "step").mkdir(parents=True)
    Table.write(tmp_path / "run" / "step" / "result.jsonl", rows, tmp_path / "run")
    assert items(tmp_path / "run" / "step" / "result.jsonl", image_key="image_path") == rows


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "txt"])
def test_a_reader_holds_a_bounded_part_of_its_input(tmp_path, suffix):
    with open(tmp_path / f"rows.{suffix}", "w") as file:
        file.write({"csv": "image\n", "json": "[", "jsonl": "", "txt": ""}[suffix])
        for row in range(20_000):
            name = f"{'long/' * 200}{row}.jpg"
            end = "," if suffix == "json" and row < 19_999 else ""
            file.write(f'{{"image": "{name}"}}{end}\n' if suffix in ("json", "jsonl") else name + "\n")
        file.write("]" if suffix == "json" else "")
    script = (
        "import resource, sys\n"
        "from shared.dataset import Source\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "items = Source(sys.argv[1]).items()\n"
        "for _ in range(100): next(items)\n"
        "before = peak()\n"
        "print(sum(1 for _ in items), peak() - before)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / f"rows.{suffix}")]
    count, grown = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout.split()
    assert int(count) == 19_900
    assert int(grown) < 8_000  # kB; the file has 20,000
