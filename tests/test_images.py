"""open_image gives upright, opaque, 8-bit sRGB of bounded size, or one sentence that says why not."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from shared.errors import ImageError
from shared.images import ImageFile, encode, open_image, read_bytes
from tests import awkward_images as awkward
from tests.conftest import ROOT


@pytest.fixture
def save(tmp_path):
    def write(data: bytes, name: str = "photo.jpg"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def close_to(image: Image.Image, expected: Image.Image, tolerance: int = 12) -> bool:
    return np.abs(np.asarray(image, np.int16) - np.asarray(expected, np.int16)).max() <= tolerance


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_gives_the_same_upright_picture(save, orientation):
    image = open_image(save(awkward.with_orientation(orientation)))
    assert (image.mode, image.size) == ("RGB", (60, 40))
    assert image.info == {"full_size": (60, 40)}
    assert close_to(image, awkward.photograph())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_longest_side_bounds_the_upright_picture(save, orientation):
    path = save(awkward.with_orientation(orientation, awkward.photograph(1200, 800)))
    image = open_image(path, longest_side=120)
    assert image.size == (120, 80)
    assert image.info == {"full_size": (1200, 800)}
    assert close_to(image, awkward.photograph(120, 80))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("shorter_side", "sizes"),
    [  # a JPEG is decoded at a half, a quarter or an eighth; what is left of the factor is averaged
        (800, {"JPEG": (1200, 800), "PNG": (1200, 800)}),
        (500, {"JPEG": (1200, 800), "PNG": (1200, 800)}),
        (400, {"JPEG": (600, 400), "PNG": (600, 400)}),
        (250, {"JPEG": (600, 400), "PNG": (400, 267)}),
        (100, {"JPEG": (150, 100), "PNG": (150, 100)}),
        (30, {"JPEG": (50, 34), "PNG": (47, 31)}),
    ],
)
def test_the_shorter_side_is_kept_by_a_picture_that_is_made_smaller_by_a_whole_factor(
    save, kind, orientation, shorter_side, sizes
):
    stored = Image.open(io.BytesIO(awkward.with_orientation(orientation, awkward.photograph(1200, 800))))
    stream = io.BytesIO()
    stored.save(stream, kind, exif=stored.getexif(), quality=95)
    image = open_image(save(stream.getvalue()), shorter_side=shorter_side)
    assert image.size == sizes[kind]
    assert image.info == {"full_size": (1200, 800)}
    assert close_to(image, awkward.photograph(*image.size))


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_there_is_not_is_upright(save, orientation):
    image = open_image(save(awkward.with_orientation(orientation)))
    assert (image.size, image.info) == ((60, 40), {"full_size": (60, 40)})


def test_an_orientation_that_is_no_number_does_no_harm(save):
    text = struct.pack("<HHI4s", 0x0112, 2, 2, b"6\0")  # the tag as a text
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 1) + text + bytes(4)
    image = open_image(save(awkward.jpeg(awkward.photograph(), exif=exif)))
    assert (image.size, image.info) == ((60, 40), {"full_size": (60, 40)})


def test_a_small_image_is_not_enlarged(save):
    assert open_image(save(awkward.jpeg(awkward.photograph())), longest_side=1000).size == (60, 40)


def test_an_animation_gives_its_first_frame_whatever_its_suffix(save):
    image = open_image(save(awkward.animated_gif(), "animated.png"))
    assert (image.mode, image.size, image.getpixel((3, 3))) == ("RGB", (16, 8), (255, 0, 0))


def test_transparency_is_laid_over_white(save):
    image = open_image(save(awkward.palette_with_alpha(), "p.png"))
    assert (image.getpixel((2, 2)), image.getpixel((12, 2))) == ((255, 0, 0), (255, 255, 255))
    half = awkward.png(Image.new("RGBA", (4, 4), (0, 0, 0, 128)))
    assert open_image(save(half, "half.png")).getpixel((1, 1)) == (127, 127, 127)
    grey = awkward.png(Image.new("LA", (4, 4), (0, 0)))
    assert open_image(save(grey, "grey.png")).getpixel((1, 1)) == (255, 255, 255)


def test_16_bit_is_scaled_to_8(save):
    grey = open_image(save(awkward.grey_of_16_bit(), "g.png"))
    assert (grey.getpixel((0, 0)), grey.getpixel((15, 3))) == ((64, 64, 64), (191, 191, 191))
    red, green, blue = open_image(save(awkward.rgb_of_16_bit(), "c.png")).getpixel((1, 1))
    assert (red, blue) == (255, 0)
    assert abs(green - 128) <= 1


def test_floats_are_scaled_by_their_range(save):
    stream = io.BytesIO()
    Image.fromarray(np.array([[0.0, 0.5], [1.0, np.nan]], np.float32)).save(stream, "TIFF")
    assert np.asarray(open_image(save(stream.getvalue(), "f.tif")))[:, :, 0].tolist() == [[0, 128], [255, 0]]


def test_cmyk_becomes_rgb(save):
    red, green, blue = open_image(save(awkward.cmyk())).getpixel((3, 3))
    assert red > 200
    assert green < 60
    assert blue > 100


def test_grey_and_one_bit_become_rgb(save):
    for mode, value in (("L", 77), ("1", 1)):
        image = open_image(save(awkward.png(Image.new(mode, (4, 4), value)), f"{mode}.png"))
        assert image.getpixel((0, 0)) == ((77,) * 3 if mode == "L" else (255,) * 3)


def test_an_icc_profile_is_converted_to_srgb(save):
    converted = open_image(save(awkward.with_profile(), "p.png")).getpixel((1, 1))
    assert all(abs(value - 188) <= 1 for value in converted), converted


def test_a_profile_that_is_broken_is_passed_over(save):
    broken = awkward.png(awkward.photograph(), icc_profile=b"no profile")
    assert close_to(open_image(save(broken, "p.png")), awkward.photograph(), 0)


def test_a_bomb_is_refused_from_its_head_alone(save):
    bomb = awkward.png_bomb()
    assert len(bomb) < 1_000_000
    path = save(bomb, "bomb.png")
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert str(caught.value) == f"{path} has 50000 x 50000 pixels; at most 200 million are opened"


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"no image", "is not an image that can be read"),
        (awkward.jpeg(awkward.photograph(300, 200))[:3000], "is damaged: image file is truncated"),
        (awkward.png(awkward.photograph())[:200], "is damaged: "),
        (awkward.png(awkward.photograph())[:20], "is "),
        (awkward.animated_gif()[:30], "is "),
    ],
)
def test_what_is_no_whole_image_is_one_sentence(save, data, sentence):
    path = save(data)
    with pytest.raises(ImageError) as caught:
        open_image(path)
    assert str(caught.value).startswith(f"{path} {sentence}")
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_readable_file_is_one_sentence(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "lost.jpg").symlink_to("nowhere")
    for name, sentence in {
        "missing.jpg": "does not exist",
        "lost.jpg": "does not exist",
        "folder.jpg": "is a folder",
        "pipe.jpg": "cannot be read: not a regular file",
        "a" * 300: "cannot be read: File name too long",
    }.items():
        with pytest.raises(ImageError) as caught:
            open_image(tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name} {sentence}"


AS_NOBODY = """
import os, sys
from shared.images import ImageError, open_image
open_image(sys.argv[2])
os.setgid(65534)
os.setuid(65534)
try:
    open_image(sys.argv[1])
except ImageError as error:
    print(error)
"""


def test_a_file_that_may_not_be_read_is_one_sentence(save):
    path, other = (
        save(awkward.jpeg(awkward.photograph()), "secret.jpg"),
        save(awkward.jpeg(awkward.photograph()), "open.jpg"),
    )
    path.chmod(0)
    if os.getuid() == 0:
        for folder in [path.parent, *path.parents][:3]:
            folder.chmod(folder.stat().st_mode | 0o755)
        command = [sys.executable, "-c", AS_NOBODY, str(path), str(other)]
        asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        message = asked.stdout.strip() or asked.stderr
    else:
        with pytest.raises(ImageError) as caught:
            open_image(path)
        message = str(caught.value)
    assert message == f"{path} may not be read by this user"


def test_an_item_is_opened_by_its_path_and_read_as_it_is_stored(save):
    data = awkward.jpeg(awkward.photograph())
    item = {"key": "a", "image_path": str(save(data))}
    assert open_image(item).size == (60, 40)
    assert read_bytes(item) == data


def test_a_photograph_inside_a_tar_is_named_with_its_container(tmp_path):
    data = awkward.jpeg(awkward.photograph())
    (tmp_path / "a.tar").write_bytes(b"x" * 512 + data + b"y" * 512)
    item = {"key": "a", "image_path": str(tmp_path / "a.tar"), "image_member": {"offset": 512, "size": len(data)}}
    assert read_bytes(item) == data
    assert open_image(item).size == (60, 40)
    item["image_member"]["offset"] = 0
    with pytest.raises(ImageError) as caught:
        open_image(item)
    assert str(caught.value) == f"a in {tmp_path / 'a.tar'} is not an image that can be read"


def test_the_original_is_not_touched(save):
    path = save(awkward.with_orientation(6))
    before = path.read_bytes()
    open_image(path, longest_side=10)
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_images_are_encoded_without_loss(suffix):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 8, 4), np.uint8)
    pixels[:3, :, 3] = 0  # what is hidden is kept too
    for image in (pixels, pixels[..., :3], pixels[..., 0], Image.fromarray(pixels[..., :3])):
        stored = Image.open(io.BytesIO(encode(ImageFile(f"a{suffix}", image))))
        assert stored.format == suffix[1:].upper()
        assert np.array_equal(np.asarray(stored.convert(Image.fromarray(np.asarray(image)).mode)), np.asarray(image))
    assert encode(ImageFile(f"a{suffix}", bytearray(b"abc"))) == b"abc"


def test_an_image_that_webp_cannot_hold_says_what_can():
    with pytest.raises(ValueError, match="16384 x 1 pixels, and WebP holds 16383 a side; take image_format: png"):
        encode(ImageFile("a.webp", np.zeros((1, 16384), np.uint8)))
