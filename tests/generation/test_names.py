"""Images are called after the photograph that their item names, and no two of them alike."""

import pytest

from shared.files.table import Table
from shared.generation.names import generated_name, shared_stems, write_shared_stems


def names(tmp_path, *items: dict, suffix=".png"):
    Table.write(tmp_path / "result.jsonl", list(items), tmp_path)
    table = Table(tmp_path / "result.jsonl")
    write_shared_stems(table, tmp_path / ".shared_stems")
    shared = shared_stems(tmp_path / ".shared_stems")
    return [generated_name(item, shared, suffix) for item in table]


def test_an_image_is_called_after_its_item_s(tmp_path):
    items = (
        {"key": "cat-1a2b", "image_path": "/p/images/cat.jpg"},
        {"key": "v-1", "video_path": "/p/video1.mp4"},
        {"key": "t"},
    )
    assert names(tmp_path, *items) == [
        "generated_images/cat_generated.png", "generated_images/video1_generated.png", "generated_images/t_generated.png",
    ]  # fmt: skip


def test_two_items_with_one_stem_get_their_key_s_name(tmp_path):
    items = [{"key": key, "image_path": f"/p/{key}"} for key in ("a/cat.jpg", "b/cat.png", "b/dog.png")]
    assert names(tmp_path, *items, suffix=".jpg") == [
        "generated_images/a/cat.jpg_generated.jpg", "generated_images/b/cat.png_generated.jpg", "generated_images/dog_generated.jpg",
    ]  # fmt: skip


def test_a_key_that_is_another_s_stem_takes_no_name_from_it(tmp_path):
    items = [
        {"key": "cat", "image_path": "/p/x.jpg"},
        {"key": "2", "image_path": "/p/x.png"},
        {"key": "3", "image_path": "/p/cat.png"},
        {"key": "../../up"},
    ]
    found = names(tmp_path, *items)
    assert len(set(found)) == 4
    assert found[:3] == [f"generated_images/{name}_generated.png" for name in ("cat", "2", "3")]
    assert ".." not in found[3]


def test_photographs_inside_a_table_have_no_name_of_their_own(tmp_path):
    items = [{"key": f"row{n}", "image_path": "/p/all.parquet", "image_member": {"row": n}} for n in (1, 2)]
    assert names(tmp_path, *items) == [f"generated_images/row{n}_generated.png" for n in (1, 2)]


@pytest.mark.parametrize("number", [1, 2, 12])
def test_several_of_an_item_are_counted(number):
    ending = "" if number == 1 else f"_{number}"
    assert generated_name({"key": "a"}, (), ".png", number) == f"generated_images/a_generated{ending}.png"


def test_stems_are_looked_through_once_for_a_table(tmp_path, monkeypatch):
    names(tmp_path, {"key": "a"}, {"key": "b"})
    monkeypatch.setattr("shared.generation.names.stem_of", lambda item: pytest.fail("read again"))
    write_shared_stems(Table(tmp_path / "result.jsonl"), tmp_path / ".shared_stems")
