"""What the report says of a trained model: the loss, the held-out triplets, the scores beside the identity floor."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from shared.files.table import Table
from shared.reporting.report import content, write_report
from shared.reporting.trained import MOST_POINTS, curve, means, training_of
from shared.run.config import load_config
from shared.run.run import Run
from tests.run.test_advance import Bench
from tests.workers.test_evaluate import rows  # noqa: F401 - a fixture


@pytest.fixture
def run(tmp_path, rows) -> Run:  # noqa: F811
    """A run whose training lies in its folder as the trainer leaves it, and whose evaluation is done."""
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [{"type": "train", "config": {"family": "pixel", "resolution": 16}}, {"type": "evaluate", "config": {}}]
    (tmp_path / "run.yaml").write_text(json.dumps({"meta_path": "rows.jsonl", "steps": steps}))
    run = Run(load_config(tmp_path / "run.yaml"), tmp_path / "out")
    run.input.folder.mkdir(parents=True)
    Table.write(run.input.result_path, run.source.items(), run.folder)
    train, evaluate = run.steps
    train.folder.mkdir()
    Table.write(train.result_path, Table(train.table_path), run.folder)
    with open(train.folder / "loss.jsonl", "w") as file:
        for step in range(1, 1001):
            file.write(json.dumps({"step": step, "loss": 1 / step, "learning_rate": 1e-4}) + "\n")
        file.write('{"step": 1001, "lo')  # a crash
    for step, psnr in ((500, 20.0), (1000, 30.0)):
        folder = train.folder / "validation" / str(step)
        folder.mkdir(parents=True)
        Image.fromarray(np.full((32, 96, 3), step % 255, np.uint8)).save(folder / "0.png")
        found = {"step": step, "texts": ["<b>warm</b> light"], "validation_psnr": psnr, "validation_psnr_floor": 15.0}
        (folder / "validation.json").write_text(json.dumps(found))
    bench = Bench(tmp_path)
    while (reached := bench.advance(run, only=[evaluate])).step:
        bench.work(reached.step)
    return run


def test_the_page_shows_the_training_and_the_scores(run):
    page = write_report(run).read_text()
    assert "1,000 steps." in page and "Held-out triplets at step 1,000" in page
    assert "&lt;b&gt;warm&lt;/b&gt; light" in page and "<b>warm" not in page
    scores = {score.label: score for score in content(run)["scores"]}
    summary = json.loads((run.steps[1].folder / "evaluation.json").read_text())
    assert scores["PSNR"].mean == summary["psnr"]["mean"] and scores["PSNR"].floor == summary["psnr"]["floor_mean"]
    assert f"{summary['psnr']['mean']:.2f} dB" in page and "67 % of the images" in page
    assert 'href="step_2_evaluate/evaluation.csv"' in page
    write_report(run)
    assert (run.folder / "report.html").read_text() == page


def test_cards_are_strips_ordered_by_gain(run):
    page = write_report(run).read_text()
    gains = [float(gain) for gain in re.findall(r'data-gain="([-\d.]+)"', page)]
    assert gains == sorted((row["psnr_gain"] for row in Table(run.steps[1].result_path)), reverse=True)
    card = content(run)["gallery"].cards[0]
    assert [shown.label for shown in card.pictures] == ["photograph", "relit", "input"]
    assert all(shown.picture for shown in card.pictures)
    assert card.keywords == "light 0"
    assert 'class="pictures strip"' in page and 'name="order"' in page


def test_that_only_the_test_split_was_relit_is_no_remark(run):
    assert not any("split" in remark for remark in content(run)["remarks"])


def test_the_identity_floor_stays_that_of_the_input(run):
    floors = [row["psnr_floor"] for row in Table(run.steps[1].result_path)]
    assert content(run)["psnr"].mean == pytest.approx(np.mean(floors))


def test_a_training_is_read_up_to_its_last_whole_line(run):
    training = training_of(run.steps[0])
    assert training.steps_done == 1000
    assert len(training.loss.lines["loss"].split()) == MOST_POINTS
    assert training.validation.lines == {"output": "0.0,66.667 100.0,0.0", "input as it is": "0.0,100.0 100.0,100.0"}
    assert [text for text, _ in training.strips] == ["<b>warm</b> light"]


def test_a_curve_is_made_of_means_and_steps_done_again_count_once():
    assert list(means([(1, 4.0), (2, 8.0), (2, 6.0), (3, float("nan"))])) == [(1, 4.0), (2, 6.0)]
    drawn = curve({"loss": [(0, 1.0), (10, 0.0)]})
    assert drawn.lines == {"loss": "0.0,0.0 100.0,100.0"}
    assert [tick.label for tick in drawn.ticks] == ["0", "2", "4", "6", "8", "10"]
    assert curve({"loss": [(0, 1.0)]}) is None
