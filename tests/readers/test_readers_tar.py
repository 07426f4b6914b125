"""Tars, and what img2dataset leaves."""

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.containers import read_member
from shared.dataset import DatasetError, Source
from tests.conftest import ROOT
from tests.readers.stored import KINDS, items, write_table, write_tar
from tests.run.small_runs import read_step_0


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_gives_an_item_for_each_name(tmp_path, form):
    deep = "d" * 90 + "/" + "n" * 60
    members = {
        "a/001.jpg": b"first",
        "a/001.json": b'{"width": 3, "caption": "from json", "key": "else", "score": NaN}',
        "a/001.txt": b"from text",
        "a/001.cls": b"7",
        "a.b/002.png": b"",
        "a.b/002.caption": "schön\n".encode(),
        "words.txt": b"no photograph",
        ".hidden.jpg": b"no",
        f"{deep}.seg.PNG": b"mask",
        f"{deep}.JPEG": b"third",
    }
    path = write_tar(tmp_path / "shard.tar", members, form)
    found = items(path)
    assert [{**row, "image_member": None} for row in found] == [
        {
            "key": "a/001",
            "caption": "from json",
            "width": 3,
            "score": None,
            "image_path": str(path),
            "image_member": None,
        },
        {"key": "a.b/002", "caption": "schön", "image_path": str(path), "image_member": None},
        {"key": deep, "image_path": str(path), "image_member": None},
    ]
    assert [read_member(row) for row in found] == [b"first", b"", b"third"]
    assert read_member(items(path, image_key="seg")[-1]) == b"mask"
    assert [row["key"] for row in items(path, image_key=None)] == ["a/001", "a.b/002", "words", deep]


def test_a_folder_of_tars_is_read_tar_by_tar(tmp_path):
    for number in (1, 0):
        write_tar(tmp_path / f"0000{number}.tar", {f"{number}{n}.jpg": bytes([number, n]) for n in range(3)})
    found = items(tmp_path)
    assert [(row["key"], read_member(row)) for row in found] == [
        (f"{number}{n}", bytes([number, n])) for number in (0, 1) for n in range(3)
    ]


def test_damaged_words_in_a_tar_are_that_items_failure(tmp_path):
    members = {"a.jpg": b"1", "a.json": b"{", "b.jpg": b"2", "b.txt": b"\xff", "c.jpg": b"3", "c.json": b"[1]"}
    found = items(write_tar(tmp_path / "shard.tar", members))
    assert [row["key"] for row in found] == ["a", "b", "c"]
    assert found[0]["unreadable"].startswith("the member a.json of shard.tar is not JSON")
    assert "utf-8" in found[1]["unreadable"]
    assert "unreadable" not in found[2]


@pytest.mark.parametrize("keep", [0, 100, 512, 700, 1024, 1536, 2000, 2048])
def test_a_tar_that_is_cut_off_is_refused_wherever_the_cut_is(tmp_path, keep):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400, "b.jpg": b"2" * 400})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"shard\.tar is (not a whole, uncompressed tar|cut off)"):
        items(path)


def test_a_tar_with_a_damaged_head_or_another_archive_behind_it_is_refused(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400, "b.jpg": b"2" * 400})
    whole = path.read_bytes()
    for content in (whole[:1024] + b"garbage" + whole[1031:], whole + whole):
        path.write_bytes(content)
        with pytest.raises(DatasetError, match=r"shard\.tar is cut off or damaged at byte"):
            items(path)


def test_a_compressed_tar_under_a_plain_name_is_refused(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w:gz") as tar:
        tar.add(__file__, "a.jpg")
    with pytest.raises(DatasetError, match=r"shard\.tar is not a whole, uncompressed tar"):
        items(tmp_path / "shard.tar")


def test_a_tar_that_shrinks_after_it_was_read_gives_no_half_photograph(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {"a.jpg": b"1" * 400})
    found = items(path)
    os.truncate(path, 600)
    with pytest.raises(DatasetError, match=r"shard\.tar ends before the photograph at byte 512 does"):
        read_member(found[0])


def memory_grown(script: str, *arguments: Path) -> int:
    """How much more memory of its own, in kB, a process has at its end than where it calls start()."""
    frame = (
        "import sys\n"
        "from shared.dataset import Source\n"
        "from shared.containers import read_member\n"
        "own = lambda: int(open('/proc/self/status').read().split('RssAnon:')[1].split()[0])\n"
    )
    command = [sys.executable, "-c", frame + script, *map(str, arguments)]
    return int(subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout)


def test_a_tar_is_read_in_bounded_memory(tmp_path):
    path = write_tar(tmp_path / "shard.tar", {f"{number}.jpg": b"" for number in range(10_000)})
    script = (
        "items = Source(sys.argv[1]).items()\nfor _ in range(100): next(items)\n"
        "before = own()\nfor _ in range(9_800): next(items)\nprint(own() - before)"
    )
    assert memory_grown(script, path) < 2_000


@pytest.mark.parametrize(("name", "form"), KINDS)
def test_stored_photographs_are_read_in_bounded_memory(tmp_path, name, form):
    noise = np.random.default_rng(0).bytes(200_000)
    photographs = [noise[number:] + noise[:number] for number in range(500)]
    table = pa.table({"key": [str(number) for number in range(500)], "image": photographs})
    path = write_table(tmp_path / name, table, form, rows=250 if name.endswith("parquet") else 10)
    script = (
        "items = list(Source(sys.argv[1]).items())\nfor item in items[:3]: read_member(item)\n"
        "before = own()\nfor item in items: read_member(item)\nprint(own() - before)"
    )
    assert memory_grown(script, path) < 40_000  # the photographs are 100,000


def test_links_and_folders_in_a_tar_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        for name, kind in [("a.jpg", tarfile.SYMTYPE), ("d.jpg", tarfile.DIRTYPE), ("p.jpg", tarfile.FIFOTYPE)]:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("./b.jpg"))
    assert [row["key"] for row in items(tmp_path / "shard.tar")] == ["b"]


def downloaded(number: int) -> dict:
    return {"url": f"http://a.org/{number}", "caption": f"c{number}", "key": f"0000000{number:02}", "status": "success"}


def test_what_img2dataset_downloads_to_files_is_read_with_its_metadata(tmp_path):
    for shard, numbers in (("00000", (0, 2)), ("00001", (10,))):
        (tmp_path / shard).mkdir()
        rows = [downloaded(number) for number in range(numbers[0], numbers[0] + 3)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{shard}.parquet")
        (tmp_path / f"{shard}_stats.json").write_text("{}")
        for number in numbers:  # the others' downloads failed
            base = tmp_path / shard / f"0000000{number:02}"
            base.with_suffix(".jpg").write_bytes(bytes([number]))
            base.with_suffix(".json").write_text(json.dumps(downloaded(number)))
            base.with_suffix(".txt").write_text("the text")
    found = items(tmp_path)
    assert found == [
        {**downloaded(number), "image_path": f"{tmp_path}/{shard}/0000000{number:02}.jpg"}
        for shard, number in (("00000", 0), ("00000", 2), ("00001", 10))
    ]
    assert [read_member(row) for row in found] == [bytes([0]), bytes([2]), bytes([10])]
    digest = Source(str(tmp_path)).digest()
    (tmp_path / "00000" / "000000002.jpg").unlink()
    assert Source(str(tmp_path)).digest() != digest
    (tmp_path / "00000" / "000000000.json").write_text("{")
    assert items(tmp_path)[0]["unreadable"].startswith("000000000.json is not JSON")
    assert items(tmp_path)[0]["key"] == "000000000"


def test_what_img2dataset_downloads_to_tars_is_read_from_the_tars(tmp_path):
    members = {}
    for number in (0, 2):
        members[f"0000000{number:02}.jpg"] = bytes([number])
        members[f"0000000{number:02}.json"] = json.dumps(downloaded(number)).encode()
    write_tar(tmp_path / "00000.tar", members)
    pq.write_table(pa.Table.from_pylist([downloaded(n) for n in range(3)]), tmp_path / "00000.parquet")
    (tmp_path / "00000_stats.json").write_text("{}")
    found = items(tmp_path)
    assert [{field: value for field, value in row.items() if "image" not in field} for row in found] == [
        downloaded(0),
        downloaded(2),
    ]
    assert [read_member(row) for row in found] == [bytes([0]), bytes([2])]


PHOTOGRAPH, DEPTH, WORDS = b"photograph", b"depth", b"words"


def read_and_said(path: Path, **options) -> tuple[list[dict], list[str]]:
    said: list[str] = []
    return list(Source(str(path), **options).items(said.append)), said


@pytest.mark.parametrize("order", [("depth.jpg", "jpg"), ("jpg", "depth.jpg")])
def test_of_several_images_the_plain_one_is_taken_and_that_is_said(tmp_path, order):
    contents = {"jpg": PHOTOGRAPH, "depth.jpg": DEPTH, "json": b"{}"}
    members = {f"{number}.{name}": contents[name] for number in range(3) for name in (*order, "json")}
    path = write_tar(tmp_path / "x.tar", members)
    found, said = read_and_said(path)
    assert [read_member(item) for item in found] == [PHOTOGRAPH] * 3
    assert said == [
        "x.tar: 3 items have several images; .jpg was taken and .depth.jpg passed over (image_key names another)"
    ]
    found, said = read_and_said(path, image_key="depth")
    assert ([read_member(item) for item in found], said) == ([DEPTH] * 3, [])


def test_several_images_that_nothing_tells_apart_are_asked_for(tmp_path):
    members = {f"{number}.{name}.png": name.encode() for number in range(2) for name in ("rgb", "seg")}
    path = write_tar(tmp_path / "x.tar", members)
    with pytest.raises(DatasetError) as caught:
        items(path)
    assert str(caught.value) == (
        "0 in x.tar has 2 images: .rgb.png, .seg.png. Name one of them with image_key (rgb.png); or, where each is a "
        "photograph of its own, rename them: a name ends at its first dot"
    )
    assert [read_member(item) for item in items(path, image_key="rgb")] == [b"rgb", b"rgb"]


def test_photographs_whose_names_make_them_one_item_are_an_error_that_says_so(tmp_path):
    path = write_tar(tmp_path / "x.tar", {f"IMG.{number:04}.jpg": PHOTOGRAPH for number in range(9)})
    with pytest.raises(
        DatasetError, match=r"IMG in x\.tar has 9 images: \.0000\.jpg, .*\.\.\.\. Name one .*rename them"
    ):
        items(path)


def test_one_group_that_cannot_be_decided_fails_alone(tmp_path):
    members = {"a.jpg": PHOTOGRAPH, "b.1.jpg": DEPTH, "b.2.jpg": DEPTH, "c.jpg": PHOTOGRAPH}
    found = items(write_tar(tmp_path / "x.tar", members))
    assert [(item["key"], "unreadable" in item) for item in found] == [("a", False), ("b", True), ("c", False)]


def test_two_members_of_one_name_are_not_decided_silently(tmp_path):
    path = tmp_path / "x.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a.jpg", "b.jpg", "b.jpg"):
            member = tarfile.TarInfo(name)
            member.size = 1
            tar.addfile(member, io.BytesIO(b"1"))
    found = items(path)
    assert [item.get("unreadable") for item in found] == [
        None,
        "b in x.tar has two members of one name; each photograph needs its own",
    ]


def test_words_without_a_photograph_beside_them_are_counted(tmp_path):
    members = {"a.jpg": PHOTOGRAPH, "b.jpg": PHOTOGRAPH, "a.txt": WORDS, "b.txt": WORDS}
    found, said = read_and_said(write_tar(tmp_path / "x.tar", members))
    assert [item["key"] for item in found] == ["a", "b"]
    assert said == [
        "x.tar: passed over what has no photograph beside it under its name: 2 .txt; "
        'as "a" (tar --sort=name puts them side by side)'
    ]


def test_names_that_two_tars_share_get_a_number(tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()
    for name in ("0.tar", "1.tar"):
        write_tar(shards / name, {"a.jpg": name.encode(), "b.jpg": name.encode()})
    table = read_step_0(tmp_path / "run", shards)
    assert [(row["key"], read_member(row)) for row in table] == [
        ("a", b"0.tar"), ("b", b"0.tar"), ("a-2", b"1.tar"), ("b-2", b"1.tar"),
    ]  # fmt: skip


def test_members_that_can_be_no_item_s_are_counted_and_said(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind in (
            ("folder", tarfile.DIRTYPE),
            ("folder/a.jpg", tarfile.REGTYPE),
            ("IMG_1", tarfile.REGTYPE),
            ("IMG_2", tarfile.REGTYPE),
            ("b.jpg", tarfile.SYMTYPE),
            (".hidden", tarfile.REGTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "folder/a.jpg"
            tar.addfile(member, io.BytesIO(b""))
    said: list[str] = []
    assert [item["key"] for item in Source(str(path)).items(said.append)] == ["folder/a"]
    assert said == [
        "a.tar: passed over 2 members of a name without a suffix",
        "a.tar: passed over 1 members that are links or devices",
    ]
