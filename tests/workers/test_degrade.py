"""Options of the degrade step, and the images that it refuses to make."""

import csv
import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from skimage import data

from shared.files.table import Table
from shared.images import ImageFile
from shared.light.scenes.scenes import render
from tests.workers.degrading import degrade, item_of, worker


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image)


def write_mask(photograph, tmp_path, name="indoor/a.png"):
    height, width = pixels_of(photograph).shape[:2]
    rows, columns = np.mgrid[:height, :width]
    mask = np.where(np.hypot(rows - height / 2, columns - width / 2) < 60, 255, 0).astype(np.uint8)
    path = tmp_path / "masks" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return tmp_path / "masks", mask


def test_a_photograph_without_a_mask_is_relit_as_a_whole(photograph):
    found = degrade(worker(), item_of(photograph))
    output = found["output_image_path"]
    assert output.path == "data-train/indoor/a.png_output.png"
    assert output.image.shape == (200, 240, 3)
    assert output.image.dtype == np.uint8
    assert (found["mask"], found["background"], found["albedo_method"]) == ("none", "whole", "flatten")
    assert (found["width"], found["height"], found["seed"]) == (240, 200, 7)
    assert np.abs(output.image.astype(int) - pixels_of(photograph)).mean() > 3


def test_the_record_has_the_names_of_the_contract_and_is_json(photograph):
    found = degrade(worker(), item_of(photograph))
    values = {name: value for name, value in found.items() if not isinstance(value, ImageFile)}
    assert json.loads(json.dumps(values)) == values
    assert {
        "degradation_type", "light_direction", "ambient", "has_specular", "specular_intensity", "shininess",
        "has_pattern", "pattern_type", "pattern_opacity", "pattern_blur",
    } <= values.keys()  # fmt: skip
    assert len(values["light_direction"]) == 3
    assert 0.15 <= values["blend_ratio"] <= 0.25
    assert values["psnr"] > 0
    assert -1 <= values["ssim"] <= 1


def test_the_same_seed_and_key_give_the_same_bytes_and_others_do_not(photograph):
    one, again = (degrade(worker(), item_of(photograph)) for _ in range(2))
    other = degrade(worker(), item_of(photograph, key="b"))
    changed = worker()
    changed.seed = 8
    reseeded = degrade(changed, item_of(photograph))
    assert one["output_image_path"].image.tobytes() == again["output_image_path"].image.tobytes()
    assert one["light_direction"] == again["light_direction"]
    assert one["light_direction"] != other["light_direction"]
    assert one["light_direction"] != reseeded["light_direction"]


def test_outside_the_mask_the_output_is_the_photograph_bit_for_bit(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path)
    found = degrade(worker(mask="user", mask_folder=folder), item_of(photograph))
    output, pixels = found["output_image_path"].image, pixels_of(photograph)
    assert (output[mask == 0] == pixels[mask == 0]).all()
    assert (output[mask > 0] != pixels[mask > 0]).any(axis=-1).mean() > 0.8
    assert (found["mask"], found["background"]) == ("user", "keep")


def test_a_grey_background_is_128_where_the_mask_is_0(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path)
    found = degrade(worker(mask="user", mask_folder=folder, background="grey"), item_of(photograph))
    assert (found["output_image_path"].image[mask == 0] == 128).all()


def test_a_grey_background_may_have_another_colour(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path)
    options = {"mask": "user", "mask_folder": folder, "background": "grey", "grey": [10, 200, 30]}
    found = degrade(worker(**options), item_of(photograph))
    assert (found["output_image_path"].image[mask == 0] == (10, 200, 30)).all()


def test_background_whole_relights_behind_the_subject_too(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path)
    found = degrade(worker(mask="user", mask_folder=folder, background="whole"), item_of(photograph))
    pixels = pixels_of(photograph)
    assert (found["output_image_path"].image != pixels).any(axis=-1)[mask == 0].mean() > 0.8


def test_masks_may_have_any_image_suffix_and_half_the_size(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path, "indoor/a.png.webp")
    Image.fromarray(mask).resize((120, 100)).save(folder / "indoor" / "a.png.webp", lossless=True)
    found = degrade(worker(mask="user", mask_folder=folder, keep=["mask"]), item_of(photograph))
    assert found["mask_path"].image.shape == mask.shape
    assert ((found["mask_path"].image > 127) == (mask > 127)).mean() > 0.98


def save_black(folder, width):
    Image.new("L", (width, 200)).save(folder / "indoor/a.png")


@pytest.mark.parametrize(
    ("make", "key", "sentence"),
    [
        (lambda folder: None, "indoor/a.png", "there is no mask for indoor/a.png in"),
        (lambda folder: save_black(folder, 50), "indoor/a.png", "is 50 x 200 pixels; its photograph is 240 x 200"),
        (lambda folder: save_black(folder, 240), "indoor/a.png", "the mask takes 0.0% of the image"),
        (lambda folder: None, "../a.png", "leaves the folder of masks"),
    ],
)  # fmt: skip
def test_a_mask_that_cannot_be_used_fails_its_item_with_a_sentence(photograph, tmp_path, make, key, sentence):
    (tmp_path / "masks" / "indoor").mkdir(parents=True)
    make(tmp_path / "masks")
    with pytest.raises(ValueError, match=sentence):
        degrade(worker(mask="user", mask_folder=tmp_path / "masks"), item_of(photograph, key=key))


def test_a_person_is_relit_and_the_wall_is_not(tmp_path):
    path = tmp_path / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    found = degrade(worker(mask="person", keep=["mask"]), item_of(path))
    mask, output = found["mask_path"].image, found["output_image_path"].image
    assert found["mask"] == "person"
    assert (output[mask == 0] == data.astronaut()[mask == 0]).all()
    assert (output[80:160, 190:250] != data.astronaut()[80:160, 190:250]).mean() > 0.8


def test_without_a_face_the_whole_image_is_relit_and_that_is_recorded(photograph):
    found = degrade(worker(mask="person"), item_of(photograph))
    assert (found["mask"], found["background"]) == ("none", "whole")


def test_the_files_that_are_asked_for_are_made_and_no_others(photograph, tmp_path):
    folder, mask = write_mask(photograph, tmp_path)
    keep = ["input", "albedo", "mask", "foreground", "background", "shading", "degraded_fg", "metadata"]
    found = degrade(worker(mask="user", mask_folder=folder, keep=keep), item_of(photograph))
    files = {name: value for name, value in found.items() if isinstance(value, ImageFile)}
    assert {value.path for value in files.values()} == {
        f"data-train/indoor/a.png_{name}.{'json' if name == 'metadata' else 'png'}" for name in [*keep, "output"]
    } | {"thumbnails/indoor/a.png.jpg"}
    pixels = pixels_of(photograph)
    assert (files["input_path"].image == pixels).all()
    assert (files["mask_path"].image == mask).all()
    foreground, background = (np.asarray(files[f"{name}_path"].image) for name in ("foreground", "background"))
    assert (foreground[..., 3] == mask).all()
    assert (background[..., 3] == 255 - mask).all()
    assert (foreground[..., :3] == pixels).all()
    assert files["albedo_path"].image.shape == pixels.shape
    assert files["shading_path"].image.shape == pixels.shape
    metadata = json.loads(files["metadata_path"].image)
    assert metadata["light_direction"] == found["light_direction"]
    assert metadata["psnr"] == found["psnr"]
    plain = degrade(worker(), item_of(photograph))
    always = ["output_image_path", "thumbnail_path"]
    assert [name for name, value in plain.items() if isinstance(value, ImageFile)] == always


def test_a_photograph_out_of_a_container_gets_a_file_of_its_own(tmp_path):
    stored = io.BytesIO()
    Image.fromarray(render("subject", 3, 120).image).save(stored, "JPEG", quality=90)
    container = tmp_path / "some.tar"
    container.write_bytes(b"x" * 512 + stored.getvalue())
    member = {"offset": 512, "size": len(stored.getvalue())}
    item = {"key": "0001", "image_path": str(container), "image_member": member}
    found = degrade(worker(), item)
    assert found["image_path"] == ImageFile("data/0001_input.jpg", stored.getvalue())
    assert found["image_member"] is None
    assert found["output_image_path"].path == "data/0001_output.png"


def test_the_upright_geometry_of_the_photograph_is_kept(tmp_path):
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(render("subject", 3, 160).image[:100]).save(path, exif=exif)
    found = degrade(worker(), item_of(path))
    assert found["output_image_path"].image.shape == (160, 100, 3)


def test_the_working_size_of_the_optics_does_not_change_the_size_of_the_output(tmp_path):
    path = tmp_path / "large.png"
    large = Image.fromarray(render("subject", 3, 240).image).resize((900, 700), Image.Resampling.BICUBIC)
    large.save(path)
    small, fine = (degrade(worker(max_size=size), item_of(path))["output_image_path"].image for size in (128, 900))
    assert small.shape == fine.shape == (700, 900, 3)
    assert 0 < np.abs(small.astype(int) - fine).mean() < 4


def collect(tmp_path, rows, source="/photos", is_first=True):
    step = SimpleNamespace(
        folder=tmp_path / "run" / "step_2_degrade",
        run=SimpleNamespace(
            folder=tmp_path / "run", relative_within=tmp_path / "run", source=SimpleNamespace(meta_path=source)
        ),
    )
    step.run.following = lambda _: step if is_first else None
    table = Table.write(step.folder / "result.jsonl", rows, step.run.folder)
    assert worker().collect(table, step) is None
    return {
        str(path.relative_to(step.folder)): list(csv.reader(path.read_text().splitlines()))
        for path in sorted(step.folder.rglob("*.csv"))
    }


def row_of(tmp_path, key, **fields):
    output = str(tmp_path / "run" / "step_2_degrade" / f"data-train/{key}_output.png")
    return {"key": key, "image_path": f"/photos/{key}", "output_image_path": output, **fields}


def test_there_is_a_table_for_each_split_and_the_legacy_copy(tmp_path):
    (tmp_path / "run" / "step_2_degrade").mkdir(parents=True)
    found = collect(tmp_path, [
        row_of(tmp_path, "b.jpg", split="train", lighting_score=0.25),
        row_of(tmp_path, "c.jpg", split="val", lighting_score=0.5),
        row_of(tmp_path, "a.jpg", split="train", lighting_score=0.75),
    ])  # fmt: skip
    header = ["image_path", "lighting_score", "output_image_path"]
    assert found == {
        "albedo_csv_files/train_images_with_albedo.csv": [
            header, ["/photos/b.jpg", "0.25", "../data-train/b.jpg_output.png"],
            ["/photos/a.jpg", "0.75", "../data-train/a.jpg_output.png"],
        ],
        "albedo_csv_files/val_images_with_albedo.csv": [
            header, ["/photos/c.jpg", "0.5", "../data-train/c.jpg_output.png"],
        ],
        "albedo_csv_files/test_images_with_albedo.csv": [header],
        "train_images_with_relighting_outputs.csv": [
            header, ["/photos/b.jpg", "0.25", "data-train/b.jpg_output.png"],
            ["/photos/a.jpg", "0.75", "data-train/a.jpg_output.png"],
        ],
        "val_images_with_relighting_outputs.csv": [header, ["/photos/c.jpg", "0.5", "data-train/c.jpg_output.png"]],
        "test_images_with_relighting_outputs.csv": [header],
    }  # fmt: skip


def test_without_a_filter_before_it_there_is_one_table_of_what_there_is(tmp_path):
    (tmp_path / "run" / "step_2_degrade").mkdir(parents=True)
    found = collect(tmp_path, [row_of(tmp_path, "a.jpg")])
    assert found == {
        "albedo_csv_files/images_with_albedo.csv": [
            ["image_path", "output_image_path"], ["/photos/a.jpg", "../data-train/a.jpg_output.png"],
        ],
        "images_with_relighting_outputs.csv": [
            ["image_path", "output_image_path"], ["/photos/a.jpg", "data-train/a.jpg_output.png"],
        ],
    }  # fmt: skip


def test_the_tables_of_an_input_that_is_one_have_its_name(tmp_path):
    (tmp_path / "run" / "step_2_degrade").mkdir(parents=True)
    found = collect(tmp_path, [row_of(tmp_path, "a.jpg")], "/lists/train_images.csv")
    assert list(found) == [
        "albedo_csv_files/train_images_with_albedo.csv", "train_images_with_relighting_outputs.csv"
    ]  # fmt: skip


def test_without_any_row_every_split_has_its_header(tmp_path):
    (tmp_path / "run" / "step_2_degrade").mkdir(parents=True)
    found = collect(tmp_path, [])
    assert len(found) == 6
    assert all(rows == [["image_path", "lighting_score", "output_image_path"]] for rows in found.values())
    assert Path("albedo_csv_files/test_images_with_albedo.csv").as_posix() in found
