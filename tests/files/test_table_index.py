"""The index of a table: made again where it does not fit, used where it does."""

import os
from pathlib import Path

import pytest

from shared.files.table import Table
from shared.seeding import name_hash
from tests.files.numbered import numbered_rows


def grow(index: Path) -> None:
    index.write_bytes(index.read_bytes() + b"12345678")


def damage_head(index: Path) -> None:
    index.write_bytes(b"x" + index.read_bytes()[1:])


@pytest.mark.parametrize(
    "harm",
    [os.unlink, grow, damage_head, lambda index: os.truncate(index, 50), lambda index: os.truncate(index, 0)],
)
def test_an_index_that_does_not_fit_is_made_again(tmp_path, harm):
    path, index = tmp_path / "t", tmp_path / "t.index"
    digest = Table.write(path, numbered_rows(4), tmp_path).digest
    whole, time_ns = index.read_bytes(), index.stat().st_mtime_ns
    harm(index)
    if index.exists():
        os.utime(index, ns=(time_ns, time_ns))
    again = Table(path)
    assert (list(again), again[3], again.digest) == (numbered_rows(4), numbered_rows(4)[3], digest)
    assert again.hashes.tolist() == [name_hash(row["key"]) for row in numbered_rows(4)]
    assert index.read_bytes() == whole


def test_a_table_that_was_changed_by_hand_gets_a_new_index(tmp_path):
    path = tmp_path / "t"
    Table.write(path, numbered_rows(4), tmp_path)
    path.write_text('{"key":"photo-9","number":9}\n' + "".join(path.read_text().splitlines(keepends=True)[1:]))
    os.utime(path, ns=(10**18, 10**18))
    assert Table(path)[0] == {"key": "photo-9", "number": 9}
    assert Table(path).hashes[0] == name_hash("photo-9")


def test_a_table_of_another_size_gets_a_new_index_even_with_its_old_time(tmp_path):
    path = tmp_path / "t"
    Table.write(path, numbered_rows(4), tmp_path)
    time_ns = path.stat().st_mtime_ns
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:3]))
    os.utime(path, ns=(time_ns, time_ns))
    assert len(Table(path)) == 3


def test_an_index_is_used_and_not_made_again(tmp_path):
    Table.write(tmp_path / "t", numbered_rows(4), tmp_path)
    inode = (tmp_path / "t.index").stat().st_ino
    Table(tmp_path / "t")
    assert (tmp_path / "t.index").stat().st_ino == inode


def test_a_table_is_read_where_no_index_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "t").write_text('{"key":"a"}\n{"key":"b"}\n')

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shared.files.table.PartFile", refuse)
    table = Table(tmp_path / "t")
    assert (list(table), table[1], table.hashes.tolist()) == (
        [{"key": "a"}, {"key": "b"}],
        {"key": "b"},
        [name_hash("a"), name_hash("b")],
    )
    assert os.listdir(tmp_path) == ["t"]
