"""File names made of keys never leave their folder and never meet."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.files.names import LONGEST, file_name

awkward = st.sampled_from(
    ["", ".", "..", "/", "%", "%2E", "%_", "%~", ".json", "a", "A", "é", "\n", "\0", "\udcff", "x" * 300]
)
keys = st.one_of(st.text(min_size=1), st.lists(awkward, min_size=1, max_size=8).map("".join).filter(bool))


@given(keys)
def test_a_name_never_leaves_the_folder_and_fits_every_file_system(key):
    name = file_name(key, ".json")
    assert os.path.normpath(name) == name
    assert not os.path.isabs(name)
    parts = name.split("/")
    assert ".." not in parts
    assert "." not in parts
    assert "" not in parts
    assert all(len(part.encode()) <= LONGEST for part in parts)
    assert len(name.encode()) < 2000
    assert "\0" not in name
    assert "\n" not in name
    assert name.endswith(".json")


@given(st.lists(keys, unique=True, max_size=20), st.sampled_from([".json", "_output.png"]))
def test_no_two_keys_share_a_name_and_no_name_is_a_folder_of_another(many, ending):
    names = [file_name(key, ending) for key in many]
    assert len(set(names)) == len(names)
    folders = {parent for name in names for parent in map(str, Path(name).parents)}
    assert not folders & set(names)


@given(st.lists(keys, unique=True, max_size=6))
def test_every_name_can_be_made_on_disk_with_its_own_content(many):
    with tempfile.TemporaryDirectory() as folder:
        for key in many:
            path = Path(folder, file_name(key, ".json"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(key.encode("utf-8", "surrogatepass"))
        for key in many:
            assert Path(folder, file_name(key, ".json")).read_bytes() == key.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("indoor/a.jpg", "indoor/a.jpg.json"),
        ("../../etc/x", "%2E%2E/%2E%2E/etc/x.json"),
        ("/abs", "%_/abs.json"),
        ("a//b", "a/%_/b.json"),
        ("a/", "a/%_.json"),
        ("./a", "%2E/a.json"),
        ("..", "...json"),
        ("x.json/y", "x%2Ejson/y.json"),
        ("x", "x.json"),
        ("100%", "100%25.json"),
        ("new\nline", "new%0Aline.json"),
        ("nul\0", "nul%00.json"),
        ("-rf *", "-rf *.json"),
        ("\udcff.jpg", "%FF.jpg.json"),
        ("Schöne Straße", "Schöne Straße.json"),
    ],
)  # fmt: skip
def test_what_is_safe_stays_readable_and_what_is_not_is_escaped(key, name):
    assert file_name(key, ".json") == name


def test_a_name_that_is_too_long_keeps_its_beginning():
    first, second = file_name("a" * 250 + "1", ".json"), file_name("a" * 250 + "2", ".json")
    assert first[:200] == second[:200] == "a" * 200
    assert first != second
    assert len(first) == len(second) == LONGEST


def test_a_key_longer_than_any_path_still_has_a_name():
    assert len(file_name("/".join(["folder"] * 1000), ".json")) == 2 + 64 + len(".json")


def test_keys_that_differ_only_in_case_have_names_of_their_own():
    assert file_name("A.jpg", ".json") != file_name("a.jpg", ".json")


@pytest.mark.parametrize("ending", [".json", "_output.png"])
def test_a_folder_never_takes_the_name_of_a_file(ending):
    assert not (Path("/", file_name("a" + ending + "/b", ending)).is_relative_to(Path("/", file_name("a", ending))))


def test_a_folder_as_long_as_can_be_that_ends_like_a_record_fits():
    folder, name = file_name("a" * 250 + ".json/b", ".json").split("/")
    assert len(folder) <= LONGEST
    assert not folder.endswith(".json")
    assert name == "b.json"


def test_a_name_may_have_no_ending():
    assert file_name("a.b/../c", "") == "a.b/%2E%2E/c"
