"""The page itself: cards, links, bytes, and runs that are not complete."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest

from shared.errors import RunError
from shared.files.names import file_name
from shared.files.table import Table
from shared.reporting.report import content, write_report
from shared.run.advance import advance
from tests.reporting.reported_runs import HOSTILE, RELIGHT, TEMPLATE, Page, do, finish, make_run

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def test_a_card_shows_the_pictures_words_and_light_of_its_item(finished):
    gallery = content(finished)["gallery"]
    rows = {row["key"]: row for row in Table(finished.steps[-1].result_path)}
    assert {card.key for card in gallery.cards} == set(rows)
    scores = [rows[card.key]["lighting_score"] for card in gallery.cards]
    assert scores == sorted(scores, reverse=True)
    for card in gallery.cards:
        row = rows[card.key]
        assert card.keywords == row["lighting_keywords"]
        assert card.facets["split"] == row["split"]
        assert card.facets["direction"] == (row["light"]["direction"] or "not told")
        assert ("score", f"{row['lighting_score']:.3f}") in card.facts
        pictures = {shown.label: shown.picture for shown in card.pictures}
        assert list(pictures) == ["photograph", "degraded", "flattened", "mask"]
        assert pictures["mask"] is None  # there was none: the whole image was relit
        stem = f"step_2_degrade/data-{row['split']}/" + file_name(card.key, "")
        assert unquote(pictures["degraded"].link) == stem + "_output.png"
        assert unquote(pictures["flattened"].link) == stem + "_albedo.png"


def test_the_page_needs_nothing_beside_it_and_its_links_lead_somewhere(finished):
    path = write_report(finished)
    page = Page(path)
    assert re.findall(r"https?:", path.read_text()) == []
    assert page.all("link") == []
    assert {image["src"][:23] for image in page.all("img") if "src" in image} == {"data:image/jpeg;base64,"}
    links = [link["href"] for link in page.all("a") if "href" in link]
    places = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert [link for link in links if link.startswith("#") and link[1:] not in places] == []
    files = [Path(unquote(link.removeprefix("file://"))) for link in links if not link.startswith("#")]
    assert [str(file) for file in files if not (finished.folder / file).exists()] == []
    assert all(link.startswith("file:///") or "://" not in link for link in links)
    assert (
        len([link for link in links if link.startswith("file://")]) == 4
    )  # the photographs are not in the run's folder


def test_keys_and_keywords_are_text_and_never_markup(copy_of_finished):
    run, place = copy_of_finished, copy_of_finished.steps[-1].result_path
    words = "</blockquote></script><img src=x onerror=alert(2)> & 'soft' \"light\""
    rows = [row | {"lighting_keywords": words, "split": '"><b>'} for row in Table(place)]
    rows[0]["key"] = HOSTILE
    Table.write(place, rows, run.folder)
    page = Page(write_report(run))
    assert len(page.all("script")) == 1
    assert [image for image in page.all("img") if "onerror" in image] == []
    assert page.text.count(" ".join(words.split())) >= len(rows)
    assert " ".join(HOSTILE.split()) in page.text


@pytest.mark.slow
def test_the_same_run_gives_the_same_bytes(tmp_path, photographs, finished):
    def written(run):
        write_report(run)
        return [run.folder / name for name in ("report.html", "gallery.html")]

    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in written(finished)]
    assert [(path.read_bytes(), path.stat().st_mtime_ns) for path in written(finished)] == before
    other = make_run(tmp_path, photographs, RELIGHT)
    finish(other)
    assert [path.read_bytes() for path in written(other)] == [content for content, _ in before]


def test_an_unfinished_run_says_what_is_missing(copy_of_filtered):
    run = copy_of_filtered
    do(run.steps[1], list(Table(run.steps[1].table_path))[:1])
    told = content(run)
    assert not told["is_complete"]
    assert told["remarks"] == [
        "step 2 (degrade) is not finished: 3 of 4 items are left.",
        "step 3 (keywords) has not begun.",
        "step 4 (triplets) has not begun.",
    ]
    page = Page(write_report(run))
    assert "unfinished relight.yaml" in page.text
    assert "3 not done yet" in page.text
    assert len(page.all("article", "card")) == 4  # what the filter knows


@pytest.mark.slow
def test_a_filter_that_keeps_nothing_is_told(tmp_path, photographs):
    run = make_run(tmp_path, photographs, RELIGHT.replace("min_size: 50", "min_size: 5000"))
    finish(run)
    text = Page(write_report(run)).text
    assert "7 scored, 0 kept." in text
    assert "triplets 0 train 0 · val 0 · test 0" in text
    assert "The split train is empty." in text
    assert "Gallery" not in text


def test_items_that_came_since_make_a_run_unfinished(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    finish(run)
    rows = list(Table(run.steps[0].table_path))
    Table.write(run.steps[0].table_path, [*rows, {"key": "new"}], run.folder)
    assert content(run)["remarks"] == ["step 1 (template) is not finished: 1 of 12 items are left."]


def test_a_run_of_one_plain_step_has_a_report_without_what_it_did_not_measure(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    finish(run)
    page = Page(write_report(run))
    assert len(page.all("article", "card")) == 10  # template reads bytes: only the empty file fails
    for word in ("Lighting score", "Identity floor", "The light in the photographs", "Keywords", "degraded"):
        assert word not in page.text
    assert "sha256" in page.text


def test_items_without_photographs_have_cards_without_pictures(tmp_path):
    table = tmp_path / "texts.jsonl"
    table.write_text(
        "".join(json.dumps({"key": key, "psnr": "n/a", "light": "soft", "split": 3}) + "\n" for key in "abc")
    )
    run = make_run(tmp_path, table, "meta_path: {photographs}\nimage_key: null\nsteps:\n  - type: template\n")
    advance(run, lambda line: None)
    page = Page(write_report(run))
    assert len(page.all("article", "card")) == 3
    assert [image for image in page.all("img") if "src" in image] == []


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs a browser: chromium")
def test_on_paper_there_are_some_of_many_cards(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    run.input.folder.mkdir(parents=True)
    rows = [{"key": f"{number:03d}", "image_path": str(photographs / "fig.jpg")} for number in range(120)]
    Table.write(run.input.result_path, rows, run.folder)
    address, paper = f"file://{write_report(run)}", tmp_path / "report.pdf"
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}/browser"]
    subprocess.run(
        [CHROMIUM, *options, f"--print-to-pdf={paper}", address], capture_output=True, timeout=120, check=True
    )
    assert len(re.findall(rb"/Type /Page\b", paper.read_bytes())) <= 6  # all of them take 17


def test_without_a_run_there_is_no_report(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    with pytest.raises(RunError, match="holds no run yet"):
        write_report(run)
    assert not run.folder.exists()


def test_the_page_does_not_grow_with_the_run(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    names = ["admiral.jpg", "coffee.jpg", "fig.jpg"]
    rows = (
        {"key": f"{number:05d}", "image_path": str(photographs / names[number % 3]), "lighting_score": number / 5000}
        for number in range(5000)
    )
    run.input.folder.mkdir(parents=True)
    Table.write(run.input.result_path, rows, run.folder)
    path = write_report(run)
    cards = [card.key for card in content(run)["gallery"].cards]
    assert len(cards) == 200
    assert (cards[0], cards[-1]) == ("04999", "00000")
    assert path.stat().st_size < 12_000_000
