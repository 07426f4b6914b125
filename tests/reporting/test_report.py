"""The report says what became of every item, in one file, whatever the config, the keys and the words are."""

import csv
import statistics
from pathlib import Path
from urllib.parse import unquote

import pytest

from shared.files.names import file_name
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.files.table import Table
from shared.reporting import cut_pictures, unselected
from shared.reporting.funnel import Loss
from shared.reporting.rejects import Rejects, examples_of
from shared.reporting.report import content, write_report
from shared.run.advance import advance
from shared.run.run import Run
from tests.reporting.reported_runs import RELIGHT, TEMPLATE, Page, do, finish, make_run


def rejects(run: Run, kind: str, place: int = 0) -> Rejects:
    return [found for found in content(run)["rejected"] if found.kind == kind][place]


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
    assert "of 11, 4 failed (2 × is damaged: image file is truncated; 1 × is " in text
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
        ("ImageError", "… is damaged: image file is truncated", ["cut 1.jpg", "cut 2.jpg"]),
        ("ImageError", "… is empty", ["empty.png"]),
        ("ImageError", "… is not an image that can be read", ["text.png"]),
    ]
    assert [one.picture for of_reason in examples for one in of_reason] == [None] * 4
    assert not examples[0][0].message


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


def test_of_each_reason_there_are_examples_however_rare_it_is(copy_of_finished, monkeypatch):
    run = copy_of_finished
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            first, last, *numbers = cut_pictures.rounded(row).values()
            assert " ".join([f"{first} to {last}", *filter(None, numbers)]) in page.text
    names = [unquote(link["href"]) for link in page.all("a") if link.get("href", "").startswith("step_1_filter/")]
    for name in cut_pictures.PICTURES:
        if name != "top_images_grid.png":  # the config wants none
            assert names.count(f"step_1_filter/{name}") == 2  # the picture, and in the list of files
    shown = content(finished)["verification"].pictures
    assert len(shown) == 6 and all(picture.width <= cut_pictures.CUT_PICTURE_SIDE for _, _, picture in shown)


@pytest.mark.slow
def test_a_cut_that_is_only_looked_at_is_called_so(tmp_path, photographs, finished):
    run = make_run(tmp_path, photographs, RELIGHT.replace("min_size: 50", "cutoff: 2"))
    finish(run, until=lambda step: step.module == "degrade")
    text = Page(write_report(run)).text
    assert "As if it were cut after 2, which the option cutoff asks for. 7 photographs in the ranking, 2 kept" in text
    assert "As if it were cut" not in Page(write_report(finished)).text


def test_of_too_many_intervals_some_are_shown_and_it_is_said(tmp_path, photographs, finished, monkeypatch):
    step = finished.steps[0]
    everything, is_all = cut_pictures.intervals_of(step)
    assert is_all and [row["ranks"] for row in everything] == [f"{rank} to {rank}" for rank in range(1, 7)]
    monkeypatch.setattr(cut_pictures, "MOST_INTERVALS", 3)
    some, is_all = cut_pictures.intervals_of(step)
    assert not is_all and [row["ranks"] for row in some] == ["1 to 1", "3 to 3", "6 to 6"]
    assert "(3 intervals of all, evenly)" in Page(write_report(finished)).text
    monkeypatch.undo()
    write_report(finished)


def test_the_numbers_of_an_interval_have_as_many_digits_as_one_reads():
    row = {
        "photographs": "2",
        "mean_score": "0.12345",
        "low_key": "0.5",
        "mean_cct_kelvin": "5863.04",
        "mean_contrast": "",
    }
    assert cut_pictures.rounded(row) == {
        "photographs": "2", "mean_score": "0.123", "low_key": "50%", "mean_cct_kelvin": "5863", "mean_contrast": "",
    }  # fmt: skip
