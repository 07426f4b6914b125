import pytest
from pyarrow import parquet

from shared.hub.card import write_card
from shared.hub.parts import Parts, part_name
from tests.web_server import photograph

FIELDS = {"key": "key", "text": "vlm_caption", "width": "width"}


def rows(*numbers: int) -> list[dict]:
    return [{"key": f"k{number:03}", "vlm_caption": f"words {number}", "width": number} for number in numbers]


@pytest.fixture
def parts(tmp_path):
    return Parts(tmp_path / "data", FIELDS, {"width": "int"}, size=4)


def keys(paths) -> list[list[str]]:
    return [parquet.read_table(path)["key"].to_pylist() for path in paths]


def test_whole_parts_are_written_and_the_rest_waits_for_the_end(parts):
    assert keys(parts.add(rows(*range(10)), is_last=False)) == [
        ["k000", "k001", "k002", "k003"],
        ["k004", "k005", "k006", "k007"],
    ]
    written = {path: path.stat().st_mtime_ns for path in parts.paths()}
    assert parts.add(rows(*range(10)), is_last=False) == []
    assert keys(parts.add(rows(*range(10)), is_last=True)) == [["k008", "k009"]]
    assert parts.add(rows(*range(10)), is_last=True) == []
    assert {path: path.stat().st_mtime_ns for path in written} == written and parts.count() == 10


def test_what_comes_late_goes_into_a_part_of_its_own(parts):
    parts.add(rows(0, 1, 3, 4, 5), is_last=True)
    [late] = parts.add(rows(0, 1, 2, 3, 4, 5), is_last=True)
    assert keys([late]) == [["k002"]] and late.name == part_name("k002", "k002")


def test_names_say_the_range_and_are_for_every_file_system():
    name = part_name("a/b é", "z" * 100)
    assert name.startswith("a_b__--zzz") and len(name) < 150 and "/" not in name
    assert part_name("a/b", "c") != part_name("a_b", "c")


def test_types_stay_where_a_part_has_no_value(parts, tmp_path):
    parts.add([{"key": "a"}, {"key": "b", "vlm_caption": ["x"], "width": "7"}], is_last=True)
    parts.add([{"key": "c"}], is_last=True)
    schemas = [[str(field.type) for field in parquet.read_schema(path)] for path in parts.paths()]
    assert schemas == [["string", "string", "int64"]] * 2
    assert parquet.read_table(parts.paths()[0]).to_pylist()[1] == {"key": "b", "text": '["x"]', "width": 7}
    assert parts.write_all(tmp_path / "all.parquet", rows(1, 2)) == 2


def test_photographs_are_in_it_where_they_are_asked_for(tmp_path):
    datasets = pytest.importorskip("datasets")
    (tmp_path / "a.jpg").write_bytes(photograph(1))
    parts = Parts(tmp_path / "data", {"key": "key"}, {}, size=4, with_images=True)
    [path] = parts.add([{"key": "a", "image_path": str(tmp_path / "a.jpg")}], is_last=True)
    [row] = parquet.read_table(path).to_pylist()
    assert row == {"key": "a", "image": {"bytes": photograph(1), "path": "a.jpg"}}
    loaded = datasets.Dataset.from_parquet(str(path), cache_dir=str(tmp_path / "cache")).cast_column(
        "image", datasets.Image()
    )
    assert loaded[0]["image"].size == (48, 32)


def test_the_card_says_what_a_reader_has_to_know():
    values = {
        "license": "other", "title": "Recap", "rows": 12, "date": "2026-11-29", "failures": 3, "columns": FIELDS,
        "with_images": False, "model": "google/gemma-3-4b-it", "engine": "vllm", "sampling": "temperature 0.7",
        "prompts": ["Describe <this> image."], "source_license": "", "model_license": "Gemma Terms of Use",
    }  # fmt: skip
    card = write_card(values)
    assert card.startswith("---\nlicense: other\npretty_name: Recap\nconfigs:\n- config_name: default\n")
    for words in (
        "12 rows, of 2026-11-29",
        "3 items have none",
        "Describe <this> image.",
        "| `text` | `vlm_caption` |",
    ):
        assert words in card
    assert "Model: google/gemma-3-4b-it, by vllm" in card and "Source: unknown; see where" in card
