"""Columns of declared tables: their types, as they are declared or as their values have them."""

import pyarrow as arrow
import pytest
from pyarrow import parquet

from shared.exports import formats
from shared.exports.column_types import typed
from shared.exports.formats import write_rows


def write(folder, rows, types=None, ending="parquet", **fields):
    path = folder / f"table.{ending}"
    count, remarks = write_rows(path, fields or {name: name for name in rows[0]}, types or {}, rows, None)
    assert count == len(rows)
    return path, remarks


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("512", "int", 512), (" 512 ", "int", 512), ("512.0", "int", 512), (512.0, "int", 512), (True, "int", 1),
        ("9007199254740993", "int", 9007199254740993), ("-3", "int", -3), ("", "int", None), (None, "int", None),
        ("0.25", "float", 0.25), (3, "float", 3.0), ("1e3", "float", 1000.0), (float("nan"), "float", None),
        ("true", "bool", True), ("No", "bool", False), (0, "bool", False), (True, "bool", True), ("", "bool", None),
        (512, "str", "512"), ("a", "str", "a"), ("", "str", ""), ([1, "ä"], "str", '[1, "ä"]'), (True, "str", "true"),
    ],
)  # fmt: skip
def test_values_become_what_their_column_declares(value, kind, expected):
    found = typed(value, kind)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "kind"),
    [("many", "int"), (1.5, "int"), ("1.5", "int"), (1 << 63, "int"), ("inf", "float"), ([1], "float"), ("perhaps", "bool"), (2, "bool")],
)  # fmt: skip
def test_a_value_that_is_no_such_is_refused(value, kind):
    with pytest.raises((ValueError, TypeError)):
        typed(value, kind)


@pytest.mark.parametrize("ending", ["parquet", "csv", "json", "jsonl"])
def test_a_value_that_does_not_fit_costs_itself_and_is_said(tmp_path, ending):
    rows = [{"width": "512"}, {"width": "wide"}, {"width": None}, {"width": "?"}]
    path, remarks = write(tmp_path, rows, {"width": "int"}, ending)
    assert remarks == ["2 values of width are no int and stay empty, as 'wide'"]
    expected = {"csv": 'width\n512\n""\n""\n""\n', "jsonl": '{"width": 512}\n' + '{"width": null}\n' * 3}
    if ending == "parquet":
        table = parquet.read_table(path)
        assert table.schema.types == [arrow.int64()]
        assert table["width"].to_pylist() == [512, None, None, None]
    elif ending in expected:
        assert path.read_text() == expected[ending]


def test_two_columns_of_one_field_may_have_two_types(tmp_path):
    path, _ = write(tmp_path, [{"width": "5"}], {"number": "int"}, number="width", text="width")
    assert parquet.read_table(path).to_pylist() == [{"number": 5, "text": "5"}]


def test_a_column_has_the_type_of_all_its_values_wherever_the_first_one_is(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "ROWS_AT_ONCE", 2)
    rows = [
        {"late": None, "never": None, "grows": 1, "mixed": 1, "list": [], "light": {"cct": 1}},
        {"late": None, "never": None, "grows": 2, "mixed": 2, "list": [], "light": None},
        {"late": 3, "never": None, "grows": 0.5, "mixed": "n/a", "list": ["a"], "light": {"cct": 2.5, "key": "low"}},
    ]
    path, remarks = write(tmp_path, rows)
    table = parquet.read_table(path)
    types = dict(zip(table.schema.names, table.schema.types, strict=True))
    assert (types["late"], types["never"], types["grows"]) == (arrow.int64(), arrow.string(), arrow.float64())
    assert table["late"].to_pylist() == [None, None, 3]
    assert table["grows"].to_pylist() == [1.0, 2.0, 0.5]
    assert (types["mixed"], table["mixed"].to_pylist()) == (arrow.string(), ["1", "2", "n/a"])
    assert table["list"].to_pylist() == [[], [], ["a"]]
    assert table["light"].to_pylist() == [{"cct": 1.0, "key": None}, None, {"cct": 2.5, "key": "low"}]
    assert remarks == []


def test_one_odd_value_among_many_of_a_group_makes_text_of_the_column(tmp_path):
    path, _ = write(tmp_path, [{"a": 1 << 70}, {"a": 5}, {"a": [1]}])
    assert parquet.read_table(path)["a"].to_pylist() == [str(1 << 70), "5", "[1]"]


def test_a_declared_column_without_values_has_its_type_and_a_table_without_rows_its_columns(tmp_path):
    path, _ = write(tmp_path, [{"width": None}], {"width": "int"})
    assert parquet.read_schema(path).types == [arrow.int64()]
    assert write_rows(path, {"width": "width", "name": "name"}, {"width": "float"}, [], None) == (0, [])
    assert parquet.read_schema(path).types == [arrow.float64(), arrow.string()]
