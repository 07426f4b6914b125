"""The folders that trainers load: by the datasets library itself, by the columns of diffusers' examples, by our readers."""

import io
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from shared.dataset import Source
from shared.errors import ConfigError
from shared.files.whole_folder import WholeFolder
from shared.images import image_of, open_image
from shared.triplets.datasets_folder import image_name
from shared.triplets.pictures import picture_of
from tests.workers.test_merge import merge

datasets = pytest.importorskip("datasets")

FORMS = pytest.mark.parametrize("images", ["files", "embedded"])
WORDS = 'soft, "warm" light from the left'


def colour(number: int) -> tuple[int, int, int]:
    return (number * 20 % 256, 100, 50)


def write_image(path: Path, rgb, size=(6, 4), **options) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, rgb).save(path, **options)
    return str(path)


def make_rows(tmp_path: Path, splits=("train", "train", "val", "test")) -> list[dict]:
    """Rows of a run: the degraded image in its folder, the photograph outside; awkward keys among them."""
    rows = []
    for number, split in enumerate(splits):
        key = f"test/{number} ?*[.jpg" if number % 2 else f"k{number}"
        rows.append({
            "key": key, "split": split, "lighting_keywords": f"{WORDS} {number}",
            "output_image_path": write_image(tmp_path / "run" / "made" / f"{number}.png", colour(number)),
            "image_path": write_image(tmp_path / "photographs" / f"{number}.png", (*colour(number)[:2], 250)),
        })  # fmt: skip
    return rows


def load(folder: Path, tmp_path: Path, **options):
    return datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@FORMS
def test_the_datasets_library_loads_the_folder_as_it_is(tmp_path, images):
    rows = make_rows(tmp_path)
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {"images": images}})
    loaded = load(folder / "dataset", tmp_path)
    assert {name: len(split) for name, split in loaded.items()} == {"train": 2, "validation": 1, "test": 1}
    for name, numbers in (("train", (0, 1)), ("validation", (2,)), ("test", (3,))):
        split = loaded[name]
        assert split.column_names == ["input_image", "edit_prompt", "edited_image"]
        assert [type(split.features[column]) for column in split.column_names] == [
            datasets.Image, datasets.Value, datasets.Image,
        ]  # fmt: skip
        for number, row in zip(numbers, split, strict=True):
            assert row["input_image"].getpixel((0, 0)) == colour(number)
            assert row["edited_image"].getpixel((0, 0)) == (*colour(number)[:2], 250)
            assert row["edit_prompt"] == f"{WORDS} {number}"


@FORMS
def test_the_loading_code_of_diffusers_instruct_pix2pix_example_works(tmp_path, images):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"images": images}})
    dataset = load(folder / "dataset", tmp_path, split="train")
    assert {"input_image", "edit_prompt", "edited_image"} <= set(dataset.column_names)

    def preprocess(examples: dict) -> dict:
        pairs = (examples["input_image"], examples["edited_image"])
        arrays = [np.stack([np.array(image.convert("RGB").resize((8, 8))) for image in images]) for images in pairs]
        return {"original": arrays[0], "edited": arrays[1], "text": examples["edit_prompt"]}

    batch = dataset.with_transform(preprocess)[:2]
    assert batch["original"].shape == batch["edited"].shape == (2, 8, 8, 3)
    assert batch["text"] == [f"{WORDS} 0", f"{WORDS} 1"]


@FORMS
def test_our_own_readers_give_items_with_both_images_their_words_and_their_split(tmp_path, images):
    rows = make_rows(tmp_path)
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {"images": images}})
    items = list(Source(str(folder / "dataset"), image_key=["edited_image", "input_image"]).items())
    assert [(item["split"], item["edit_prompt"]) for item in items] == [
        (row["split"], row["lighting_keywords"]) for row in rows
    ]
    assert all(image_name(row["key"]) in item["key"] for item, row in zip(items, rows, strict=True))
    for number, item in enumerate(items):
        assert open_image(image_of(item, "input_image_path")).getpixel((0, 0)) == colour(number)
        assert open_image(image_of(item, "image_path")).getpixel((0, 0)) == (*colour(number)[:2], 250)


def test_images_beside_the_metadata_cost_no_disk(tmp_path):
    rows = make_rows(tmp_path)
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    inodes = {path.stat().st_ino for path in (folder / "dataset").rglob("*.png")}
    assert inodes == {os.stat(row[field]).st_ino for row in rows for field in ("image_path", "output_image_path")}


def test_across_file_systems_images_are_copied_once(tmp_path, monkeypatch):
    rows, link = make_rows(tmp_path), os.link

    def other_file_system(source, target, **options):
        if "dataset" not in str(source):
            raise OSError(18, "Invalid cross-device link")
        link(source, target, **options)

    monkeypatch.setattr(os, "link", other_file_system)
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    before = {path: path.stat().st_ino for path in (folder / "dataset").rglob("*.png")}
    assert {path.read_bytes() for path in before} == {
        Path(row[field]).read_bytes() for row in rows for field in ("image_path", "output_image_path")
    }
    assert not set(before.values()) & {os.stat(row["image_path"]).st_ino for row in rows}
    rows.append(rows[0] | {"key": "new"})
    merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    assert len(list((folder / "dataset").rglob("*.png"))) == len(before) + 2
    assert {path: path.stat().st_ino for path in before} == before


@FORMS
def test_a_second_merge_is_the_same_to_the_byte_and_touches_nothing(tmp_path, images):
    rows = make_rows(tmp_path)
    config = {"triplets": {}, "dataset": {"images": images, "layouts": ["flux2", "ai_toolkit"]}}
    folder, _ = merge(tmp_path, rows, config)
    first = files(folder)
    times = {path: folder.joinpath(path).stat().st_mtime_ns for path in first}
    merge(tmp_path, rows, config)
    assert {path: folder.joinpath(path).stat().st_mtime_ns for path in files(folder)} == times
    shutil.rmtree(folder)
    merge(tmp_path, rows, config)
    assert files(folder) == first and len(first) > 20


@FORMS
def test_what_an_earlier_larger_merge_has_left_is_gone(tmp_path, images, monkeypatch):
    monkeypatch.setattr("shared.triplets.embedded_images.GROUP_BYTES", 1)
    monkeypatch.setattr("shared.triplets.embedded_images.FILE_BYTES", 1)
    rows = make_rows(tmp_path)
    config = {"triplets": {}, "dataset": {"images": images, "layouts": ["ai_toolkit"]}}
    folder, _ = merge(tmp_path, rows, config)
    if images == "embedded":
        names = sorted(path.name for path in (folder / "dataset" / "data").iterdir())
        assert names[1:3] == ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]
        assert len(load(folder / "dataset", tmp_path, split="train")) == 2
    merge(tmp_path, rows[:1], config | {"dataset": {"images": images}})
    assert {name: len(split) for name, split in load(folder / "dataset", tmp_path).items()} == {"train": 1}
    assert ("hard links" in (folder / "dataset" / "README.md").read_text()) == (images == "files")
    assert len(files(folder / "dataset")) == (2 if images == "embedded" else 4)
    assert not (folder / "ai_toolkit").exists()
    merge(tmp_path, [], config)
    assert not (folder / "dataset").exists()


def test_rows_without_splits_are_for_training(tmp_path):
    rows = [{name: value for name, value in row.items() if name != "split"} for row in make_rows(tmp_path)]
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    assert {name: len(split) for name, split in load(folder / "dataset", tmp_path).items()} == {"train": 4}


def test_flux2_img2img_columns_are_decoded_images(tmp_path):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"layouts": ["flux2"]}})
    dataset = load(folder / "flux2", tmp_path)
    assert dataset["train"].column_names == ["file_name", "instruction", "output"]
    [first, second] = [dataset["train"][index] for index in range(2)]
    assert first["file_name"].getpixel((0, 0)) == colour(0) and first["output"].getpixel((0, 0)) == (0, 100, 250)
    assert [first["instruction"], second["instruction"]] == [f"{WORDS} 0", f"{WORDS} 1"]


def test_ai_toolkit_finds_control_target_and_words_by_one_name(tmp_path):
    folder, _ = merge(tmp_path, make_rows(tmp_path), {"triplets": {}, "dataset": {"layouts": ["ai_toolkit"]}})
    place = folder / "ai_toolkit"
    assert sorted(path.name for path in place.iterdir()) == ["test", "train", "validation"]
    targets = sorted((place / "train" / "target").glob("*.png"))
    assert len(targets) == 2
    for target in targets:
        control = Image.open(place / "train" / "control" / target.name)
        number = int(target.with_suffix(".txt").read_text().removeprefix(WORDS))
        assert control.getpixel((0, 0)) == colour(number)
        assert Image.open(target).getpixel((0, 0)) == (*colour(number)[:2], 250)


def awkward(tmp_path: Path, kind: str) -> Path:
    image = Image.new("RGB", (8, 6), (200, 120, 40))
    path = tmp_path / f"{kind}.png"
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        path = tmp_path / "turned.jpg"
        image.save(path, exif=exif, quality=95)
    elif kind == "sixteen":
        Image.fromarray(np.full((6, 8), 40_000, np.uint16)).save(path)
    elif kind == "transparent":
        Image.new("RGBA", (8, 6), (200, 0, 0, 100)).save(path)
    elif kind == "profile":
        path = tmp_path / "profile.jpg"
        lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ"))
        image.save(path, icc_profile=lab.tobytes(), quality=95)
    elif kind == "srgb":
        image.save(path, icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    elif kind == "cmyk":
        path = tmp_path / "cmyk.jpg"
        image.convert("CMYK").save(path, quality=95)
    elif kind == "tiff":
        path = tmp_path / "a.tiff"
        image.save(path)
    elif kind == "misnamed":
        path = tmp_path / "jpeg.png"
        image.save(path, "JPEG")
    return path


@pytest.mark.parametrize(
    ("kind", "suffix", "is_linked"),
    [
        ("turned", ".jpg", True), ("srgb", ".png", True), ("misnamed", ".jpg", True), ("sixteen", ".png", False),
        ("transparent", ".png", False), ("cmyk", ".png", False), ("tiff", ".png", False), ("profile", ".png", False),
    ],
)  # fmt: skip
def test_a_trainer_sees_what_the_steps_before_have_seen(tmp_path, kind, suffix, is_linked):
    source = {"image_path": str(awkward(tmp_path, kind))}
    picture = picture_of(source)
    assert (picture.suffix, bool(picture.path)) == (suffix, is_linked)
    decoded = datasets.Image().decode_example({"bytes": picture.read(), "path": None})
    seen, shown = np.asarray(decoded.convert("RGB"), int), np.asarray(open_image(source), int)
    assert seen.shape == shown.shape
    assert np.abs(seen - shown).max() <= (1 if kind == "srgb" else 0)


def test_an_image_that_cannot_be_read_costs_its_triplet_and_is_told(tmp_path, capsys):
    rows = make_rows(tmp_path)
    Path(rows[1]["image_path"]).write_bytes(b"no image")
    shutil.copy(awkward(tmp_path, "sixteen"), rows[2]["image_path"])
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    lines = (folder / "dataset" / "train" / "metadata.jsonl").read_text().splitlines()
    assert [json.loads(line)["edit_prompt"] for line in lines] == [f"{WORDS} 0"]
    assert f"dataset: left out: {rows[1]['image_path']} is not an image that can be read" in capsys.readouterr().out


def test_photographs_inside_a_container_become_files(tmp_path):
    rows = make_rows(tmp_path)
    photograph = Path(rows[0]["image_path"]).read_bytes()
    container = tmp_path / "photographs.tar"
    container.write_bytes(b"x" * 512 + photograph)
    rows[0] |= {"image_path": str(container), "image_member": {"offset": 512, "size": len(photograph)}}
    folder, _ = merge(tmp_path, rows, {"triplets": {}, "dataset": {}})
    first = load(folder / "dataset", tmp_path, split="train")[0]
    assert first["edited_image"].getpixel((0, 0)) == (0, 100, 250)


def test_a_folder_is_whole_or_as_it_was(tmp_path):
    with WholeFolder(tmp_path / "made") as whole:
        (whole.new / "a").write_text("1")
    with pytest.raises(OSError, match="too long"), WholeFolder(tmp_path / "made") as whole:
        (whole.new / ("a" * 300)).write_text("2")
    assert {path.name for path in tmp_path.iterdir()} == {"made"}
    assert files(tmp_path / "made") == {"a": b"1"}
    (tmp_path / ".made.new" / "left").mkdir(parents=True)  # by a killed writer
    with WholeFolder(tmp_path / "made") as whole:
        (whole.new / "b").write_text("3")
    assert {path.name for path in tmp_path.iterdir()} == {"made"}
    assert files(tmp_path / "made") == {"b": b"3"}


def test_a_picture_without_its_file_is_one_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.png does not exist"):
        picture_of({"image_path": str(tmp_path / "gone.png")})
    assert (
        io.BytesIO(picture_of({"image_path": write_image(tmp_path / "a.png", (1, 2, 3))}).read()).read(4) == b"\x89PNG"
    )


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            {"tables": [{"output": "a.csv", "columns": {}}], "dataset": {}},
            "step 1 (out): a dataset is made of triplets;",
        ),
        ({"triplets": {}, "dataset": {"images": "links"}}, "step 1 (out): dataset.images is 'links'; "),
        ({"triplets": {}, "dataset": {"layouts": ["flux3"]}}, "step 1 (out): dataset.layouts.0 is 'flux3'; "),
    ],
)
def test_a_dataset_that_cannot_be_is_one_sentence(tmp_path, config, sentence):
    with pytest.raises(ConfigError) as caught:
        merge(tmp_path, [], config)
    assert sentence in str(caught.value)
