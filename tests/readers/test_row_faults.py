"""A row's fault is the row's: it fails by itself or is cleaned, and the other rows are read."""

import io
import json

import orjson
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet

from shared.containers import read_member
from shared.readers.mended_json import MendedJson
from shared.readers.plain import well_formed
from tests.readers.reading import items, written
from tests.run.small_runs import read_step_0

IMAGE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def write_parquet(folder, images: list, kind=IMAGE, **columns):
    table = pyarrow.table({"image": pyarrow.array(images, kind), **columns})
    parquet.write_table(table, folder / "x.parquet")
    return folder / "x.parquet"


def failures(found: list[dict]) -> dict[str, str]:
    return {item["key"]: item["unreadable"] for item in found if "unreadable" in item}


def test_a_null_photograph_in_a_table_without_keys_fails_alone(tmp_path):
    images = [{"bytes": b"1", "path": None}, {"bytes": b"2", "path": None}, None, {"bytes": b"3", "path": None}]
    found = items(write_parquet(tmp_path, images, text=["a", "b", "c", "d"]))
    assert [item["text"] for item in found] == ["a", "b", "c", "d"]
    assert failures(found) == {"row-3": f"row 3 of {tmp_path}/x.parquet has no photograph"}
    assert [read_member(item) for item in found if "unreadable" not in item] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("r.jsonl", '{"image":"a"}\n\n{"image":\n{"image":"b"}\n', "line 3 of r.jsonl is not JSON"),
        ("r.jsonl", '{"image":"a"}\n["b"]\n{"image":"b"}\n', "line 2 of r.jsonl is not a JSON object: \"['b']\""),
        ("r.json", '[{"image":"a"}, 7, {"image":"b"}]', "entry 2 of r.json is not a JSON object: '7'"),
        ("r.csv", "image,n\na,1\ny.jpg,1,2\nb,2\n", "line 3 of r.csv has 3 fields, not 2"),
        ("r.csv", 'image,n\n"a",1\ny.jpg\nb,2\n', "line 3 of r.csv has 1 fields, not 2"),
        ("r.csv", "key,image\nk1,a\n,y.jpg\nk2,b\n", 'row 2 of r.csv has nothing in "key"'),
    ],
)
def test_a_row_that_is_none_fails_alone(tmp_path, name, text, sentence):
    found = items(written(tmp_path, name, text))
    [(key, said)] = failures(found).items()
    assert key == "row-2" and said.startswith(sentence)
    assert [item["image_path"] for item in found if "unreadable" not in item] == [f"{tmp_path}/a", f"{tmp_path}/b"]


@pytest.mark.parametrize("name", ["r.json", "r.jsonl"])
def test_half_a_character_is_replaced(tmp_path, name):
    rows = [{"image": "a.jpg", "text": "cut \ud83d", "deep": {"a\udc00": ["\ud83d\ude00"]}}, {"image": "b\ud83d.jpg"}]
    text = json.dumps(rows) if name == "r.json" else "".join(json.dumps(row) + "\n" for row in rows)
    table = read_step_0(tmp_path / "run", written(tmp_path, name, text))
    assert (table[0]["text"], table[0]["deep"]) == ("cut \ufffd", {"a\ufffd": ["\U0001f600"]})
    if name == "r.jsonl":
        assert table[1]["unreadable"] == f"the path 'b\ufffd.jpg' in row 2 of {name} is no text; rename the file"


def test_not_a_number_in_json_is_null(tmp_path):
    rows = [{"image": "a", "n": float("nan"), "text": "NaN, -Infinity"}, {"image": "b", "n": [float("-inf"), 1.5]}]
    found = items(written(tmp_path, "r.json", json.dumps(rows)))
    assert [(item["n"], item.get("text")) for item in found] == [(None, "NaN, -Infinity"), ([None, 1.5], None)]


TEXTS = st.text(st.characters()) | st.sampled_from(
    ["NaN", '"NaN', "\\", '\\"', "Infinity\\", "\ud83d", "\udc00\\", "\\ud83d"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, st.integers(1, 40))
@settings(max_examples=500)
def test_whatever_python_writes_is_json_however_it_is_read(value, size):
    text = json.dumps(value)
    file = MendedJson(io.BytesIO(text.encode()))
    found = b"".join(iter(lambda: file.read(size), b"")).decode()
    expected = well_formed(json.dumps(json.loads(text, parse_constant=lambda _: None), ensure_ascii=False))
    assert json.dumps(orjson.loads(found), ensure_ascii=False) == json.dumps(json.loads(expected), ensure_ascii=False)


def test_stored_photographs_with_one_name_get_a_number(tmp_path):
    images = [{"bytes": bytes([row]), "path": "image.png"} for row in range(4)]
    said: list[str] = []
    table = read_step_0(tmp_path / "run", write_parquet(tmp_path, images), said.append)
    keys = [row["key"] for row in table]
    assert keys == [keys[0], *(f"{keys[0]}-{number}" for number in (2, 3, 4))] and keys[0].startswith("image-")
    assert [read_member(row) for row in table] == [bytes([row]) for row in range(4)]
    assert said[0] == f'3 items have the name of another, and a number behind it: "{keys[0]}-2"'


def test_a_key_that_was_given_stays_and_a_derived_one_gives_way(tmp_path):
    text = "image\na.jpg\na.jpg\nb.jpg\na.jpg\n"
    keys = [row["key"] for row in read_step_0(tmp_path / "run", written(tmp_path, "rows.csv", text))]
    assert keys == [keys[0], f"{keys[0]}-2", keys[2], f"{keys[0]}-3"]


@pytest.mark.parametrize(
    "kind",
    [
        pyarrow.binary_view(), pyarrow.large_binary(), pyarrow.binary(1),
        pyarrow.struct([("bytes", pyarrow.binary_view()), ("path", pyarrow.string_view())]),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_columns_of_every_kind_of_bytes_are_photographs(tmp_path, kind, form):
    is_struct = pyarrow.types.is_struct(kind)
    values = [{"bytes": bytes([row]), "path": f"{row}.png"} if is_struct else bytes([row]) for row in range(3)]
    texts = pyarrow.array(["a", None, "c"], pyarrow.string_view())
    table = pyarrow.table({"image": pyarrow.array(values, kind), "text": texts})
    path = tmp_path / f"x.{form}"
    (parquet.write_table if form == "parquet" else feather.write_feather)(table, path)
    found = items(path)
    assert [read_member(item) for item in found] == [bytes([row]) for row in range(3)]
    assert [item["text"] for item in found] == ["a", None, "c"]


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_dictionary_of_bytes_is_a_column_of_photographs(tmp_path, form):
    table = pyarrow.table({"image": pyarrow.array([b"1", b"2", b"1"]).dictionary_encode(), "key": ["a", "b", "c"]})
    path = tmp_path / f"x.{form}"
    (parquet.write_table if form == "parquet" else feather.write_feather)(table, path)
    assert [read_member(item) for item in items(path)] == [b"1", b"2", b"1"]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (",image,text\n0,a.jpg,b\n", {"Unnamed: 0": "0", "text": "b"}),
        ("image,text,\na.jpg,b,\n", {"text": "b", "Unnamed: 2": ""}),
        ("image;text\na.jpg;b,c\n", {"text": "b,c"}),
        ('image;text\na.jpg;"b;c"\n', {"text": "b;c"}),
        ("image\ttext\na.jpg\tb\n", {"text": "b"}),
        (" image , text \na.jpg,b\n", {"text": "b"}),
    ],
)
def test_tables_as_spreadsheets_and_pandas_write_them(tmp_path, text, fields):
    [item] = items(written(tmp_path, "rows.csv", text))
    assert item == {"key": item["key"], "image": "a.jpg", **fields, "image_path": f"{tmp_path}/a.jpg"}
