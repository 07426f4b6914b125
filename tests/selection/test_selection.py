"""What is kept for the variety of its light, what is passed over, and the numbers and pictures that show it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter, ImageOps

from shared.errors import ConfigError, RunError
from shared.files.table import Table
from shared.reporting.rejects import examples_of
from shared.reporting.report import content, write_report
from shared.run.config import checked
from shared.selection.kinds import SHAPE, choose_diverse, entropy, kinds_of
from shared.selection.measured import DIRECTIONS, KEYS, Measured, MeasuredLight
from shared.worker import Loaded
from tests.reporting.reported_runs import Page, finish, make_run
from tests.selection.lit_photographs import lit, read
from tests.workers.filtering import SAMPLES, collect, made_up
from workers.filter import Filter


def kinds_in(rows: list[dict]) -> np.ndarray:
    return kinds_of(Measured.of(rows).light)


def light_of(**values) -> MeasuredLight:
    known = {"azimuth_degrees": None, "direction": None, "hardness": 0.5, "cct_kelvin": 5500, "key": "mid"} | values
    row = made_up(1)[0] | {"light": known | {"contrast": 5.0, "exposure_ev": 0.0}}
    return Measured.of([row]).light


def test_every_combination_of_words_and_classes_is_a_kind_of_its_own():
    found = [
        int(kinds_of(light_of(direction=direction, hardness=hardness, cct_kelvin=kelvin, key=key))[0])
        for direction in [*DIRECTIONS, None]
        for hardness in (0.1, 0.5, 0.9)
        for kelvin in (3000, 5500, 9000)
        for key in KEYS
    ]
    assert found == list(range(270)) == list(range(int(np.prod(SHAPE))))


@pytest.mark.parametrize(
    ("one", "other"), [({"hardness": 0.34}, {"hardness": 0.66}), ({"cct_kelvin": 4301}, {"cct_kelvin": 7499})]
)
def test_what_lies_between_the_edges_of_a_class_is_of_one_kind(one, other):
    assert kinds_of(light_of(**one)) == kinds_of(light_of(**other))


def test_light_that_was_not_measured_is_a_kind_beside_the_others():
    assert kinds_in(made_up(3)).tolist() == [270, 270, 270]


def test_the_entropy_is_that_of_shannon_in_bits():
    assert entropy(np.array([7, 7, 3, 9])) == pytest.approx(1.5)
    assert entropy(np.array([5])) == 0


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=120).map(lambda kinds: sorted(kinds, key=lambda kind: kind % 4)),
    st.integers(1, 120),
)
@settings(max_examples=200, deadline=None)
def test_the_chosen_are_as_varied_as_all_or_as_they_can_be_and_the_best_of_their_kind(kinds, count):
    kinds = np.array(kinds)
    chosen = choose_diverse(kinds, count)
    count = min(count, len(kinds))
    assert len(set(chosen.tolist())) == count and sorted(chosen.tolist()) == chosen.tolist()
    _, sizes = np.unique(kinds, return_counts=True)
    assert entropy(kinds[chosen]) >= min(entropy(kinds), most_varied(sizes, count)) - 1e-6
    assert entropy(kinds[chosen]) >= entropy(kinds[:count]) - 1e-6
    for kind in set(kinds.tolist()):
        members = np.flatnonzero(kinds == kind)
        taken = np.isin(members, chosen)
        assert taken.tolist() == sorted(taken.tolist(), reverse=True)


def most_varied(sizes: np.ndarray, count: int) -> float:
    """The entropy of taking one of the rarest kind that has more, again and again."""
    taken = np.zeros_like(sizes)
    for _ in range(count):
        taken[np.argmin(np.where(taken < sizes, taken, np.iinfo(int).max))] += 1
    return entropy(np.repeat(np.arange(len(sizes)), taken))


def test_rank_decides_where_the_best_are_varied_enough():
    kinds = np.tile([0, 0, 0, 1, 2], 40)
    assert choose_diverse(kinds, 50).tolist() == list(range(50))


def test_fewer_than_there_are_kinds_are_the_best_of_the_best_kinds():
    assert choose_diverse(np.array([0, 0, 0, 1, 1, 2, 3]), 3).tolist() == [0, 3, 5]


def test_nothing_can_be_chosen_from():
    assert choose_diverse(np.zeros(0, dtype=int), 5).tolist() == []


@pytest.mark.slow
def test_a_diverse_selection_has_the_variety_of_the_pool_and_the_best_alone_have_not(tmp_path, capsys):
    rows = lit(3000)
    folder, diverse = collect(tmp_path / "diverse", rows, select="diverse", num_images=600)
    _, top = collect(tmp_path / "top", rows, num_images=600)
    pool = entropy(kinds_in(rows))
    assert len(diverse) == len(top) == 600
    assert pool - 1e-6 <= entropy(kinds_in(diverse)) < pool + 0.05
    assert entropy(kinds_in(top)) < 0.9 * pool
    assert set(kinds_in(diverse)) == set(kinds_in(rows))
    numbers = json.loads((folder / "selection.json").read_text())
    assert numbers["entropy_bits"] == {
        "pool": round(pool, 4),
        "kept": round(entropy(kinds_in(diverse)), 4),
        "top": round(entropy(kinds_in(top)), 4),
    }
    means = [float(np.mean([row["lighting_score"] for row in part])) for part in (rows, diverse, top)]
    assert numbers["mean_score"] == pytest.approx(dict(zip(("pool", "kept", "top"), means, strict=True)), abs=1e-6)
    assert means[0] < means[1] < means[2]
    said = capsys.readouterr().out
    assert f"variety of light: {entropy(kinds_in(diverse)):.2f} of the pool's {pool:.2f} bits (100%), " in said


@pytest.mark.slow
def test_tables_of_a_diverse_selection_are_best_first_and_its_splits_as_ever(tmp_path):
    folder, result = collect(tmp_path, lit(400), draws=True, select="diverse", num_images=90)
    scores = [row["lighting_score"] for row in json.loads((folder / "filtered_images.json").read_text())]
    assert scores == sorted((row["lighting_score"] for row in result), reverse=True)
    assert len(read(folder / "train_images.csv")) + len(read(folder / "val_images.csv")) < 90
    text = (folder / "verification.txt").read_text()
    assert text.startswith("400 photographs in the ranking, 90 kept and 310 rejected\n")
    assert "no cut by score: " in text and " of those rejected score higher than the last kept, " in text


@pytest.mark.parametrize("method", ["clip", "clip_antonym"])
def test_a_diverse_selection_by_clip_needs_the_light_to_be_measured(method):
    def check(**options):
        checked(Filter, {"method": method, "select": "diverse", **options}, "step 1 (filter)").check("step 1 (filter)")

    with pytest.raises(
        ConfigError, match=r"step 1 \(filter\): select: diverse needs the light that describe_light: true"
    ):
        check()
    check(describe_light=True)


def test_what_is_not_sharp_is_passed_over_and_said_so(tmp_path):
    rows = made_up(4)
    rows[2]["sharpness"], rows[1]["sharpness"] = 0.1234, 0.3
    folder, result = collect(tmp_path, rows, min_sharpness=0.3, min_size=101)
    assert [row["key"] for row in result] == ["00001.jpg", "00003.jpg"]
    assert [(row["key"], row["passed_over"]) for row in read(folder / "passed_over.csv")] == [
        ("00002.jpg", "its sharpness is 0.12; min_sharpness is 0.3"),
        ("00000.jpg", "its shorter side has 100 pixels; min_size is 101"),
    ]
    assert json.loads((folder / "selection.json").read_text())["passed_over"] == {"too small": 1, "not sharp": 1}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("faces", "kept", "sentence"),
    [
        ("require", ["astronaut.jpg"], "no face was found in it; faces is require"),
        ("none", ["coffee.jpg"], "a face was found in it; faces is none"),
    ],
)
def test_photographs_with_a_face_or_without_one_are_kept_on_request(tmp_path, faces, kept, sentence):
    worker = Filter(faces=faces)
    worker.setup()
    items = [{"key": name, "image_path": str(SAMPLES / name)} for name in ("astronaut.jpg", "coffee.jpg")]
    found = worker.process([Loaded(item, worker.load(item)) for item in items])
    rows = [{**item, **record} for item, record in zip(items, found, strict=True)]
    assert [row["faces"] for row in rows] == [1, 0]
    folder, result = collect(tmp_path, rows, faces=faces)
    assert [row["key"] for row in result] == kept
    assert [row["passed_over"] for row in read(folder / "passed_over.csv")] == [sentence]


def test_a_duplicate_is_of_the_best_that_may_be_kept(tmp_path):
    rows = made_up(3)
    for row in rows:
        row |= {name: rows[0][name] for name in ("phash", "phash_mirrored", "phash_fine")}
    rows[2]["sharpness"] = 0.1
    folder, result = collect(tmp_path, rows, min_sharpness=0.3)
    assert [row["key"] for row in result] == ["00001.jpg"]
    said = {row["key"]: row["passed_over"] for row in read(folder / "passed_over.csv")}
    assert said == {
        "00002.jpg": "its sharpness is 0.10; min_sharpness is 0.3",
        "00000.jpg": "near-duplicate of 00001.jpg",
    }


def test_a_record_of_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    rows = made_up(2)
    del rows[1]["phash"]
    with pytest.raises(RunError) as failure:
        collect(tmp_path, rows)
    assert str(failure.value) == (
        "the record of 00001.jpg has no phash, as an earlier version made it; to score anew, take a new OUTPUT_DIR, "
        "or move this step's folder away"
    )


@pytest.mark.slow
def test_the_report_says_what_was_passed_over_and_how_varied_the_choice_is(tmp_path):
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for name in ("coffee.jpg", "fig.jpg", "mountains.jpg"):
        with Image.open(SAMPLES / name) as image:
            image.thumbnail((300, 300))
            image.save(photographs / name)
            ImageOps.mirror(image).save(photographs / f"mirrored {name}", quality=60)
            image.filter(ImageFilter.GaussianBlur(6)).resize((200, 150)).save(photographs / f"blurred {name}")
    config = (
        "meta_path: {photographs}\nsteps:\n  - type: filter\n"
        "    config: {{select: diverse, num_images: 2, min_sharpness: 0.3}}\n"
    )
    run = make_run(tmp_path, photographs, config)
    finish(run)
    told = content(run)
    [loss] = told["stages"][0].losses
    assert (loss.count, loss.reason) == (7, "not selected (3 not sharp, 3 near-duplicates)")
    [found] = told["rejected"]
    assert [(reason.message, reason.count) for reason in found.reasons] == [
        ("near-duplicates", 3), ("not sharp", 3), ("there are better ones of its kind of light", 1)
    ]  # fmt: skip
    reasons = {one.row["key"]: one.said for reason in found.reasons for one in reason.rejects}
    assert {one.picture is not None for reason in found.reasons for one in examples_of(found.step, reason)} == {True}
    kept = {row["key"] for row in Table(run.steps[0].result_path)}
    for name in ("coffee.jpg", "fig.jpg", "mountains.jpg"):
        assert "; min_sharpness is 0.3" in reasons.pop(f"blurred {name}")
        [copy] = [one for one in (name, f"mirrored {name}") if reasons.get(one, "").startswith("near-duplicate of ")]
        original = reasons.pop(copy).removeprefix("near-duplicate of ")
        assert {copy, original} == {name, f"mirrored {name}"}
        assert (original in kept) != (original in reasons)
    assert [message.split("; ")[1] for message in reasons.values()] == ["there are better ones of its kind of light"]
    text = Page(write_report(run)).text
    assert "9 scored, 2 kept. Passed over: 3 not sharp, 3 near-duplicates. Variety of light: " in text
    for name in ("light_histograms.png", "threshold_analysis.csv", "passed_over.csv", "verification.txt"):
        assert f"step_1_filter/{name}" in (run.folder / "report.html").read_text()
