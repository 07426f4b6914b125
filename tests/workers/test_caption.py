import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from shared.errors import ConfigError
from shared.files.records import Records
from shared.files.table import Table
from shared.light.scenes.scenes import render
from shared.run.config import checked
from shared.worker import Loaded
from tests.light.test_describe import ball
from workers.caption import Caption


def worker(seed=7, **options):
    made = checked(Caption, options, "step 3 (keywords)")
    made.seed = seed
    made.setup()
    return made


def caption(made, item):
    [(_, found)] = made.stream(iter([Loaded(item, made.load(item))]))
    return found


@pytest.fixture
def item(tmp_path):
    scene = render("subject", 4, 300)
    Image.fromarray(scene.image).save(tmp_path / "a.png")
    Image.fromarray(scene.image[:, ::-1]).save(tmp_path / "mirrored.png")
    Image.fromarray(np.full((300, 300, 3), 12, np.uint8)).save(tmp_path / "degraded.png")
    return {"key": "a.png", "image_path": str(tmp_path / "a.png"), "output_image_path": str(tmp_path / "degraded.png")}


def test_a_record_has_the_phrase_and_the_values_behind_it(item):
    found = caption(worker(), item)
    assert list(found) == ["lighting_keywords", "light"]
    assert 3 <= len(found["lighting_keywords"].replace(",", "").split()) <= 15
    assert json.loads(json.dumps(found)) == found
    assert set(found["light"]) == {
        "azimuth_degrees", "direction", "hardness", "cct_kelvin", "key", "contrast", "exposure_ev", "confidence",
        "is_colour_sure", "weather", "has_sun", "is_backlit",
        "shadows", "tinge", "is_lit_alone", "source", "outline", "pattern",
    }  # fmt: skip


def test_the_photograph_is_looked_at_and_not_the_degraded_image(item):
    # The degraded image is all but black; words about it would call it dark.
    assert caption(worker(), item)["light"]["key"] == "mid"


def test_a_mirrored_photograph_gets_mirrored_words(item, tmp_path):
    scene = render("subject", 10, 300)
    Image.fromarray(scene.image).save(tmp_path / "a.png")
    Image.fromarray(scene.image[:, ::-1]).save(tmp_path / "mirrored.png")
    mask = scene.mask
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask[:, ::-1]).save(tmp_path / "mirrored_mask.png")
    straight = caption(worker(), {**item, "mask_path": str(tmp_path / "mask.png")})
    mirrored = caption(
        worker(),
        {**item, "image_path": str(tmp_path / "mirrored.png"), "mask_path": str(tmp_path / "mirrored_mask.png")},
    )
    swap = {"left": "right", "right": "left"}
    expected = " ".join(
        swap.get(word.strip(","), word.strip(",")) + ("," if word.endswith(",") else "")
        for word in straight["lighting_keywords"].split()
    )
    assert "left" in expected or "right" in expected, "this scene is lit from a side"
    assert mirrored["lighting_keywords"] == expected


@pytest.mark.slow
def test_the_words_depend_on_the_seed_and_the_key_alone(item):
    first, again = caption(worker(), item), caption(worker(), item)
    assert first == again
    phrases = {caption(worker(seed), item)["lighting_keywords"] for seed in range(8)}
    assert len(phrases) > 3


def test_the_mask_of_the_step_before_is_used(item, tmp_path):
    """Light from the camera is told from how a subject darkens towards its outline."""
    photograph, mask = ball(0, elevation=90)
    Image.fromarray(photograph).save(tmp_path / "ball.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    item = {**item, "image_path": str(tmp_path / "ball.png")}
    with_mask = caption(worker(), {**item, "mask": "user", "mask_path": str(tmp_path / "mask.png")})
    without = caption(worker(), {**item, "mask": "none"})
    assert with_mask["light"]["direction"] == "front"
    assert without["light"]["direction"] is None


def test_an_unknown_engine_is_an_error():
    with pytest.raises(ConfigError, match="engine is 'gemini'; input should be"):
        checked(Caption, {"engine": "gemini"}, "step 3 (keywords)")


def collect(tmp_path, rows, source="/photos", is_first=True):
    step = SimpleNamespace(
        folder=tmp_path / "run" / "step_3_caption_keywords",
        run=SimpleNamespace(
            folder=tmp_path / "run", relative_within=tmp_path / "run", source=SimpleNamespace(meta_path=source)
        ),
    )
    step.folder.mkdir(parents=True)
    step.records = Records(step.folder)
    step.run.following = lambda _: step if is_first else None
    table = Table.write(step.folder / "result.jsonl", rows, step.run.folder)
    assert worker().collect(table, step) is None
    return {path.name: list(csv.reader(path.read_text().splitlines())) for path in sorted(step.folder.rglob("*.csv"))}


def test_each_split_has_its_table_with_the_columns_in_order(tmp_path):
    output = str(tmp_path / "run" / "step_2_degrade" / "data-train" / "a.jpg_output.png")
    found = collect(tmp_path, [{
        "key": "a.jpg", "image_path": "/photos/a.jpg", "split": "train", "lighting_score": 0.5, "output_image_path": output,
        "lighting_keywords": "soft light from the left, low contrast",
    }])  # fmt: skip
    header = ["image_path", "lighting_score", "output_image_path", "lighting_keywords"]
    row = [
        "/photos/a.jpg",
        "0.5",
        "../step_2_degrade/data-train/a.jpg_output.png",
        "soft light from the left, low contrast",
    ]
    assert found == {
        "test_images_with_albedo_with_keywords.csv": [header],
        "train_images_with_albedo_with_keywords.csv": [header, row],
        "val_images_with_albedo_with_keywords.csv": [header],
    }


def test_photographs_that_nothing_was_done_to_have_one_table_of_what_there_is(tmp_path):
    found = collect(
        tmp_path, [{"key": "a", "image_path": "/photos/a.jpg", "lighting_keywords": "soft light, low contrast"}]
    )
    assert found == {
        "images_with_albedo_with_keywords.csv": [
            ["image_path", "lighting_keywords"], ["/photos/a.jpg", "soft light, low contrast"],
        ]
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "is_first", "expected"),
    [
        ("/a/train_images_with_albedo.csv", True, "train_images_with_albedo_with_keywords.csv"),
        ("/a/train_images.csv", False, "train_images_with_albedo_with_keywords.csv"),
        ("/a/mine {1}.tsv", True, "mine {1}_with_keywords.csv"),
        ("/a/photos.d", True, "images_with_albedo_with_keywords.csv"),
    ],
)
def test_the_table_of_an_input_that_is_one_has_its_name(tmp_path, source, is_first, expected):
    row = {"key": "a", "image_path": "/photos/a.jpg", "lighting_keywords": "soft light, low contrast"}
    assert list(collect(tmp_path, [row], source, is_first)) == [expected]
