"""Lists of texts, and JSON of any form."""

import json

import pytest

from shared.dataset import DatasetError
from shared.files.table import Table
from tests.readers.reading import items, key, written


def test_a_list_of_paths_has_one_in_each_line(tmp_path):
    path = written(tmp_path, "rows.txt", "\ufeffa b.jpg\n\n/abs/c.jpg\r\n")
    assert items(path) == [
        {"key": key("a b.jpg"), "image": "a b.jpg", "image_path": f"{tmp_path}/a b.jpg"},
        {"key": key("/abs/c.jpg"), "image": "/abs/c.jpg", "image_path": "/abs/c.jpg"},
    ]


def test_a_list_without_photographs_has_one_text_in_each_line(tmp_path):
    found = items(written(tmp_path, "rows.txt", "a red house\na blue house\n"), image_key=None)
    assert [row["text"] for row in found] == ["a red house", "a blue house"]
    assert len({row["key"] for row in found}) == 2
    assert "image_path" not in found[0]


def test_numbers_in_braces_are_counted_out_in_texts_and_in_no_path(tmp_path):
    path = written(tmp_path, "rows.txt", "scene-{08..10} red\n{a..b}\n")
    found = items(path, image_key=None, key_column="text")
    assert [row["key"] for row in found] == ["scene-08 red", "scene-09 red", "scene-10 red", "{a..b}"]
    assert [row["image"] for row in items(path)] == ["scene-{08..10} red", "{a..b}"]


ROWS = [
    {"image": "a.jpg", "n": 1, "deep": {"x": [1.5, None, "ü"]}},
    {"image": "b/c.jpg", "n": 12345678901, "ok": True},
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.json", json.dumps(ROWS)),
        (
            "rows.json",
            "\ufeff \n" + json.dumps({"about": [1, {"data": 2}], "data": ROWS, "more": {"data": []}}),
        ),
        ("rows.JSON", json.dumps(ROWS, indent=1, ensure_ascii=False)),
        ("rows.jsonl", "\n".join(map(json.dumps, ROWS))),
        ("rows.jsonl", "\ufeff\r\n" + "\r\n\r\n".join(map(json.dumps, ROWS)) + "\r\n"),
        ("rows.ndjson", "\n".join(map(json.dumps, ROWS)) + "\n"),
    ],
)
def test_json_of_any_form_gives_the_same_items(tmp_path, name, text):
    assert items(written(tmp_path, name, text)) == [
        {"key": key("a.jpg"), **ROWS[0], "image_path": f"{tmp_path}/a.jpg"},
        {"key": key("b/c.jpg"), **ROWS[1], "image_path": f"{tmp_path}/b/c.jpg"},
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("r.jsonl", '\n{"image":\n', "line 2 of r.jsonl is not JSON"),
        ("r.jsonl", '["a"]\n["b"]\n', "line 1 of r.jsonl is not a JSON object"),
        ("r.jsonl", '{"photo":"a"}\n', 'no column "image" in {folder}/r.jsonl; there are (photo)'),
        ("r.json", '[{"image":"a"},', "r.json is not JSON after entry 1"),
        ("r.json", '[{"image":"a"}] x', "r.json is not JSON after entry 1"),
        ("r.json", '{"data": [{"image":"a"}', "r.json is not JSON after entry 1"),
        ("r.json", '["a.jpg"]', "entry 1 of r.json is not a JSON object"),
        ("r.json", '"a"', 'r.json is not a list of objects, or {{"data": [...]}}'),
        ("r.json", "", 'r.json is not a list of objects, or {{"data": [...]}}'),
        (
            "r.json",
            '{"rows": []}',
            "r.json is an object of 'rows'; what is read is a list of objects: jq .rows r.json > ",
        ),
        ("r.json", '{"data": []}', "there is nothing in {folder}/r.json"),
        ("r.json", "{}", "r.json is an object of nothing"),
        (
            "r.json",
            '{"info": {}, "licenses": [], "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}',
            "r.json is an object of 'info', 'licenses', 'images', 'annotations', as COCO has it; take the list: "
            "jq .images r.json > images.json, with image_key: file_name",
        ),
        (
            "r.json",
            '{"image": {"0": "a.jpg"}, "text": {"0": "b"}}',
            "r.json is an object of 'image', 'text', as pandas writes it by columns; what is read is a list of objects: "
            'to_json(..., orient="records")',
        ),
    ],
)
def test_a_wrong_json_is_refused_with_its_place(tmp_path, name, text, sentence):
    with pytest.raises(DatasetError) as caught:
        items(written(tmp_path, name, text))
    assert str(caught.value).startswith(sentence.format(folder=tmp_path))
    assert "\n" not in str(caught.value)


def test_an_object_without_a_photograph_among_others_fails_alone(tmp_path):
    found = items(written(tmp_path, "rows.jsonl", '{"image":"a.jpg"}\n{"text":"b"}\n{"image":7}\n'))
    assert [row.get("unreadable") for row in found] == [
        None,
        'row 2 of rows.jsonl has no path in "image"',
        'row 3 of rows.jsonl has no path in "image"',
    ]


def test_numbers_that_json_has_not_become_null_or_digits(tmp_path):
    text = '{"image":"a.jpg","x":NaN,"y":-Infinity,"z":123456789012345678901234567890,"unreadable":"no"}'
    found = items(written(tmp_path, "rows.jsonl", text))
    assert found[0]["x"] is None
    assert found[0]["y"] is None
    assert "unreadable" not in found[0]
    table = Table.write(tmp_path / "t", found, tmp_path)
    assert table[0]["image_path"] == f"{tmp_path}/a.jpg"
