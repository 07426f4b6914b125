"""Rows of photographs, of videos and of texts may stand in one table, in any of its forms."""

import csv
import json

import pytest

from shared.dataset import Source
from shared.errors import DatasetError

ROWS = [
    {"image": "image1.jpg", "text": "A cat sitting on a windowsill.", "n": 1},
    {"video": "video1.mp4", "text": "A timelapse of city traffic at night."},
    {"text": "A red house."},
    {"image": "", "video": None, "text": ""},
]


def items(path, **keys):
    return list(Source(str(path), **{"video_key": "video", "text_key": "text", **keys}).items())


def kinds(found):
    return [sorted(name for name in item if name.endswith("_path") or name == "unreadable") for item in found]


def write(tmp_path, suffix, rows):
    path = tmp_path / f"rows{suffix}"
    if suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif suffix == ".json":
        path.write_text(json.dumps(rows))
    elif suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet as pq

        pq.write_table(
            pa.Table.from_pylist(rows, pa.schema([(name, pa.string()) for name in ("image", "video", "text")])), path
        )
    else:
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, ["image", "video", "text", "n"], delimiter="\t" if suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".tsv", ".parquet"])
def test_a_row_is_what_it_names(tmp_path, suffix):
    rows = ROWS if suffix != ".parquet" else [{k: v for k, v in row.items() if k != "n"} for row in ROWS]
    found = items(write(tmp_path, suffix, rows))
    assert kinds(found) == [["image_path"], ["video_path"], [], ["unreadable"]]
    assert found[0]["image_path"] == str(tmp_path / "image1.jpg")
    assert found[1]["video_path"] == str(tmp_path / "video1.mp4")
    assert found[1]["key"].startswith("video1-") and found[2]["text"] == "A red house."
    assert found[3]["unreadable"] == f'row 4 of rows{suffix} has nothing in "image" or "video" or "text"'


def test_the_keys_are_those_of_the_config_and_the_folder_is_its_meta_folder(tmp_path):
    (tmp_path / "media").mkdir()
    path = write(tmp_path, ".jsonl", [{"clip": "a.mp4", "words": "b"}])
    [item] = items(path, video_key="clip", text_key="words", meta_folder=str(tmp_path / "media"))
    assert item["video_path"] == str(tmp_path / "media" / "a.mp4")
    assert item["words"] == "b"


def test_a_table_without_any_of_the_columns_is_told_what_it_has(tmp_path):
    path = write(tmp_path, ".csv", [{"text": "a"}])
    with pytest.raises(DatasetError) as caught:
        items(path, image_key="img", video_key="vid", text_key="txt")
    assert str(caught.value) == (
        f'no column "img" and no "vid" and no "txt" in {path}; did you mean "image"? (image, video, text, n)'
    )


def test_without_these_keys_a_row_without_a_photograph_fails_as_before(tmp_path):
    [first, second, *_] = list(Source(str(write(tmp_path, ".jsonl", ROWS))).items())
    assert "image_path" in first and second["unreadable"] == 'row 2 of rows.jsonl has no path in "image"'
