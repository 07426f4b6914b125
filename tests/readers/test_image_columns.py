"""Items with several images, out of every kind of input, and folders in the forms of the datasets library."""

import csv
import io
import json
import tarfile
from pathlib import Path

import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from shared.dataset import DatasetError, Source
from shared.files.table import Table
from shared.images import image_of, open_image
from shared.run.config import load_config
from shared.run.run import Run

BOTH = ["edited_image", "input_image"]
RED, BLUE = (250, 0, 0), (0, 0, 250)


def png(colour) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(file, "PNG")
    return file.getvalue()


def write_image(path: Path, colour) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(colour))
    return str(path)


def lines(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def colours(item: dict, *fields: str) -> list:
    return [open_image(image_of(item, field)).getpixel((0, 0)) for field in fields]


def make_tar(folder: Path) -> Path:
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name, data in (("k.edited_image.png", png(RED)), ("k.input_image.png", png(BLUE)), ("k.txt", b"warm")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return folder / "a.tar"


def make_parquet(folder: Path) -> Path:
    images = {
        column: [{"bytes": png(colour), "path": "k.png"}] for column, colour in zip(BOTH, (RED, BLUE), strict=True)
    }
    parquet.write_table(pyarrow.table({**images, "key": ["k"]}), folder / "a.parquet")
    return folder / "a.parquet"


def make_mixed_parquet(folder: Path) -> Path:
    """One column of bytes, one of paths."""
    write_image(folder / "in.png", BLUE)
    parquet.write_table(pyarrow.table({"edited_image": [png(RED)], "input_image": ["in.png"]}), folder / "m.parquet")
    return folder / "m.parquet"


def make_csv(folder: Path) -> Path:
    write_image(folder / "out.png", RED)
    write_image(folder / "in.png", BLUE)
    with open(folder / "a.csv", "w", newline="") as file:
        csv.writer(file).writerows([["key", *BOTH], ["k", "out.png", "in.png"]])
    return folder / "a.csv"


def make_json_lines(folder: Path) -> Path:
    write_image(folder / "out.png", RED)
    return lines(folder / "a.jsonl", [{"edited_image": "out.png", "input_image": write_image(folder / "in.png", BLUE)}])


def make_image_folder(folder: Path) -> Path:
    write_image(folder / "out.png", RED)
    write_image(folder / "in.png", BLUE)
    lines(folder / "metadata.jsonl", [{"edited_image_file_name": "out.png", "input_image_file_name": "in.png"}])
    return folder


@pytest.mark.parametrize(
    "make", [make_tar, make_parquet, make_mixed_parquet, make_csv, make_json_lines, make_image_folder]
)
def test_every_input_gives_each_image_its_fields(tmp_path, make):
    [item] = Source(str(make(tmp_path)), image_key=BOTH).items()
    assert colours(item, "image_path", "input_image_path") == [RED, BLUE]
    [other_way] = Source(str(make(tmp_path)), image_key=BOTH[::-1]).items()
    assert colours(other_way, "image_path", "edited_image_path") == [BLUE, RED]


def test_a_string_and_a_list_of_one_are_the_same(tmp_path):
    path = str(make_csv(tmp_path))
    assert list(Source(path, image_key=["edited_image"]).items()) == list(
        Source(path, image_key="edited_image").items()
    )


@pytest.mark.parametrize("make", [make_parquet, make_csv, make_json_lines, make_image_folder])
def test_a_missing_column_is_one_error_that_names_the_nearest(tmp_path, make):
    with pytest.raises(DatasetError) as caught:
        list(Source(str(make(tmp_path)), image_key=["edited_image", "input_imag"]).items())
    assert 'no column "input_imag" in ' in str(caught.value) and 'did you mean "input_image"?' in str(caught.value)


def test_what_has_one_image_for_an_item_says_so(tmp_path):
    write_image(tmp_path / "a" / "1.png", RED)
    with pytest.raises(DatasetError, match=r'no column "input_image" in .*: it is a folder of photographs'):
        list(Source(str(tmp_path / "a"), image_key=BOTH).items())
    (tmp_path / "list.txt").write_text("a/1.png\n")
    with pytest.raises(DatasetError, match='no column "input_image" in'):
        list(Source(str(tmp_path / "list.txt"), image_key=BOTH).items())


@pytest.mark.parametrize("place", [0, 1])
def test_one_bad_path_makes_the_item_unreadable(tmp_path, place):
    row = {"edited_image": "a.png", "input_image": "b.png"} | {BOTH[place]: "../../x.png"}
    [item] = Source(str(lines(tmp_path / "a.jsonl", [row])), image_key=BOTH).items()
    assert item["unreadable"].startswith("the path ../../x.png leaves the folder ")
    assert "image_path" not in item and "input_image_path" not in item


def test_a_tar_group_that_lacks_an_image_is_unreadable(tmp_path):
    [item] = Source(str(make_tar(tmp_path)), image_key=["edited_image", "mask"]).items()
    assert item["unreadable"] == 'k in a.tar has no image "mask", but edited_image.png, input_image.png'


def test_another_list_of_images_is_another_input(tmp_path):
    path = make_csv(tmp_path)
    config = tmp_path / "run.yaml"
    text = f"meta_path: {path}\nimage_key: {{}}\nsteps:\n  - type: template\n"
    from shared.errors import RunError
    from shared.run.advance import check_changes, read_input

    said: list[str] = []
    config.write_text(text.format("[edited_image, input_image]"))
    run = Run(load_config(config), tmp_path / "run")
    read_input(run, said.append, None)
    [row] = Table(run.input.result_path)
    assert colours(row, "image_path", "input_image_path") == [RED, BLUE]
    check_changes(run, "error", said.append)  # the list that it was is no change
    config.write_text(text.format("[edited_image]"))
    with pytest.raises(RunError, match=r'image_key: \["edited_image"\] was \["edited_image", "input_image"\]'):
        check_changes(Run(load_config(config), tmp_path / "run"), "error", said.append)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_an_image_folder_is_read_by_its_metadata_split_by_split(tmp_path, ending):
    for name, colour in (("test", RED), ("train", BLUE), ("valid", RED)):
        write_image(tmp_path / name / "images" / "1.png", colour)
        rows = [{"file_name": "images/1.png", "text": f"words of {name}"}]
        path = tmp_path / name / f"metadata.{ending}"
        if ending == "jsonl":
            lines(path, rows)
        elif ending == "parquet":
            parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_text(f"file_name,text\nimages/1.png,words of {name}\n")
    assert list(Source(str(tmp_path)).items()) == [
        {
            "key": f"{name}/images/1.png",
            "image": f"{name}/images/1.png",
            "image_path": f"{tmp_path}/{name}/images/1.png",
            "text": f"words of {name}",
            "split": split,
        }
        for name, split in (("train", "train"), ("valid", "val"), ("test", "test"))
    ]


def test_an_image_folder_keeps_the_keys_that_it_has_and_leaves_itself_for_no_path(tmp_path):
    rows = [{"file_name": "a.png", "key": "mine"}, {"file_name": "../a.png", "key": "out"}]
    lines(tmp_path / "metadata.jsonl", rows)
    first, second = Source(str(tmp_path)).items()
    assert (first["key"], first["image_path"]) == ("mine", f"{tmp_path}/a.png")
    assert (second["key"], second["unreadable"]) == ("out", f"the path ../a.png leaves the folder {tmp_path}")


@pytest.mark.parametrize("text", ["", "{", '{"video": "a.png", "prompt": "x"}\n', "[1]\n"])
def test_photographs_beside_another_metadata_file_are_a_plain_folder(tmp_path, text):
    write_image(tmp_path / "a.png", RED)
    (tmp_path / "metadata.jsonl").write_text(text)
    assert list(Source(str(tmp_path)).items()) == [{"key": "a.png", "image_path": f"{tmp_path}/a.png"}]


def test_the_digest_of_an_image_folder_sees_its_metadata_and_its_images(tmp_path):
    make_image_folder(tmp_path)
    digests = [Source(str(tmp_path)).digest()]
    with open(tmp_path / "metadata.jsonl", "a") as file:
        file.write('{"edited_image_file_name": "x.png", "input_image_file_name": "in.png"}\n')
    digests.append(Source(str(tmp_path)).digest())
    write_image(tmp_path / "x.png", RED)
    digests.append(Source(str(tmp_path)).digest())
    assert len(set(digests)) == 3


@pytest.mark.parametrize("folder", ["", "data"])
def test_parquet_files_give_the_split_that_their_names_say(tmp_path, folder):
    place = tmp_path / folder
    place.mkdir(exist_ok=True)
    names = (
        "extra",
        "test-00000-of-00001",
        "train-00000-of-00002",
        "train-00001-of-00002",
        "validation-00000-of-00001",
    )
    for name in names:
        parquet.write_table(pyarrow.table({"key": [name], "image": ["a.png"]}), place / f"{name}.parquet")
    assert [(item["key"], item.get("split")) for item in Source(str(tmp_path)).items()] == [
        ("train-00000-of-00002", "train"),
        ("train-00001-of-00002", "train"),
        ("validation-00000-of-00001", "val"),
        ("test-00000-of-00001", "test"),
        ("extra", None),
    ]
