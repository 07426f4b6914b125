"""The gallery shows every item of a run, what did not get through too, however many there are."""

import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode

import numpy as np
import pytest
from PIL import Image

from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.table import Table
from shared.light.degradation.files import thumbnail_of
from shared.reporting import gallery_page
from shared.reporting.gallery_page import columns, links_of
from shared.reporting.report import content, write_report
from shared.run.advance import advance
from shared.run.run import Run
from tests.reporting.reported_runs import HOSTILE, TEMPLATE, do, make_run

pytestmark = pytest.mark.usefixtures("photographs")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def shown(run: Run) -> dict:
    """The columns that the page holds."""
    write_report(run)
    text = (run.folder / "gallery.html").read_text()
    [data] = re.findall(r'<script type="application/json" id="items">(.*?)</script>', text, re.DOTALL)
    return json.loads(data)["items"]


def facet(items: dict, name: str) -> dict[str, str | None]:
    values, codes = items["facets"][name]["values"], items["facets"][name]["codes"]
    return {key: values[code] if code >= 0 else None for key, code in zip(items["key"], codes, strict=True)}


def links(items: dict, label: str) -> list[str]:
    found = items["pictures"][label]
    return [found["start"] + link for link in found["links"] if link is not None]


def test_every_item_is_there_with_its_state_words_and_light(finished):
    items = shown(finished)
    rows = {row["key"]: row for row in Table(finished.steps[-1].result_path)}
    everything = {row["key"] for row in Table(finished.steps[0].table_path)}
    failed = {"cut 1.jpg", "cut 2.jpg", "empty.png", "text.png"}
    assert items["key"][:4] == sorted(rows, key=lambda key: -rows[key]["lighting_score"])
    cut = min(row["lighting_score"] for row in rows.values())
    expected = dict.fromkeys(everything, f"not selected by step 1 (filter): below the cut at {cut:.4f}")
    expected |= dict.fromkeys(rows, "kept") | {"tiny.png": "not selected by step 1 (filter): too small"}
    damaged = "failed in step 1 (filter): is damaged: image file is truncated"
    expected |= dict.fromkeys(failed, damaged) | {"empty.png": "failed in step 1 (filter): is empty"}
    expected |= {"text.png": "failed in step 1 (filter): is not an image that can be read"}
    assert facet(items, "state") == expected
    words = dict(zip(items["key"], items["words"], strict=True))
    assert {key: words[key] for key in rows} == {key: row["lighting_keywords"] for key, row in rows.items()}
    assert words["empty.png"] == "is empty"
    assert words["tiny.png"] == "its shorter side has 40 pixels; min_size is 50"
    splits = facet(items, "split")
    assert {key: splits[key] for key in rows} == {key: row["split"] for key, row in rows.items()}
    directions = facet(items, "direction")
    assert {key: directions[key] for key in rows} == {
        key: row["light"]["direction"] or "not told" for key, row in rows.items()
    }
    scores = dict(zip(items["key"], items["facts"]["score"], strict=True))
    assert scores["empty.png"] is None
    assert {key: scores[key] for key in rows} == {key: f"{row['lighting_score']:.3f}" for key, row in rows.items()}


def test_pictures_are_links_that_move_with_the_run(finished):
    items = shown(finished)
    strips = links(items, "strip")
    assert len(strips) == 4 and all(link.startswith("step_2_degrade/thumbnails/") for link in strips)
    assert len(links(items, "photograph")) == 11 and len(links(items, "flattened")) == 4
    assert "mask" not in items["pictures"]  # there was none: all of them would be white
    for label in items["pictures"]:
        for link in links(items, label):
            path = Path(unquote(link.removeprefix("file://")))
            assert (finished.folder / path).is_file()
            assert link.startswith("file:///") == (label == "photograph")
    assert str(finished.folder) not in (finished.folder / "gallery.html").read_text()


def test_a_strip_is_the_photograph_and_its_degraded_image():
    left, right = np.full((300, 600, 3), 200, np.uint8), np.full((300, 600, 3), 40, np.uint8)
    file = thumbnail_of({"key": "in/a.jpg"}, left, right)["thumbnail_path"]
    pixels = np.asarray(Image.open(io.BytesIO(file.image))).astype(int)
    assert (file.path, pixels.shape) == ("thumbnails/in/a.jpg.jpg", (120, 480, 3))
    assert abs(pixels[:, :230] - 200).max() < 4 and abs(pixels[:, 250:] - 40).max() < 4


@pytest.mark.slow
def test_what_failed_since_is_not_shown_as_kept_too(tmp_path, copy_of_filtered):
    run = copy_of_filtered
    one, *others = Table(run.steps[1].table_path)
    do(run.steps[1], others)
    writer = RecordWriter(Records(run.steps[1].folder), tmp_path, "", threads=1)
    writer.write([Outcome(one["key"], ValueError("the mask takes 99% of the image"))])
    items = shown(run)
    states = facet(items, "state")
    assert len(states) == len(items["key"]) == 11
    assert states[one["key"]] == "failed in step 2 (degrade): the mask takes 99% of the image"
    assert [states[row["key"]] for row in others] == ["kept"] * 3


def test_of_too_many_an_even_choice_is_shown_and_said(tmp_path, photographs, monkeypatch):
    run = make_run(tmp_path, photographs, TEMPLATE)
    run.input.folder.mkdir(parents=True)
    rows = [{"key": f"{number:02d}", "lighting_score": number / 50} for number in range(50)]
    Table.write(run.input.result_path, rows, run.folder)
    monkeypatch.setattr(gallery_page, "MOST_KEPT", 3)
    assert shown(run)["key"] == ["49", "25", "00"]
    assert "Of 50 that are kept these are 3, chosen evenly." in (run.folder / "gallery.html").read_text()


def test_a_photograph_in_a_container_is_no_link_and_neither_is_a_white_mask():
    row = {"key": "a", "image_path": "/in/a.tar", "image_member": {"offset": 0, "size": 9}, "mask_path": "/run/m.png"}
    row |= {"input_image_path": "/in/b.png", "output_image_path": "/run/o #1.png", "thumbnail_path": "/run/t.jpg"}
    found = {label: link for label, link in links_of(row, Path("/run")).items() if link}
    assert found == {"strip": "t.jpg", "input": "file:///in/b.png", "degraded": "o%20%231.png", "mask": "m.png"}
    found = links_of(row | {"mask": "none", "relit_image_path": "/run/r.png"}, Path("/run"))
    assert (found["mask"], found["strip"], found["relit"]) == (None, None, "r.png")


def test_keys_and_words_are_data_and_never_markup(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    run.input.folder.mkdir(parents=True)
    words = "</script><img src=x onerror=alert(2)><!-- & 'soft' \u2028 light"
    rows = [{"key": HOSTILE, "lighting_keywords": words, "image_path": "/a.jpg"}]
    Table.write(run.input.result_path, rows, run.folder)
    items = shown(run)
    assert (items["key"], items["words"]) == ([HOSTILE], [words])
    assert "onerror=alert" not in re.sub(r"<script type=.*?</script>", "", (run.folder / "gallery.html").read_text())


def test_the_report_leads_to_what_it_has_only_examples_of(tmp_path, photographs, finished):
    assert 'href="gallery.html">Look through 11 items' in write_report(finished).read_text()
    assert "gallery.html#" not in write_report(finished).read_text()  # all that did not get through are in the report
    run = make_run(tmp_path, photographs, TEMPLATE)
    advance(run, lambda line: None)
    keys = [row["key"] for row in Table(run.steps[0].table_path)]
    writer = RecordWriter(Records(run.steps[0].folder), tmp_path, "", threads=1)
    writer.write([Outcome(key, ValueError("no light")) for key in keys[:9]])
    [address] = re.findall(r'href="gallery.html#([^"]+)"', write_report(run).read_text())
    [(name, value)] = parse_qsl(address)
    assert value in content(run)["page"]["items"]["facets"][name]["values"]


def test_columns_leave_out_what_no_item_has():
    assert columns([], Path("/run"))["facts"] == {}
    items = columns([gallery_page.Item({"key": "a", "psnr": 20.0}, "kept", "soft")], Path("/run"))
    assert (items["facts"], items["pictures"]) == ({"PSNR": ["20.0 dB"]}, {})
    assert items["facets"]["state"] == {"values": ["kept"], "codes": [0]}


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: chromium")
@pytest.mark.parametrize(
    ("chosen", "said", "first"),
    [
        ("", "3,000 of 3,000 shown", "2999"),
        ("#direction=left&words=WARM 11", "12 of 3,000 shown", "2110"),
        ("#order=1 score&split=val", "1,000 of 3,000 shown", "0001"),
    ],
)
def test_a_browser_finds_orders_and_makes_only_what_is_in_sight(tmp_path, photographs, chosen, said, first):
    run = make_run(tmp_path, photographs, TEMPLATE)
    run.input.folder.mkdir(parents=True)
    rows = [
        {
            "key": f"{number:04d}", "image_path": str(photographs / "fig.jpg"), "lighting_score": number / 3000,
            "split": ("train", "val", "test")[number % 3], "light": {"direction": "left" if number % 2 == 0 else None},
            "lighting_keywords": "warm light" if number % 5 == 0 else "cool light",
        }
        for number in range(3000)
    ]  # fmt: skip
    Table.write(run.input.result_path, rows, run.folder)
    write_report(run)
    page = dumped(run.folder / "gallery.html", chosen, tmp_path)
    assert said in page
    cells = re.findall(r'<article class="cell".*?<bdi>(.*?)</bdi>', page, re.DOTALL)
    assert cells[0] == first
    assert 3 <= len(cells) <= 40
    pictures = re.findall(r"<img[^>]*>", re.sub(r"<dialog.*?</dialog>", "", page, flags=re.DOTALL))
    assert len(pictures) == len(cells) and all(f'src="file://{photographs}/fig.jpg"' in image for image in pictures)


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: chromium")
def test_a_browser_finds_all_that_was_rejected_or_those_of_one_reason(tmp_path, finished):
    write_report(finished)
    page = dumped(finished.folder / "gallery.html", "#state=rejected", tmp_path)
    assert "7 of 11 shown" in page and '<option value="rejected">rejected (7)</option>' in page
    assert len(re.findall(r'<article class="cell rejected"', page)) == 7
    reason = urlencode({"state": "not selected by step 1 (filter): too small"}, quote_via=quote)
    page = dumped(finished.folder / "gallery.html", f"#{reason}", tmp_path)
    assert "1 of 11 shown" in page and re.findall(r"<bdi>(.*?)</bdi>", page) == ["tiny.png"]


def dumped(path: Path, chosen: str, folder: Path) -> str:
    """The page as a browser has made it, once its timers have come."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900", "--virtual-time-budget=2000"]
    address = f"file://{path}{chosen.replace(' ', '%20')}"
    return subprocess.run(
        [CHROMIUM, *options, f"--user-data-dir={folder}/browser", "--dump-dom", address],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
