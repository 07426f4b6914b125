"""The report says what became of every item, in one file, whatever the config, the keys and the words are."""

import csv
import json
import re
import shutil
import statistics
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from PIL import Image

from shared.errors import RunError
from shared.files.names import file_name
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.table import Table
from shared.reporting import unselected, verification
from shared.reporting.funnel import Loss
from shared.reporting.rejects import Rejects, examples_of
from shared.reporting.report import content, write_report
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run, Step
from shared.worker import Loaded
from tests.conftest import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SAMPLES = ROOT / "configs" / "samples"
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
        [(_, found)] = worker.stream(iter([Loaded(item, worker.load(item))]))
    except Exception as error:
        return error
    return found


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


def rejects(run: Run, kind: str, place: int = 0) -> Rejects:
    return [found for found in content(run)["rejected"] if found.kind == kind][place]


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
    failures = rejects(finished, "failed")
    examples = [examples_of(failures.step, reason) for reason in failures.reasons]
    groups = [
        (reason.error, reason.message, [one.key for one in reason_examples])
        for reason, reason_examples in zip(failures.reasons, examples, strict=True)
    ]
    assert groups == [
        ("ImageError", "… is damaged: image file is truncated (… bytes not processed)", ["cut 1.jpg", "cut 2.jpg"]),
        ("ImageError", "… is empty", ["empty.png"]),
        ("ImageError", "… is not an image that can be read", ["text.png"]),
    ]
    assert [one.picture for of_reason in examples for one in of_reason] == [None] * 4
    assert re.fullmatch(r"is damaged: image file is truncated \(\d+ bytes not processed\)", examples[0][0].message)


def test_a_failure_whose_photograph_opens_is_shown_with_it(tmp_path, photographs):
    run = make_run(tmp_path, photographs, TEMPLATE)
    advance(run, lambda line: None)
    records = Records(run.steps[0].folder)
    writer = RecordWriter(records, tmp_path, "", threads=1)
    errors = {"fig.jpg": "the mask takes 99.1% of the image", "sunset.jpg": "the mask takes 98.2% of the image"}
    writer.write([Outcome(key, ValueError(text)) for key, text in errors.items()])
    failures = rejects(run, "failed")
    assert [(reason.message, reason.count) for reason in failures.reasons] == [("the mask takes …% of the image", 2)]
    examples = examples_of(failures.step, failures.reasons[0])
    assert len(examples) == 2 and all(one.picture.uri.startswith("data:image/jpeg") for one in examples)


def test_what_the_filter_left_out_is_shown_with_the_reason(finished):
    unselected = rejects(finished, "dropped")
    assert unselected.step is finished.steps[0]
    rows = {row["key"]: row for row in Table(finished.steps[0].result_path)}
    failed = {"cut 1.jpg", "cut 2.jpg", "empty.png", "text.png"}
    everything = {row["key"] for row in Table(finished.steps[0].table_path)}
    cut = min(row["lighting_score"] for row in rows.values())
    small, below = unselected.reasons
    assert (small.message, small.count, below.message, below.count) == (
        "too small",
        1,
        f"below the cut at {cut:.4f}",
        2,
    )
    assert [(one.row["key"], one.said) for one in small.rejects] == [
        ("tiny.png", "its shorter side has 40 pixels; min_size is 50")
    ]
    assert {one.row["key"] for one in below.rejects} == everything - rows.keys() - failed - {"tiny.png"}
    scores = [one.row["lighting_score"] for one in below.rejects]
    assert scores == sorted(scores, reverse=True)
    assert [one.said for one in below.rejects] == [f"score {score:.4f}, below the cut at {cut:.4f}" for score in scores]
    assert len(Page(write_report(finished)).all("figure", "example")) == 4 + 3


def test_of_each_reason_there_are_examples_however_rare_it_is(tmp_path, photographs, monkeypatch):
    run = make_run(tmp_path, photographs, RELIGHT)
    finish(run, until=lambda step: step.module == "degrade")
    step = run.steps[0]
    keys = [row["key"] for row in Table(step.table_path)]
    with open(step.folder / "passed_over.csv", "w", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["key", "image_path", "lighting_score", "reason", "passed_over"])
        lines.writerows(
            [f"away {number}.jpg", "", 0.5, "near-duplicates", "near-duplicate of a"] for number in range(50)
        )
        lines.writerow([keys[0], "", 0.5, "not sharp", "its sharpness is 0.01"])
        lines.writerows([key, "", 0.5, "near-duplicates", "near-duplicate of a"] for key in keys[1:])
    monkeypatch.setattr(unselected, "MOST_READ", 200)
    duplicates, blurred = rejects(run, "dropped").reasons
    assert (duplicates.message, duplicates.count, blurred.message, blurred.count) == (
        "near-duplicates",
        60,
        "not sharp",
        1,
    )
    assert [one.row["key"] for one in blurred.rejects] == [keys[0]]
    assert {one.row["key"] for one in duplicates.rejects} == set(keys[1:])
    monkeypatch.setattr(unselected, "MOST_READ", 2)
    assert [len(unselected.passed_over(step)[1][reason]) for reason in ("near-duplicates", "not sharp")] == [2, 1]


def test_what_a_gate_rejects_is_shown_beside_its_photograph(tmp_path, photographs):
    run = make_run(tmp_path, photographs, RELIGHT.replace("mask: none", "mask: none, quality: {{most_psnr: 7}}"))
    finish(run)
    rejected = rejects(run, "failed", place=1)
    [reason] = rejected.reasons
    assert (rejected.title, reason.count) == ("failed in step 2 (degrade)", 4)
    assert (reason.error, reason.message) == (
        "Rejected", "the degraded image hardly differs: PSNR … dB, at most … is kept"
    )  # fmt: skip
    examples = examples_of(rejected.step, reason)
    assert all(one.is_pair and one.picture.width > one.picture.height for one in examples)
    assert {unquote(one.picture.link) for one in examples} == {
        "step_2_degrade/thumbnails/" + file_name(one.key, ".jpg") for one in examples
    }
    assert len(Page(write_report(run)).all("figure", "example pair")) == 4


def test_what_merging_leaves_out_is_shown_with_the_reason(tmp_path, photographs):
    run = make_run(tmp_path, photographs, RELIGHT)
    finish(run, until=lambda step: step.module == "caption")
    do(run.steps[2], list(Table(run.steps[2].table_path)))
    lost = Table(run.steps[1].result_path)[1]
    Path(lost["output_image_path"]).unlink()
    finish(run)
    left_out = rejects(run, "dropped", place=1)
    assert (left_out.title, left_out.total) == ("not selected by step 4 (triplets)", 1)
    [reason] = left_out.reasons
    assert (reason.message, reason.count) == ("whose output_image_path is not there", 1)
    assert [(one.row["key"], one.said) for one in reason.rejects] == [
        (lost["key"], "a row whose output_image_path is not there")
    ]
    [example] = examples_of(left_out.step, reason)
    assert example.is_pair and example.picture is not None


def test_what_verifies_the_choice_is_in_the_report(finished):
    folder = finished.steps[0].folder
    page = Page(write_report(finished))
    assert "7 photographs in the ranking" not in page.text  # the one that is too small is in none
    assert "6 photographs in the ranking, 4 kept and 2 rejected" in page.text
    assert "gap at the cut: " in page.text and "the 10 best kept" not in page.text
    with open(folder / "threshold_analysis.csv", newline="") as file:
        for row in csv.DictReader(file):
            first, last, *numbers = row.values()
            assert " ".join([f"{first} to {last}", *filter(None, numbers)]) in page.text
    names = [unquote(link["href"]) for link in page.all("a") if link.get("href", "").startswith("step_1_filter/")]
    for name in verification.PICTURES:
        if name != "top_images_grid.png":  # the config wants none
            assert names.count(f"step_1_filter/{name}") == 2  # the picture, and in the list of files
    shown = content(finished)["verification"].pictures
    assert len(shown) == 6 and all(picture.width <= verification.CUT_PICTURE_SIDE for _, _, picture in shown)


def test_a_cut_that_is_only_looked_at_is_called_so(tmp_path, photographs, finished):
    run = make_run(tmp_path, photographs, RELIGHT.replace("min_size: 50", "cutoff: 2"))
    finish(run, until=lambda step: step.module == "degrade")
    text = Page(write_report(run)).text
    assert "As if it were cut after 2, which the option cutoff asks for. 7 photographs in the ranking, 2 kept" in text
    assert "As if it were cut" not in Page(write_report(finished)).text


def test_of_too_many_intervals_some_are_shown_and_it_is_said(tmp_path, photographs, finished, monkeypatch):
    step = finished.steps[0]
    everything, is_all = verification.intervals_of(step)
    assert is_all and [row["ranks"] for row in everything] == [f"{rank} to {rank}" for rank in range(1, 7)]
    monkeypatch.setattr(verification, "MOST_INTERVALS", 3)
    some, is_all = verification.intervals_of(step)
    assert not is_all and [row["ranks"] for row in some] == ["1 to 1", "3 to 3", "6 to 6"]
    assert "(3 intervals of all, evenly)" in Page(write_report(finished)).text
    monkeypatch.undo()
    write_report(finished)


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
