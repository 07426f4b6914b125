"""How large the images of a triplet are, and in which format."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from shared.files.table import Table
from shared.images import ImageFile, open_image
from shared.light.scenes.scenes import render
from tests.workers.degrading import degrade, item_of, worker


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large.png"
    Image.fromarray(render("subject", 3, 240).image[:160]).resize((600, 400)).save(path)
    return path


def test_both_images_of_a_triplet_have_the_size(large):
    found = degrade(worker(size=150), item_of(large))
    target, output = found["image_path"], found["output_image_path"]
    assert (target.path, output.path) == ("data-train/indoor/a.png_input.png", "data-train/indoor/a.png_output.png")
    assert target.image.shape == output.image.shape == (100, 150, 3)
    assert np.array_equal(target.image, np.asarray(open_image(large, longest_side=150)))
    assert (found["width"], found["height"], found["image_member"]) == (150, 100, None)


@pytest.mark.parametrize("size", [None, 600, 4000])
def test_a_photograph_that_is_no_larger_stays_where_it_is(large, size):
    found = degrade(worker(size=size), item_of(large))
    assert "image_path" not in found
    assert found["output_image_path"].image.shape == (400, 600, 3)


def test_its_own_files_are_of_that_size_too_and_the_target_is_there_once(large, tmp_path):
    masks = tmp_path / "masks" / "indoor"
    masks.mkdir(parents=True)
    Image.fromarray(np.pad(np.full((200, 200), 255, np.uint8), ((100, 100), (200, 200)))).save(masks / "a.png")
    options = {"mask": "user", "mask_folder": tmp_path / "masks", "keep": ["input", "mask", "albedo"]}
    found = degrade(worker(size=150, **options), item_of(large))
    files = {name: value for name, value in found.items() if isinstance(value, ImageFile)}
    assert sorted(files) == ["albedo_path", "image_path", "mask_path", "output_image_path", "thumbnail_path"]
    assert {file.image.shape[:2] for name, file in files.items() if name != "thumbnail_path"} == {(100, 150)}
    outside = files["mask_path"].image == 0
    assert outside.mean() > 0.7
    assert np.array_equal(files["output_image_path"].image[outside], files["image_path"].image[outside])


def test_a_photograph_out_of_a_container_is_made_smaller_too(tmp_path):
    stored = io.BytesIO()
    Image.fromarray(render("subject", 3, 240).image).save(stored, "JPEG", quality=90)
    container = tmp_path / "some.tar"
    container.write_bytes(b"x" * 512 + stored.getvalue())
    item = {
        "key": "0001",
        "image_path": str(container),
        "image_member": {"offset": 512, "size": len(stored.getvalue())},
    }
    found = degrade(worker(size=100), item)
    assert found["image_path"].path == "data/0001_input.png"
    assert found["image_path"].image.shape[:2] == found["output_image_path"].image.shape[:2] == (100, 100)
    assert found["image_member"] is None


def test_images_are_webp_where_that_is_asked_for(large):
    found = degrade(worker(size=150, image_format="webp", keep=["mask", "metadata"]), item_of(large))
    names = {name: value.path for name, value in found.items() if isinstance(value, ImageFile)}
    assert names == {
        "image_path": "data-train/indoor/a.png_input.webp", "mask_path": "data-train/indoor/a.png_mask.webp",
        "metadata_path": "data-train/indoor/a.png_metadata.json", "output_image_path": "data-train/indoor/a.png_output.webp",
        "thumbnail_path": "thumbnails/indoor/a.png.jpg",
    }  # fmt: skip


def test_a_run_forecasts_the_room_of_smaller_images():
    assert (worker().forecast().images, worker().forecast().longest_side) == (1, None)
    small = worker(size=512, keep=["mask", "metadata"]).forecast()
    assert (small.images, small.longest_side) == (3, 512)


@pytest.mark.slow
def test_a_run_of_small_webp_ends_with_triplets_of_one_size_that_are_valid(project, large):
    folder = large.parent / "photographs"
    folder.mkdir()
    for name, side in (("a.png", 600), ("b.png", 400), ("c.png", 100)):
        Image.open(large).resize((side, side * 2 // 3)).save(folder / name)
    project.input = folder
    project.write_config(
        {"type": "degrade", "config": {"mask": "none", "size": 200, "image_format": "webp"}},
        {"type": "caption", "name": "keywords"},
        {"type": "merge", "config": {
            "triplets": {"input_image": "output_image_path", "instruction": "lighting_keywords", "output_image": "image_path"}
        }},
        image_key="image",
    )  # fmt: skip
    done = project.run()
    assert done.returncode == 0, done.stdout
    rows = list(Table(project.output / "step_3_merge" / "result.jsonl"))
    sizes = {}
    for row in rows:
        pair = [open_image(row[name]) for name in ("image_path", "output_image_path")]
        assert pair[0].size == pair[1].size
        sizes[row["key"]] = pair[0].size
    assert sizes == {"a.png": (200, 133), "b.png": (200, 133), "c.png": (100, 66)}
    assert project.run("validate").returncode == 0
    os.utime(folder / "a.png")  # of what is made of the smaller copy nothing is done again
    again = project.run()
    assert "nothing to do" in again.stdout, again.stdout
