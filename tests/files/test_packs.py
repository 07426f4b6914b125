"""Lines of packs are whole or absent, however their writer ended, and found again."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from shared.files.pack import LINE_ENTRY, NO_ROW, Pack, PackReader, index_of
from shared.files.pack_writer import Line, PackWriter, mend, rewrite
from shared.seeding import name_hash

PIXELS = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
AWKWARD = ["a", "indoor/a.jpg", "../x", "100%", "new\nline", "long" * 100, "a//b", "é", "x.json/y", "x", '"', " "]


@pytest.fixture
def pack(tmp_path):
    return Pack(tmp_path / "packed" / "records", tmp_path)


def line(key: str, row: int = NO_ROW, **more) -> Line:
    return Line(name_hash(key), row, orjson.dumps({"key": key, **more}, option=orjson.OPT_APPEND_NEWLINE))


def write(pack: Pack, *keys: str, name: str = "0") -> None:
    writer = PackWriter(pack, name)
    writer.append([line(key) for key in keys])
    writer.close()


def keys(pack: Pack) -> list[str]:
    return [orjson.loads(one)["key"] for one in pack.each()]


def test_lines_are_appended_in_groups_and_each_file_has_its_share(pack, monkeypatch):
    monkeypatch.setattr(Pack, "lines_of_a_file", 3)
    writer = PackWriter(pack, "0")
    for group in ("ab", "c", "de", "f", "g"):
        writer.append([line(key) for key in group])
    writer.append([])
    writer.close()
    assert [path.name for path in pack.files()] == ["0-0.jsonl", "0-1.jsonl", "0-2.jsonl"]
    assert pack.files()[0].read_text() == '{"key":"a"}\n{"key":"b"}\n{"key":"c"}\n'
    assert keys(pack) == list("abcdefg")
    assert sorted(pack.hashes().tolist()) == sorted(map(name_hash, "abcdefg"))


def test_a_later_writer_of_that_name_goes_on_where_the_file_has_room(pack, monkeypatch):
    monkeypatch.setattr(Pack, "lines_of_a_file", 3)
    for key in "abcde":
        write(pack, key)
    write(pack, "x", name="1")
    assert [path.name for path in pack.files()] == ["0-0.jsonl", "0-1.jsonl", "1-0.jsonl"]
    assert keys(pack) == list("abcdex")


def test_a_reader_gets_each_line_once_as_they_come(pack):
    reader, writer, other = PackReader(pack), PackWriter(pack, "0"), PackWriter(pack, "12")
    seen = []
    for group in ("a", "bc", "", "d"):
        writer.append([line(key) for key in group])
        other.append([line(key.upper()) for key in group])
        seen.append(sorted(int(digest) for lines in reader.new() for digest in lines.entries["hash"]))
    assert seen == [sorted(map(name_hash, group + group.upper())) for group in ("a", "bc", "", "d")]


@pytest.mark.parametrize("rest", [b'{"key":"b', b"\0" * 40, b"{", b'{"key":"b"}'])
def test_what_a_dead_writer_left_half_written_is_no_line_and_goes_with_the_next(pack, rest):
    write(pack, "a")
    [path] = pack.files()
    with open(path, "ab") as file:
        file.write(rest)
    with open(index_of(path), "ab") as file:  # the index says it too early
        file.write(np.array([(name_hash("b"), 1, 12)], LINE_ENTRY).tobytes())
    assert keys(pack) == ["a"]
    write(pack, "c")
    assert path.read_text() == '{"key":"a"}\n{"key":"c"}\n'
    assert keys(pack) == ["a", "c"]
    assert pack.hashes().tolist() == [name_hash("a"), name_hash("c")]


@pytest.mark.parametrize("left", ["gone", "empty", "short", "cut", "zeros", "long"])
def test_an_index_that_a_power_failure_spoiled_is_made_up_for_from_the_lines(pack, left):
    write(pack, "a", "b", "c")
    [path] = pack.files()
    index = index_of(path).read_bytes()
    if left == "gone":
        index_of(path).unlink()
    else:
        spoiled = {
            "empty": b"",
            "short": index[:16],
            "cut": index[:37],
            "zeros": index[:16] + bytes(32),
            "long": index * 2,
        }
        index_of(path).write_bytes(spoiled[left])
    assert keys(pack) == ["a", "b", "c"]
    assert pack.hashes().tolist() == list(map(name_hash, "abc"))
    write(pack, "d")
    assert index_of(path).read_bytes()[::16] and len(index_of(path).read_bytes()) == 4 * LINE_ENTRY.itemsize
    assert pack.hashes().tolist() == list(map(name_hash, "abcd"))


def test_a_hole_in_the_middle_is_a_line_of_nobody(pack):
    write(pack, "a")
    [path] = pack.files()
    with open(path, "ab") as file:
        file.write(b"\0" * 20 + b'ey":"b"}\n{"key":"c"}\n')
    assert mend(path) == 3
    assert keys(pack) == ["a", "c"]


def test_writing_a_pack_anew_holds_exactly_the_lines_that_are_given(pack):
    write(pack, *"abc")
    write(pack, *"de", name="1")
    rewrite(pack, [(name_hash(orjson.loads(one)["key"]), one) for one in pack.each() if b"c" not in one])
    assert sorted(keys(pack)) == list("abde")
    rewrite(pack, ((name_hash(orjson.loads(one)["key"]), one) for one in pack.each() if b'"d"' in one))
    assert keys(pack) == ["d"]
    rewrite(pack, [])
    assert pack.files() == [] and list(pack.folder.iterdir()) == []


def test_ten_million_records_would_be_some_six_hundred_files():
    assert 2 * 10_000_000 / Pack.lines_of_a_file < 700


def test_a_folder_that_is_not_there_holds_nothing(tmp_path):
    nowhere = Pack(Path(tmp_path / "nowhere"), tmp_path)
    assert (nowhere.files(), list(nowhere.each()), nowhere.digest(), len(nowhere.hashes())) == ([], [], "", 0)
