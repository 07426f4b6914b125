"""The default run, from the bundled photographs to triplets, through the real launcher."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.dataset import Source
from tests.conftest import ROOT, Project

SAMPLES = ROOT / "configs" / "samples"
SPLITS = ("train", "val", "test")
OF_THIS_RUN = ("progress", "result.json", ".lock", "claims", "end")  # names that say who did it and when


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The same config in two folders, with one worker and with three."""
    project = Project(tmp_path_factory.mktemp("relight"))
    for name, count in (("one", 1), ("three", 3)):
        done = project.run(OUTPUT_DIR=project.folder / name / "run", GPU_COUNT=count, timeout=300)
        assert done.returncode == 0, done.stdout
    return project, project.folder / "one" / "run", project.folder / "three" / "run"


def read_csv(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def hashes(run: Path) -> dict[str, str]:
    files = (path for path in run.rglob("*") if path.is_file() and not path.name.startswith(OF_THIS_RUN))
    files = (path for path in files if not path.name.endswith(".index"))
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_gives_the_same_bytes_in_two_folders(runs):
    _, one, three = runs
    assert hashes(one) == hashes(three)
    assert len(hashes(one)) > 80


def test_every_photograph_is_scored_and_the_tables_have_the_contracts_columns(runs):
    _, run, _ = runs
    photographs = {str(path) for path in SAMPLES.glob("*.jpg")}
    scores = read_csv(run / "step_1_filter" / "all_scores.csv")
    assert {row["image_path"] for row in scores} == photographs
    assert [float(row["lighting_score"]) for row in scores] == sorted(
        (float(row["lighting_score"]) for row in scores), reverse=True
    )
    best_first = json.loads((run / "step_1_filter" / "filtered_images.json").read_text())
    assert [list(row) for row in best_first] == [["image_path", "lighting_score"]] * len(photographs)
    tables = {
        "step_1_filter/{}_images.csv": ["image_path", "lighting_score"],
        "step_2_degrade/albedo_csv_files/{}_images_with_albedo.csv": ["image_path", "lighting_score", "output_image_path"],
        "step_3_caption_keywords/{}_images_with_albedo_with_keywords.csv": [
            "image_path", "lighting_score", "output_image_path", "lighting_keywords",
        ],
    }  # fmt: skip
    for name, columns in tables.items():
        seen = []
        for split in SPLITS:
            path = run / name.format(split)
            assert path.read_text().splitlines()[0] == ",".join(columns)
            seen += [row["image_path"] for row in read_csv(path)]
        assert sorted(seen) == sorted(photographs)


def test_a_triplet_is_the_photograph_in_another_light_its_words_and_itself(runs):
    _, run, _ = runs
    count = 0
    for split in SPLITS:
        folder = run / "step_4_merge_triplets" / split
        triplets = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
        assert json.loads((folder / "metadata.json").read_text()) == triplets
        assert json.loads((folder / "stats.json").read_text())["total_samples"] == len(triplets)
        for triplet in triplets:
            assert list(triplet) == ["input_image", "instruction", "output_image"]
            degraded, photograph = Image.open(folder / triplet["input_image"]), Image.open(triplet["output_image"])
            assert degraded.size == photograph.size
            assert not np.array_equal(np.asarray(degraded), np.asarray(photograph.convert("RGB")))
            assert 5 <= len(triplet["instruction"].replace(",", " ").split()) <= 15
            count += 1
    assert count == len(list(SAMPLES.glob("*.jpg")))


def test_the_triplets_of_the_run_are_a_dataset_in_which_nothing_is_wrong(runs):
    project, run, _ = runs
    done = project.run("validate", OUTPUT_DIR=run)
    count = 2 * len(list(SAMPLES.glob("*.jpg")))  # merge's own metadata, and the folder for training
    assert (done.returncode, f"{count} triplets, nothing is wrong" in done.stdout) == (0, True), done.stdout
    items = Source(str(run / "step_4_merge_triplets" / "dataset"), image_key=["edited_image", "input_image"]).items()
    assert {Path(item["key"]).name.split("-")[0] for item in items} == {path.stem for path in SAMPLES.glob("*.jpg")}


def test_behind_a_masked_person_every_pixel_is_the_photographs(runs):
    _, run, _ = runs
    rows = [json.loads(line) for line in (run / "step_2_degrade" / "result.jsonl").read_text().splitlines()]
    masked = [row for row in rows if row["mask"] == "face"]
    assert {row["key"] for row in masked} == {"admiral.jpg", "astronaut.jpg"}
    for row in masked:
        folder = run / "step_2_degrade"
        photograph = np.asarray(Image.open(row["image_path"]).convert("RGB"))
        degraded = np.asarray(Image.open(folder / row["output_image_path"]))
        outside = np.asarray(Image.open(folder / row["mask_path"])) == 0
        assert outside.mean() > 0.1
        assert np.array_equal(degraded[outside], photograph[outside])


def test_the_report_is_one_file_that_needs_no_network(runs):
    _, run, _ = runs
    report = (run / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "") and 'src="//' not in report
    assert "astronaut.jpg" in report and "data:image/jpeg;base64," in report


def test_a_second_run_does_nothing_and_another_selection_needs_no_new_scores(runs):
    project, run, _ = runs
    before = hashes(run)
    done = project.run(OUTPUT_DIR=run)
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True), done.stdout
    assert hashes(run) == before


def test_your_own_photographs_in_any_folder(project, tmp_path):
    photographs = tmp_path / "my photos"
    for name, source in (("indoor/a.JPG", "coffee.jpg"), ("b c.jpeg", "cat.jpg")):
        path = photographs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((SAMPLES / source).read_bytes())
    done = project.run(INPUT=photographs, timeout=200)
    assert done.returncode == 0, done.stdout
    records = project.output / "step_3_caption_keywords" / "records"
    assert sorted(str(path.relative_to(records)) for path in records.rglob("*.json")) == [
        "b c.jpeg.json",
        "indoor/a.JPG.json",
    ]
    header = "image_path,lighting_score\n"
    sizes = [len((project.output / "step_1_filter" / f"{split}_images.csv").read_text()) for split in SPLITS]
    assert min(sizes) == len(header)  # an empty split is a file with a header
