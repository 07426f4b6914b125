"""Masks in the ways that people store them: each says the same of the same subject."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage import data

from shared.decoding.formats import NotOpened
from shared.errors import ImageError
from shared.masks.folder import fitted_mask
from shared.masks.stored import opacity_of

SUBJECT = np.zeros((40, 60), bool)
SUBJECT[8:30, 10:35] = True
EDGE = np.zeros((40, 60), bool)
EDGE[7:31, 9:36] = True
EDGE &= ~SUBJECT


def stored(image, format="PNG", **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, format, **options)
    return stream.getvalue()


def tiff(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **options)
    return stream.getvalue()


def numbers(subject, dtype=np.uint8, background=0):
    return np.where(SUBJECT, dtype(subject), dtype(background))


def colour(red, green, blue):
    return np.where(SUBJECT[..., None], np.uint8([red, green, blue]), np.uint8(0))


def palette(index, colours, void=None):
    values = numbers(index)
    if void is not None:
        values = np.where(EDGE, np.uint8(void), values)
    image = Image.fromarray(values)
    flat = np.zeros((256, 3), np.uint8)
    for place, triple in colours.items():
        flat[place] = triple
    image.putpalette(flat.tobytes())
    assert image.mode == "P"
    return image


def cut_out(hidden=0):
    """A photograph's pixels, transparent around the subject."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    return np.dstack([pixels, np.where(SUBJECT, np.uint8(255), np.uint8(hidden))])


def of_things(count):
    """Several things in the subject, each with a number of its own."""
    values = np.zeros((40, 60), np.uint8)
    values[SUBJECT] = 1 + np.arange(SUBJECT.sum()) % count
    return values


VOC = {1: (128, 0, 0), 15: (192, 128, 128), 255: (224, 224, 192)}
SAME = {
    "0 and 255": stored(numbers(255)),
    "bilevel": stored(SUBJECT),
    "bilevel TIFF": stored(SUBJECT, "TIFF", compression="group4"),
    "0 and 1": stored(numbers(1)),
    "0 and 1, a TIFF": tiff(numbers(1)),
    "0 and 1, RGB": stored(colour(1, 1, 1)),
    "0 and 128": stored(numbers(128)),
    "0 and 38": stored(numbers(38)),
    "class 7": stored(numbers(7)),
    "numbers of three things": stored(of_things(3)),
    "numbers of 40 things": stored(of_things(40)),
    "classes and void": stored(np.where(EDGE, np.uint8(255), of_things(3))),
    "0, 1 and void": stored(np.where(EDGE, np.uint8(255), numbers(1))),
    "VOC": stored(palette(15, VOC)),
    "VOC with void": stored(palette(15, VOC, void=255)),
    "VOC in RGB": stored(palette(15, VOC, void=255).convert("RGB")),
    "VOC in a GIF": stored(palette(1, VOC), "GIF"),
    "palette of black and white": stored(palette(1, {1: (255, 255, 255)})),
    "palette of greys": stored(palette(200, {200: (200, 200, 200)})),
    "palette without colours": stored(palette(3, {3: (3, 3, 3)})),
    "red": stored(colour(255, 0, 0)),
    "blue": stored(colour(0, 0, 255)),
    "dark blue": stored(colour(0, 0, 1)),
    "red, a BMP": stored(colour(255, 0, 0), "BMP"),
    "red, a lossless WebP": stored(colour(255, 0, 0), "WEBP", lossless=True),
    "red, opaque RGBA": stored(Image.fromarray(colour(255, 0, 0)).convert("RGBA")),
    "red, a TIFF": stored(colour(255, 0, 0), "TIFF"),
    "white, all of it transparent": stored(np.dstack([colour(255, 255, 255), np.zeros((40, 60), np.uint8)])),
    "cut-out": stored(cut_out()),
    "cut-out, WebP": stored(cut_out(), "WEBP", lossless=True),
    "cut-out, TIFF": stored(cut_out(), "TIFF"),
    "cut-out of black": stored(np.dstack([colour(0, 0, 0), numbers(255)])),
    "grey cut-out": stored(Image.merge("LA", [Image.new("L", (60, 40), 90), Image.fromarray(numbers(255))])),
    "palette with one transparent colour": stored(palette(1, {0: (9, 9, 9), 1: (50, 90, 3)}), transparency=0),
    "16 bit": stored(numbers(65535, np.uint16)),
    "16 bit, 0 and 1": stored(numbers(1, np.uint16)),
    "16 bit, 0 and 255": stored(numbers(255, np.uint16)),
    "16 bit, numbers of things": stored(of_things(3).astype(np.uint16) * 1000),
    "16 bit, a TIFF": tiff(numbers(65535, np.uint16)),
    "16 bit, 0 and 1, a TIFF": tiff(numbers(1, np.uint16)),
    "16 bit, white is zero": tiff(numbers(0, np.uint16, 65535), photometric="miniswhite"),
    "32 bit, numbers of things": tiff(of_things(3).astype(np.int32) * 70000),
    "floats": tiff(numbers(1, np.float32)),
    "floats, 0 and 255": tiff(numbers(255, np.float32)),
    "16 bit RGBA cut-out": tiff(cut_out().astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"]),
    "16 bit red": tiff(colour(255, 0, 0).astype(np.uint16) * 257, photometric="rgb"),
}


@pytest.mark.parametrize("way", SAME)
def test_the_subject_is_the_same_however_its_mask_is_stored(way):
    mask = opacity_of(SAME[way])
    assert mask.dtype == np.uint8
    assert np.array_equal(mask, np.where(SUBJECT, np.uint8(255), np.uint8(0)))


@pytest.mark.parametrize(
    ("way", "made"),
    [
        ("JPEG", stored(numbers(255), "JPEG", quality=80)),
        ("JPEG of a grey", stored(numbers(128), "JPEG", quality=80)),
        ("JPEG of red", stored(colour(255, 0, 0), "JPEG", quality=80)),
        ("WebP of blue", stored(colour(0, 0, 255), "WEBP", quality=80)),
        ("JPEG of white in RGB", stored(colour(255, 255, 255), "JPEG", quality=80)),
    ],
)
def test_of_a_lossy_mask_inside_and_outside_are_apart(way, made):
    mask = opacity_of(made)
    away = ~(EDGE | SUBJECT)
    away[:4], away[:, :4] = away[:4], away[:, :4]
    assert (mask > 127)[SUBJECT].mean() > 0.97
    assert (mask < 128)[away].mean() > 0.97
    assert np.median(mask[SUBJECT]) > 240


def ramp():
    return np.tile(np.linspace(0, 255, 60).astype(np.uint8), (40, 1))


@pytest.mark.parametrize(
    ("way", "made"),
    [
        ("grey", stored(ramp())),
        ("16 bit", stored(ramp().astype(np.uint16) * 257)),
        ("floats", tiff(ramp() / np.float32(255))),
        (
            "palette of greys",
            stored(Image.fromarray(ramp()).convert("RGB").convert("P", palette=Image.Palette.ADAPTIVE)),
        ),
        ("transparency", stored(np.dstack([colour(1, 2, 3), ramp()]))),
        ("thin smoke", stored(ramp() // 2 * 2)),
    ],
)
def test_shades_stay_shades(way, made):
    assert np.abs(opacity_of(made).astype(int) - ramp()).max() <= 1


def test_a_soft_outline_in_one_colour_stays_soft():
    soft = np.dstack([np.zeros_like(ramp()), ramp(), np.zeros_like(ramp())])
    soft = np.repeat(soft, 2, axis=0) // np.array([1, 1, 1], np.uint8)
    made = opacity_of(stored(soft))
    assert np.array_equal(made > 0, np.repeat(ramp(), 2, axis=0) > 0)


def test_one_colour_all_over_is_all_subject_and_black_is_none():
    assert (opacity_of(stored(np.full((4, 5, 3), (0, 200, 0), np.uint8))) == 255).all()
    assert (opacity_of(stored(np.full((4, 5), 1, np.uint8))) == 255).all()
    assert (opacity_of(stored(np.zeros((4, 5, 3), np.uint8))) == 0).all()


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (stored(np.where(SUBJECT[..., None], np.uint8([255, 0, 0]), np.uint8([0, 255, 0]))), "none of them is black"),
        (stored(data.astronaut() // 2 + 100), "is it the photograph?"),
        (stored(numbers(255))[:60], "is damaged"),
        (b"%PDF-1.7", "is a PDF file"),
    ],
)
def test_what_says_no_subject_is_refused_in_a_sentence_with_its_name(made, sentence, tmp_path):
    with pytest.raises(NotOpened, match=sentence):
        opacity_of(made)
    (tmp_path / "a.png").write_bytes(made)
    with pytest.raises(ImageError, match=f"the mask {tmp_path}/a.png .*{sentence}"):
        fitted_mask(tmp_path / "a.png", np.zeros((40, 60, 3), np.uint8))


def test_a_mask_is_turned_as_its_orientation_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.png").write_bytes(stored(np.rot90(numbers(255)).copy(), exif=exif))
    assert np.array_equal(fitted_mask(tmp_path / "a.png", np.zeros((40, 60, 3), np.uint8)) > 0, SUBJECT)
