"""Shards cover every item once; an input is found, named and known again when it has changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.dataset import DatasetError, IndexedDataset, Source
from tests.conftest import ROOT


@given(st.integers(0, 500), st.integers(1, 70))
def test_shards_cover_everything_once_and_differ_by_at_most_one(total, world_size):
    shards = [IndexedDataset.shard(range(total), rank, world_size) for rank in range(world_size)]
    assert [item for shard in shards for item in shard] == list(range(total))
    sizes = [len(shard) for shard in shards]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(), max_size=20), st.data())
def test_a_slice_of_a_dataset_is_what_a_slice_of_a_list_is(values, data):
    start = data.draw(st.integers(0, len(values)))
    stop = data.draw(st.integers(start, len(values)))
    part, expected = IndexedDataset(values, start, stop), values[start:stop]
    assert (list(part), len(part)) == (expected, len(expected))
    assert [part[place] for place in range(-len(part), len(part))] == expected + expected
    low, high = data.draw(st.integers(-25, 25)), data.draw(st.integers(-25, 25))
    assert list(part[low:high]) == expected[low:high]


@pytest.mark.parametrize("bounds", [(-1, 2), (0, 4), (2, 1), (4, 4)])
def test_a_slice_outside_the_source_is_refused(bounds):
    with pytest.raises(ValueError, match=f"no items {bounds[0]} to {bounds[1]} in a dataset of 3"):
        IndexedDataset("abc", *bounds)


@pytest.mark.parametrize("place", [2, -3])
def test_a_place_outside_the_slice_is_an_index_error(place):
    with pytest.raises(IndexError):
        IndexedDataset("abcd", 1, 3)[place]


def test_a_slice_with_steps_is_refused():
    with pytest.raises(ValueError, match="contiguous"):
        IndexedDataset("abcd", 0, 4)[::2]


@pytest.mark.parametrize(("rank", "world_size"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_the_world_is_refused(rank, world_size):
    with pytest.raises(ValueError, match=f"no rank {rank} among {world_size} workers"):
        IndexedDataset.shard("abcd", rank, world_size)


def photographs(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"not looked at")
    return folder


def test_an_input_is_found_from_the_config_from_here_and_absolute(tmp_path, monkeypatch):
    photographs(tmp_path / "configs", "samples/a.jpg")
    photographs(tmp_path / "here", "mine/b.jpg", "samples/another.jpg")
    monkeypatch.chdir(tmp_path / "here")
    configs = tmp_path / "configs"
    found = [
        [item["image_path"] for item in Source(name, config_folder=configs).items()]
        for name in ("samples", "mine", f"{configs}/samples")
    ]
    sample, mine = f"{configs}/samples/a.jpg", f"{tmp_path}/here/mine/b.jpg"
    assert found == [[sample], [mine], [sample]]


def test_a_missing_input_names_both_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError) as caught:
        Source("photos", config_folder="configs").items()
    assert str(caught.value) == f"there is no {tmp_path}/configs/photos and no {tmp_path}/photos"
    with pytest.raises(DatasetError) as caught:
        Source("/no/photos", config_folder="configs").items()
    assert str(caught.value) == "there is no /no/photos"


def test_an_input_without_items_is_an_error_in_one_sentence(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    with pytest.raises(DatasetError) as caught:
        list(Source(str(tmp_path / "photos")).items())
    assert str(caught.value) == (
        f"the folder {tmp_path}/photos holds no photographs; looked for "
        ".jpg, .jpeg, .jpe, .jfif, .png, .webp, .tif, .tiff, .bmp, .gif, .avif, .heic, .heif, .jp2, .j2k, .jxl, "
        ".tar, .arrow, .parquet"
    )
    (tmp_path / "rows.csv").write_text("image\n")
    with pytest.raises(DatasetError, match=f"there is nothing in {tmp_path}/rows.csv"):
        list(Source(str(tmp_path / "rows.csv")).items())


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("photos.tar.gz", "photos.tar.gz is compressed; unpack it first"),
        ("photos.TGZ", "photos.TGZ is compressed; unpack it first"),
        ("rows.xlsx", "rows.xlsx is of no kind we read: a folder, .csv, .tsv, .json"),
    ],
)
def test_an_unknown_kind_of_input_is_refused_at_once(tmp_path, name, sentence):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(DatasetError, match=sentence):
        Source(str(tmp_path / name)).items()


def test_the_digest_of_a_folder_is_its_names_and_nothing_else(tmp_path):
    one = Source(str(photographs(tmp_path / "one", "b.jpg", "a/c.png")))
    two = Source(str(photographs(tmp_path / "two", "a/c.png", "b.jpg", "notes.txt", ".hidden.jpg")))
    assert one.digest() == two.digest()
    (tmp_path / "one" / "b.jpg").write_bytes(b"longer than before")
    os.utime(tmp_path / "one" / "b.jpg", ns=(1, 1))
    assert one.digest() == two.digest()
    photographs(tmp_path / "two", "d.jpg")
    assert one.digest() != two.digest()


@pytest.mark.parametrize("name", ["rows.csv", "shards/0.tar", "parts/0.parquet"])
def test_the_digest_of_a_file_or_its_folder_sees_size_time_and_new_files(tmp_path, name):
    file = photographs(tmp_path, name) / name
    source = Source(str(file if file.parent == tmp_path else file.parent))
    os.utime(file, ns=(10**18, 10**18))
    digests = [source.digest(), source.digest()]
    os.utime(file, ns=(10**18, 10**18 + 1))
    digests.append(source.digest())
    file.write_bytes(b"another size")
    os.utime(file, ns=(10**18, 10**18 + 1))
    digests.append(source.digest())
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
    if file.parent != tmp_path:
        photographs(file.parent, "1" + file.suffix)
        assert source.digest() not in digests


def test_importing_the_readers_loads_no_heavy_library():
    script = (
        "import sys, shared.dataset, shared.files.table\n"
        "print(sorted({'pyarrow', 'pandas', 'ijson', 'PIL', 'torch', 'cv2'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, check=True, text=True)
    assert loaded.stdout == "[]\n"
