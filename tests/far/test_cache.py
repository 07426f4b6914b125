"""Copies of far files: within a limit, whole or absent, and shared."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.errors import FarError, ImageError
from shared.far import cache
from shared.far.cache import cache_folder, copy_of, keep_copy
from shared.far.reading import local_copy, read_far
from shared.far.store import FarState, state_of_file
from shared.images import read_bytes
from tests.web_server import photograph


def kept(name: str, size: int, time: float) -> None:
    path = keep_copy(f"s3://b/{name}", FarState(size, name), lambda part: Path(part).write_bytes(bytes(size)))
    os.utime(path, (time, time))


def there(names: str, size: int) -> str:
    return "".join(name for name in names if cache.place_of_copy(f"s3://b/{name}", FarState(size, name)).exists())


def test_what_was_used_longest_ago_goes_first(monkeypatch):
    monkeypatch.setenv("FAR_CACHE_GB", "1e-6")  # a thousand bytes
    for time, name in enumerate("abcd", 1):
        kept(name, 200, time)
    assert copy_of("s3://b/a", FarState(200, "a"))
    kept("e", 200, 5)
    assert there("abcde", 200) == "acde"
    kept("f", 900, 6)
    assert there("abcde", 200) == "" and there("f", 900) == "f"
    with pytest.raises(
        FarError, match=r"^s3://b/g has 1,001 bytes, more than FAR_CACHE_GB \(1e-06\); set a larger one, and"
    ):
        kept("g", 1001, 7)


def test_there_are_no_more_copies_than_a_number_and_parts_of_killed_processes_go_too(monkeypatch):
    monkeypatch.setattr(cache, "MOST_FILES", 10)
    left = cache_folder() / "ab" / "left.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a process that was killed")
    os.utime(left, (0, 0))
    for time, name in enumerate("abcdefghijkl", 1):
        kept(name, 1, time)
    assert not left.exists() and there("abcdefghijkl", 1) == "defghijkl"


def test_a_copy_that_could_not_be_written_whole_is_none():
    def torn(part: str) -> None:
        with open(part, "wb") as file:
            file.write(b"half")
        raise ConnectionResetError("of the test")

    with pytest.raises(FarError, match="cannot be kept in"):
        keep_copy("s3://b/a", FarState(8, "a"), torn)
    assert not list(cache_folder().glob("??/*"))


def test_a_cache_that_cannot_be_written_costs_photographs_nothing_and_tables_say_so(bucket, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    address = bucket.put("a.jpg", photograph(1))
    assert read_bytes(address) == photograph(1)
    with pytest.raises(
        FarError, match=f"^{address} cannot be kept in {tmp_path}/file/relight/far: .*XDG_CACHE_HOME names another"
    ):
        local_copy(address, state_of_file(address))


def test_many_who_want_one_file_fetch_it_once(bucket):
    address = bucket.put("a.tar", bytes(100_000))
    state = state_of_file(address)
    with ThreadPoolExecutor(8) as pool:
        places = set(pool.map(lambda _: local_copy(address, state), range(8)))
    assert len(places) == 1 and bucket.asked("GET", "a.tar") == 1


def test_a_limit_that_is_no_number_is_said_to_be(bucket, monkeypatch):
    monkeypatch.setenv("FAR_CACHE_GB", "much")
    address = bucket.put("a.jpg", photograph(1))
    with pytest.raises(ImageError, match=r"^FAR_CACHE_GB is 'much'; it is a number of gigabytes, as 20$"):
        read_bytes(address)
    monkeypatch.setenv("FAR_CACHE_GB", "0")
    assert read_far(address) == photograph(1)
    assert not list(cache_folder().glob("??/*"))
