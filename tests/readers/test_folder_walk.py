"""The folder walk goes where photographs are, each place once, and names what it passes over."""

import os
from pathlib import Path

import pytest

from shared.dataset import Source
from shared.errors import DatasetError
from shared.files.step_folder import INPUT_FOLDER


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def walked(folder: Path) -> tuple[list[str], list[str]]:
    """The keys and what was said."""
    said: list[str] = []
    keys = [item["key"] for item in Source(str(folder)).items(said.append)]
    return keys, said


def close(monkeypatch, closed: Path) -> None:
    scandir = os.scandir

    def refuse(path):
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr("os.scandir", refuse)


def test_all_that_phones_and_browsers_call_a_photograph_is_taken(tmp_path):
    names = [f"a.{suffix}" for suffix in "JPG avif bmp gif heic heif jfif jp2 jpe jpeg jxl png tif tiff webp".split()]
    touch(tmp_path, *names)
    assert walked(tmp_path) == (names, [])


def test_what_is_passed_over_is_counted_and_named_by_kind(tmp_path):
    touch(
        tmp_path, "a.jpg", *[f"raw/{number}.CR2" for number in range(400)], *[f"{number}.mov" for number in range(12)]
    )
    touch(tmp_path, ".hidden.jpg", ".thumbnails/a.jpg")
    assert walked(tmp_path) == (["a.jpg"], [f"412 files passed over in {tmp_path}: 400 .CR2, 12 .mov"])


def test_of_many_kinds_the_most_frequent_are_named(tmp_path):
    touch(tmp_path, "a.jpg", "README", *[f"{kind}.x{kind}" for kind in range(8)], "b.x0")
    [said] = walked(tmp_path)[1]
    assert said.startswith(f"10 files passed over in {tmp_path}: 2 .x0, 1 ") and said.endswith(", 3 others")


def test_copies_and_thumbnails_of_other_programs_are_no_photographs(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/@eaDir/1.jpg", "b/@eaDir/2.jpg", "b/2.jpg", "#recycle/3.jpg", "lost+found/4.jpg")
    touch(tmp_path, "$RECYCLE.BIN/5.jpg", "__MACOSX/6.jpg", ".Trash-1000/7.jpg")
    keys, said = walked(tmp_path)
    assert keys == ["a/1.jpg", "b/2.jpg"]
    assert len(said) == 1 and said[0].startswith(f"passed over in {tmp_path}: the folders @eaDir (2 times), ")
    assert all(name in said[0] for name in ("#recycle", "lost+found", "$RECYCLE.BIN", "__MACOSX"))


def test_the_folder_of_a_run_is_not_walked_wherever_it_lies(tmp_path):
    touch(tmp_path, "a.jpg", "z/b.jpg")
    touch(tmp_path, f"z/run/{INPUT_FOLDER}/result.jsonl", "z/run/step_1_filter/thumbs/a.jpg", "z/run/dataset/a.png")
    assert walked(tmp_path) == (["a.jpg", "z/b.jpg"], [f"passed over in {tmp_path}: the folder z/run/ (of a run)"])


def test_a_run_among_its_own_photographs_leaves_its_steps_out(tmp_path):
    touch(tmp_path, "a.jpg", f"{INPUT_FOLDER}/result.jsonl", "step_2_degrade/degraded/a.jpg", "steps_up/b.jpg")
    assert walked(tmp_path)[0] == ["a.jpg", "steps_up/b.jpg"]


def test_a_closed_folder_is_one_line_and_the_others_are_read(tmp_path, monkeypatch):
    touch(tmp_path, "a.jpg", "closed/b.jpg", "open/c.jpg")
    close(monkeypatch, tmp_path / "closed")
    keys, said = walked(tmp_path)
    assert keys == ["a.jpg", "open/c.jpg"]
    assert said == [f"the folder {tmp_path}/closed and all below it are passed over: Permission denied"]


def test_an_input_that_is_itself_closed_is_an_error(tmp_path, monkeypatch):
    photographs = tmp_path / "photographs"
    touch(photographs, "a.jpg")
    monkeypatch.setattr("os.listdir", lambda _: ["a.jpg"])
    close(monkeypatch, photographs)
    with pytest.raises(DatasetError, match=f"the folder {photographs} cannot be read: Permission denied"):
        walked(photographs)


def test_a_folder_with_two_names_is_visited_once(tmp_path):
    touch(tmp_path, "photos/b/1.jpg", "outside/2.jpg")
    for name in ("photos/a", "photos/c"):
        (tmp_path / name).symlink_to(tmp_path / "outside")
    (tmp_path / "photos" / "d").symlink_to(tmp_path / "photos" / "b")
    assert walked(tmp_path / "photos")[0] == ["a/2.jpg", "b/1.jpg"]


@pytest.mark.parametrize("beside", ["old.tar", "labels.csv", "more.parquet", "notes.json"])
def test_a_table_or_an_archive_beside_photographs_does_not_hide_them(tmp_path, beside):
    touch(tmp_path, "a.jpg", "b/c.jpg", beside)
    keys, said = walked(tmp_path)
    assert keys == ["a.jpg", "b/c.jpg"]
    assert said == [f"1 file passed over in {tmp_path}: 1 {os.path.splitext(beside)[1]}"]
