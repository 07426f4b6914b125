"""Scenes that are rendered in known light, and the triplets made of them."""

import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from shared.light.colour import luminance, srgb_to_linear
from shared.light.scenes.sides import SIDES, SURFACES, draw_surface
from tests.conftest import ROOT


@pytest.mark.parametrize("family", SURFACES)
def test_a_scene_is_the_same_every_time_and_as_bright_from_every_side(family):
    surface, again = (draw_surface(family, np.random.default_rng(3), 48) for _ in range(2))
    images = {side: surface.lit(side) for side in SIDES}
    for side, image in images.items():
        assert np.array_equal(image, again.lit(side)), side
    means = [luminance(srgb_to_linear(image)).mean() for image in images.values()]
    assert np.ptp(means) < 0.15 * means[0]
    assert len({image.tobytes() for image in images.values()}) == len(SIDES)


@pytest.mark.parametrize("family", SURFACES)
def test_the_paint_cancels_in_the_ratio_of_two_lights(family):
    surface = draw_surface(family, np.random.default_rng(5), 48)
    left, front = (srgb_to_linear(surface.lit(side)).mean(axis=-1) for side in ("left", "front"))
    usable = (front > 0.02) & (left > 0.02) & (left < 0.9)
    ratio = (left / front)[usable] / (surface.shading("left") / surface.shading("front"))[usable]
    assert np.ptp(np.percentile(ratio, (2, 98))) < 0.25 * np.median(ratio)


@pytest.mark.slow
def test_the_step_makes_a_triplet_for_every_side(project):
    project.input = project.folder / "scenes.txt"
    project.input.write_text("scene-{08..19}\n")
    project.write_config(
        {"type": "scenes", "config": {"size": 32, "sides": ["left", "above"], "split_ratios": [0.5, 0.25, 0.25]}},
        key_column="text",
    )
    done = project.run()
    assert done.returncode == 0, done.stdout
    rows = project.rows("step_1_scenes")
    assert [row["key"] for row in rows] == [f"scene-{n:02d}-{side}" for n in range(8, 20) for side in ("left", "above")]
    assert {row["key"].rpartition("-")[2]: row["edit_prompt"] for row in rows} == {
        "left": "light from the left", "above": "light from above",
    }  # fmt: skip
    for left, above in zip(rows[::2], rows[1::2], strict=True):
        same = ("scene", "family", "split", "input_image_path", "normals_path")
        assert [left[name] for name in same] == [above[name] for name in same]
        assert left["image_path"] != above["image_path"]
        with Image.open(project.output / "step_1_scenes" / left["image_path"]) as image:
            assert (image.size, image.mode) == ((32, 32), "RGB")
    splits = Counter(row["split"] for row in rows)
    assert set(splits) == {"train", "val", "test"} and splits["train"] >= 6
    assert len({row["family"] for row in rows}) == 3
    assert json.loads((project.output / "step_1_scenes" / "result.json").read_text())["recorded"] == 12


def test_a_side_that_is_none_is_refused(project):
    project.input = ROOT / "configs" / "scenes.txt"
    project.write_config({"type": "scenes", "config": {"sides": ["behind"]}}, key_column="text")
    done = project.run()
    assert done.returncode == 2
    assert "sides.0 is 'behind'" in done.stdout
