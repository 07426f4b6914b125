"""The README's first command, launched once for all of these: what it leaves, and what the other commands say about it."""

import csv
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shared.dataset import Source
from tests.conftest import ROOT
from tests.default_run import EXPECTED, digests, machine

SAMPLES = ROOT / "configs" / "samples"
SPLITS = ("train", "val", "test")
OF_THIS_RUN = ("progress", "result.json", ".lock", "claims", "end")  # names that say who did it and when


def test_it_leaves_what_it_has_always_left(default_run):
    """In another folder, and with two workers, where the run that was written down had one."""
    expected = json.loads(EXPECTED.read_text())
    if expected["machine"] != (here := machine()):
        other = [name for name in here if expected["machine"].get(name) != here[name]]
        pytest.skip(f"digests are of another {', '.join(other)}; python -m tests.default_run FOLDER writes them anew")
    found = digests(default_run.output)
    assert {name: value for name, value in found.items() if expected["files"].get(name) != value} == {}
    assert set(found) == set(expected["files"])


def test_it_says_where_the_triplets_and_the_report_are(default_run):
    *_, tables, report = default_run.said.splitlines()
    assert tables == f"launcher: tables and triplets: {default_run.output}/step_4_merge_triplets/"
    assert report == f"launcher: report: {default_run.output}/report.html"


@pytest.mark.parametrize(
    ("command", "words"), [("status", "12 of 12 recorded"), ("verify", "12"), ("validate", "24 triplets, nothing")]
)
def test_it_is_whole(default_run, command, words):
    done = default_run.look(command)
    assert done.returncode == 0, done.stdout
    assert words in done.stdout


def test_a_model_is_trained_on_its_dataset_as_it_lies_there(default_run, tmp_path, request):
    for package in ("torch", "diffusers", "peft"):
        pytest.importorskip(package)
    from tests.training_run import make_step, train, write_config

    dataset = default_run.output / "step_4_merge_triplets" / "dataset"
    config = write_config(
        tmp_path / "run.yaml",
        dataset,
        family="sd15",
        model_path=request.getfixturevalue("tiny_sd15"),
        max_train_steps=1,
    )
    step = make_step(config, tmp_path / "run")
    assert train(step)
    assert (step.folder / "model" / "model.json").exists()


def test_merging_again_changes_nothing(default_run):
    before = digests(default_run.output)
    assert default_run.look("merge").returncode == 0
    assert digests(default_run.output) == before


def read_csv(path: Path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def hashes(run: Path) -> dict[str, str]:
    files = (path for path in run.rglob("*") if path.is_file() and not path.name.startswith(OF_THIS_RUN))
    files = (path for path in files if not path.name.endswith(".index"))
    place = str(run).encode()  # which absolute paths begin with
    contents = ((path, path.read_bytes().replace(place, b"RUN")) for path in files)
    return {str(path.relative_to(run)): hashlib.sha256(content).hexdigest() for path, content in contents}


def test_every_photograph_is_scored_and_the_tables_have_the_contracts_columns(default_run):
    run = default_run.output
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


def test_a_triplet_is_the_photograph_in_another_light_its_words_and_itself(default_run):
    run = default_run.output
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
            assert 3 <= len(triplet["instruction"].replace(",", " ").split()) <= 15
            count += 1
    assert count == len(list(SAMPLES.glob("*.jpg")))


def test_the_triplets_of_the_run_are_a_dataset(default_run):
    folder = default_run.output / "step_4_merge_triplets" / "dataset"
    items = Source(str(folder), image_key=["edited_image", "input_image"]).items()
    assert {Path(item["key"]).name.split("-")[0] for item in items} == {path.stem for path in SAMPLES.glob("*.jpg")}


def test_behind_a_masked_person_every_pixel_is_the_photographs(default_run):
    run = default_run.output
    rows = [json.loads(line) for line in (run / "step_2_degrade" / "result.jsonl").read_text().splitlines()]
    masked = [row for row in rows if row["mask"] == "person"]
    assert {row["key"] for row in masked} == {"admiral.jpg", "astronaut.jpg", "cameraman.jpg"}
    for row in masked:
        folder = run / "step_2_degrade"
        photograph = np.asarray(Image.open(row["image_path"]).convert("RGB"))
        degraded = np.asarray(Image.open(folder / row["output_image_path"]))
        outside = np.asarray(Image.open(folder / row["mask_path"])) == 0
        assert outside.mean() > 0.1
        assert np.array_equal(degraded[outside], photograph[outside])


def test_the_report_is_one_file_that_needs_no_network(default_run):
    run = default_run.output
    report = (run / "report.html").read_text()
    assert "http://" not in report.replace("http://www.w3.org", "") and 'src="//' not in report
    assert "astronaut.jpg" in report and "data:image/jpeg;base64," in report


def test_a_second_run_does_nothing(default_run):
    before = hashes(default_run.output)
    done = default_run.look()
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True), done.stdout
    assert hashes(default_run.output) == before


@pytest.mark.slow
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


@pytest.mark.slow
def test_with_its_images_in_tars_and_its_records_packed_it_makes_the_same_dataset(default_run, tmp_path):
    words = ["run", "--set", "2.images=tar", "--set", "1.records=packed"]
    done = default_run.look(*words, OUTPUT_DIR=tmp_path / "run", LOG_DIR=tmp_path / "logs")
    assert done.returncode == 0, done.stdout
    degraded = tmp_path / "run" / "step_2_degrade"
    assert [path.name for path in sorted((degraded / "tars").glob("*.tar"))] == ["0-0.tar", "1-0.tar"]
    assert not list(degraded.glob("data-*")) and not (tmp_path / "run" / "step_1_filter" / "records").exists()
    made, usual = (run / "step_4_merge_triplets" / "dataset" for run in (tmp_path / "run", default_run.output))
    names = sorted(str(path.relative_to(usual)) for path in usual.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    assert all((made / name).read_bytes() == (usual / name).read_bytes() for name in names)
    for command, words in (("verify", "everything that is recorded is whole"), ("validate", "24 triplets, nothing")):
        looked = default_run.look(command, OUTPUT_DIR=tmp_path / "run", LOG_DIR=tmp_path / "logs")
        assert looked.returncode == 0 and words in looked.stdout, looked.stdout
    tar = degraded / "tars" / "0-0.tar"
    with open(tar, "r+b") as file:
        file.seek(tar.stat().st_size // 2)
        file.write(b"spoiled by somebody")
    spoiled = default_run.look("verify", OUTPUT_DIR=tmp_path / "run", LOG_DIR=tmp_path / "logs")
    assert spoiled.returncode == 1 and "is not the one that was written" in spoiled.stdout
