"""The report says what became of every item, in one file, whatever the config, the keys and the words are."""

import csv
import json
import re
import statistics
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from shared.advance import advance
from shared.config import load_config
from shared.names import file_name
from shared.records import Outcome, Records, RecordWriter
from shared.report import content, write_report
from shared.reporting.funnel import Loss
from shared.run import Run, RunError, Step
from shared.table import Table
from shared.worker import Loaded

SAMPLES = Path(__file__).parent.parent / "configs" / "samples"
HOSTILE = '<script>alert(1)</script> "b"&\n.jpg'  # the slash makes it a photograph in a folder
RELIGHT = """
meta_path: {photographs}
steps:
  - type: filter
    config: {{num_images: 4, min_size: 50, split_counts: [2, 1, 1], create_grid: false}}
  - type: degrade
    config: {{mask: none, keep: [mask, albedo]}}
  - type: caption
    name: keywords
  - type: merge
    name: triplets
    config: {{triplets: {{input_image: output_image_path, instruction: lighting_keywords, output_image: image_path}}}}
"""
TEMPLATE = "meta_path: {photographs}\nsteps:\n  - type: template\n"


def make_run(folder: Path, photographs: Path, config: str, name: str = "portraits") -> Run:
    path = folder / "relight.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(config.format(photographs=photographs))
    return Run(load_config(path), folder / name)


def finish(run: Run, until: Callable[[Step], bool] = lambda step: False) -> None:
    """Take a run through its steps, as the launcher and one worker do; stop before the first step that `until` says."""
    while step := advance(run, lambda line: None).step:
        if until(step):
            return
        do(step, list(Table(step.table_path)))


def do(step: Step, items: list[dict]) -> None:
    worker, parts = step.worker, step.run.folder / "parts"
    worker.seed, worker.folder = step.seed, step.folder
    worker.setup()
    parts.mkdir(exist_ok=True)
    writer = RecordWriter(Records(step.folder, worker.records_name), parts, step.fingerprint, threads=1)
    writer.write([Outcome(item["key"], found(worker, item)) for item in items])
    writer.close()
    parts.rmdir()


def found(worker, item: dict) -> dict | Exception:
    try:
        return worker.process([Loaded(item, worker.load(item))])[0]
    except Exception as error:
        return error


@pytest.fixture(scope="session")
def photographs(tmp_path_factory) -> Path:
    """Six small photographs, one too small, and four files that are none."""
    folder = tmp_path_factory.mktemp("photographs")
    names = ["admiral.jpg", "coffee.jpg", "fig.jpg", "mountains.jpg", "sunset.jpg"]
    for name, source in [*zip(names, names, strict=True), (HOSTILE, "rocket.jpg")]:
        image = Image.open(SAMPLES / source)
        image.thumbnail((200, 200))
        (folder / name).parent.mkdir(exist_ok=True)
        image.save(folder / name)
    Image.open(SAMPLES / "cat.jpg").resize((60, 40)).save(folder / "tiny.png")
    whole = (folder / "coffee.jpg").read_bytes()
    (folder / "cut 1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "cut 2.jpg").write_bytes(whole[: len(whole) // 3])
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("not an image")
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory, photographs) -> Run:
    run = make_run(tmp_path_factory.mktemp("finished"), photographs, RELIGHT)
    finish(run)
    return run


class Page(HTMLParser):
    """The elements and the text of a page, as a browser takes them."""

    def __init__(self, path: Path):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.is_shown = True
        self.feed(path.read_text())
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.elements.append((tag, dict(attributes)))
        self.is_shown = tag not in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self.is_shown = True

    def handle_data(self, data: str) -> None:
        if self.is_shown:
            self.words.append(data)

    def all(self, tag: str, kind: str = "") -> list[dict]:
        return [found for name, found in self.elements if name == tag and kind in (found.get("class") or "")]


def test_the_funnel_accounts_for_every_item_of_every_step(finished):
    told = content(finished)
    stages = [(stage.taken, stage.kept, [(loss.kind, loss.count) for loss in stage.losses]) for stage in told["stages"]]
    assert told["items"] == 11
    assert stages == [(11, 4, [("failed", 4), ("dropped", 3)]), (4, 4, []), (4, 4, []), (4, 4, [])]
    assert told["stages"][0].losses[0] == Loss("failed", 4, "failed", 100 * 4 / 11)
    assert told["triplets"] == {"train": 2, "val": 1, "test": 1}
    assert (told["is_complete"], told["failed"], told["remarks"]) == (True, 4, [])


def test_the_page_says_it_in_words(finished):
    text = Page(write_report(finished)).text
    assert text.startswith("portraits – report")
    assert "complete, 4 failed relight.yaml over" in text
    assert "triplets 4 train 2 · val 1 · test 1" in text
    assert "of 11, 4 failed (2 × is damaged: image file is truncated (… bytes not processed); 1 × is " in text
    assert "3 not selected" in text
    assert "7 scored, 4 kept: those from " in text


def test_the_scores_and_the_cut_are_those_of_all_scores_csv(finished):
    selection = content(finished)["selection"]
    with open(finished.steps[0].folder / "all_scores.csv", newline="") as file:
        scores = sorted((float(row["lighting_score"]) for row in csv.DictReader(file)), reverse=True)
    kept = [row["lighting_score"] for row in Table(finished.steps[0].result_path)]
    assert (selection.scored, selection.kept, selection.cut) == (len(scores), 4, min(kept))
    assert selection.passed_over == sum(score >= min(kept) for score in scores) - 4
    counts = [int(bin.title.split(": ")[1].split(",")[0]) for bin in selection.scores.bins]
    assert sum(counts) == len(scores) == 7


def test_the_identity_floor_is_that_of_the_records(finished):
    rows = list(Table(finished.steps[1].result_path))
    told = content(finished)
    for name in ("psnr", "ssim"):
        values = [row[name] for row in rows]
        assert told[name].mean == pytest.approx(statistics.mean(values))
        assert told[name].median == pytest.approx(statistics.median(values))


def test_failures_are_grouped_by_what_they_say(finished):
    (failures,) = content(finished)["failures"]
    groups = [(reason.error, reason.message, [one.key for one in reason.examples]) for reason in failures.reasons]
    assert groups == [
        ("ImageError", "… is damaged: image file is truncated (… bytes not processed)", ["cut 1.jpg", "cut 2.jpg"]),
        ("ImageError", "… is empty", ["empty.png"]),
        ("ImageError", "… is not an image that can be read", ["text.png"]),
    ]
    assert [one.picture for reason in failures.reasons for one in reason.examples] == [None] * 4
    assert re.fullmatch(
        r"is damaged: image file is truncated \(\d+ bytes not processed\)", failures.reasons[0].examples[0].message
    )


def test_a_failure_whose_photograph_opens_is_shown_with_it(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    advance(run, lambda line: None)
    records = Records(run.steps[0].folder)
    writer = RecordWriter(records, tmp_path, "", threads=1)
    errors = {"fig.jpg": "the mask takes 99.1% of the image", "sunset.jpg": "the mask takes 98.2% of the image"}
    writer.write([Outcome(key, ValueError(text)) for key, text in errors.items()])
    (failures,) = content(run)["failures"]
    assert [(reason.message, reason.count) for reason in failures.reasons] == [("the mask takes …% of the image", 2)]
    assert all(one.picture.uri.startswith("data:image/jpeg") for one in failures.reasons[0].examples)


def test_what_the_filter_left_out_is_shown_with_the_reason(finished):
    ((stage, examples),) = content(finished)["unselected"]
    assert stage.step is finished.steps[0]
    passed = {row["key"] for row in Table(finished.steps[0].result_path)}
    failed = {"cut 1.jpg", "cut 2.jpg", "empty.png", "text.png"}
    everything = {row["key"] for row in Table(finished.steps[0].table_path)}
    assert {one.key for one in examples} == everything - passed - failed
    said = {one.key: one.message for one in examples}
    assert said.pop("tiny.png") == "its shorter side has 40 pixels; min_size is 50"
    assert all(re.fullmatch(r"score 0\.\d{4}, below the cut at 0\.\d{4}", message) for message in said.values())


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
    files = [Path(unquote(link.removeprefix("file://"))) for link in links]
    assert [str(file) for file in files if not (finished.folder / file).exists()] == []
    assert all(link.startswith("file:///") or "://" not in link for link in links)
    assert (
        len([link for link in links if link.startswith("file://")]) == 4
    )  # the photographs are not in the run's folder


def test_keys_and_keywords_are_text_and_never_markup(tmp_path, photographs):
    run = make_run(tmp_path, photographs, RELIGHT)
    finish(run, until=lambda step: step.module == "caption")
    words = "</blockquote></script><img src=x onerror=alert(2)> & 'soft' \"light\""
    rows = [row | {"lighting_keywords": words, "split": '"><b>'} for row in Table(run.steps[1].result_path)]
    rows[0]["key"] = HOSTILE
    Table.write(run.steps[1].result_path, rows, run.folder)
    page = Page(write_report(run))
    assert len(page.all("script")) == 1
    assert [image for image in page.all("img") if "onerror" in image] == []
    assert page.text.count(" ".join(words.split())) >= len(rows)
    assert " ".join(HOSTILE.split()) in page.text


def test_the_same_run_gives_the_same_bytes(tmp_path, photographs, finished):
    first = write_report(finished)
    before = (first.read_bytes(), first.stat().st_mtime_ns)
    write_report(finished)
    assert (first.read_bytes(), first.stat().st_mtime_ns) == before
    other = make_run(tmp_path, photographs, RELIGHT)
    finish(other)
    assert write_report(other).read_bytes() == before[0]


def test_an_unfinished_run_says_what_is_missing(tmp_path, photographs):
    run = make_run(tmp_path, photographs, RELIGHT)
    finish(run, until=lambda step: step.module == "degrade")
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
    run.input_folder.mkdir(parents=True)
    Table.write(run.input_folder / "result.jsonl", rows, run.folder)
    path = write_report(run)
    cards = [card.key for card in content(run)["gallery"].cards]
    assert len(cards) == 200
    assert (cards[0], cards[-1]) == ("04999", "00000")
    assert path.stat().st_size < 12_000_000
