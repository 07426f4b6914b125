"""What is wrong in a photograph's metadata costs nothing: of every carrier, the pixels are the same whatever stands there."""

import io
import struct

import numpy as np
import pytest
from PIL import Image

from shared.decoding.decode import decode
from shared.decoding.formats import NotOpened
from shared.decoding.orientation import orientation_of
from tests import awkward_images as awkward
from tests.decoding.fuzzing import carriers, metadata_places, mutated

CARRIERS = carriers()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image)


@pytest.mark.parametrize("count", [240, pytest.param(1200, marks=pytest.mark.slow)])
@pytest.mark.parametrize("kind", CARRIERS)
def test_bytes_of_the_metadata_change_nothing(kind, count):
    data, random = CARRIERS[kind], np.random.default_rng(count)
    expected, places = pixels(data), metadata_places(kind, data)
    assert np.abs(expected.astype(int) - np.asarray(awkward.photograph())).mean() < 6
    for number in range(count):
        copy = mutated(data, places, random)
        assert np.array_equal(pixels(copy), expected), f"copy {number}"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_read_whatever_else_stands_in_exif(kind, orientation):
    turned = Image.open(io.BytesIO(awkward.with_orientation(orientation)))
    # Orientation, and a tag of a type that it should not have, over which Pillow stumbles when it turns the picture.
    entries = [(0x0112, 3, 1, orientation), (0x0132, 5, 1, 0xFFFFFF)]
    block = b"II*\0\x08\0\0\0" + struct.pack("<H", 2)
    block += b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    stream = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    if kind == "TIFF":
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned.save(stream, kind, exif=exif)
    else:
        turned.save(stream, kind, exif=b"Exif\0\0" + block, **options)
    shown, size, _ = decode(stream.getvalue())
    assert size == shown.size == (60, 40)
    assert np.abs(np.asarray(shown, int) - np.asarray(awkward.photograph())).max() < 16


def test_a_png_from_imagemagick_is_turned_and_one_with_broken_digits_is_not():
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 6) + bytes(4)
    text = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    plain = awkward.png(awkward.photograph())
    place = plain.index(b"IDAT") - 4
    for digits, size in ((text, (40, 60)), (text.replace(b"4949", b"zzzz"), (60, 40))):
        chunk = awkward.chunk(b"tEXt", b"Raw profile type exif\0" + digits)
        assert decode(plain[:place] + chunk + plain[place:]).full_size == size


def test_a_png_is_used_whatever_its_other_chunks_hold():
    plain = awkward.png(awkward.photograph())
    place = plain.index(b"IDAT") - 4
    broken = awkward.chunk(b"tEXt", b"Comment\0text")[:-4] + b"\0\0\0\0"
    long = awkward.chunk(b"iTXt", b"Comment\0\0\0\0\0" + b"a" * 3_000_000)
    for chunk in (
        broken,
        long,
        awkward.chunk(b"pHYs", b"\0"),
        awkward.chunk(b"iCCP", b"a\0\0no zlib"),
        awkward.chunk(b"gAMA", b""),
    ):
        assert np.array_equal(pixels(plain[:place] + chunk + plain[place:]), pixels(plain))


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_a_jpeg_that_lacks_only_its_end_marker_is_whole(options):
    whole = awkward.jpeg(awkward.photograph(320, 240), **options)
    assert whole.endswith(b"\xff\xd9")
    assert np.array_equal(pixels(whole[:-2]), pixels(whole))
    assert np.array_equal(pixels(whole[:-1]), pixels(whole))
    assert np.array_equal(pixels(whole + b"\0" * 999), pixels(whole))
    for cut in (10, 100, 1000, len(whole) // 2, len(whole) - 700):
        with pytest.raises(NotOpened, match="damaged"):
            decode(whole[:-cut])


def test_a_progressive_jpeg_without_its_last_scans_is_cut_off():
    whole = awkward.jpeg(awkward.photograph(320, 240), progressive=True)
    last = whole.rindex(b"\xff\xda")
    for end in (last, whole.rindex(b"\xff\xc4", 0, last)):
        with pytest.raises(NotOpened, match="truncated"):
            decode(whole[:end])


def test_the_first_picture_of_an_mpo_is_taken():
    first, second = awkward.jpeg(awkward.photograph()), awkward.jpeg(Image.new("RGB", (60, 40)))
    stream = io.BytesIO()
    Image.open(io.BytesIO(first)).save(stream, "MPO", save_all=True, append_images=[Image.open(io.BytesIO(second))])
    assert np.abs(pixels(stream.getvalue()).astype(int) - np.asarray(awkward.photograph())).max() < 16


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"", 1), (b"II", 1), (b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 8, 0), 8),
        (b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 4, 1, 3), 3),
        (b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x0112, 3, 1, 9), 1),
        (b"II*\0\xff\xff\xff\xff", 1),
    ],
)  # fmt: skip
def test_orientation_of_any_block(block, expected):
    assert orientation_of(block) == orientation_of(b"Exif\0\0" + block) == expected
