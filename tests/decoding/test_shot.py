import io
import math

import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from shared.decoding.shot import APERTURE, EXIF, EXPOSURE_TIME, FLASH, SENSITIVITY, Shot, shot_of
from shared.images import open_image
from tests import awkward_images as awkward


def exif(**told) -> Image.Exif:
    tags = {"seconds": EXPOSURE_TIME, "aperture": APERTURE, "sensitivity": SENSITIVITY, "flash": FLASH}
    block = Image.Exif()
    block[0x0112] = 1  # without a tag of its own the block is false, and left out of a PNG
    block.get_ifd(EXIF).update({tags[name]: value for name, value in told.items()})
    return block


SUNNY = {"seconds": IFDRational(1, 125), "aperture": IFDRational(16, 1), "sensitivity": 100, "flash": 16}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_the_camera_noted_comes_with_the_photograph(tmp_path, kind):
    path = tmp_path / "photograph"
    awkward.photograph(1200, 800).save(path, kind, exif=exif(**SUNNY))
    shot = open_image(str(path), longest_side=150).info["shot"]
    assert (shot.has_flash, shot.exposure_seconds) == (False, pytest.approx(1 / 125))
    assert shot.exposure_value == pytest.approx(15, abs=0.1)  # by the rule of the sunny sixteen


@pytest.mark.parametrize(
    ("flash", "has_flash"),
    [
        (0x0, False), (0x1, True), (0x5, False), (0x7, True), (0x9, True), (0xD, False), (0xF, True), (0x10, False),
        (0x18, False), (0x19, True), (0x20, False), (0x41, True), (0x45, False), (0x47, True), (0x59, True), (0x5F, True),
    ],
)  # fmt: skip
def test_a_flash_lights_what_it_was_not_seen_to_miss(flash, has_flash):
    assert shot_of(exif(flash=flash).tobytes()) == Shot(has_flash, None, None)


@pytest.mark.parametrize(
    "change",
    [{"aperture": IFDRational(0, 1)}, {"aperture": IFDRational(0, 0)}, {"sensitivity": 0}],
)
def test_an_exposure_that_lacks_a_number_has_no_value(change):
    assert shot_of(exif(**SUNNY | change).tobytes()) == Shot(False, pytest.approx(1 / 125), None)


def test_of_two_sensitivities_the_first_counts():
    two = shot_of(exif(**SUNNY | {"sensitivity": (400, 100)}).tobytes())
    assert two and two.exposure_value == pytest.approx(math.log2(256 * 125 / 4))


def test_without_notes_there_is_no_shot(tmp_path):
    path = tmp_path / "photograph.jpg"
    path.write_bytes(awkward.with_orientation(6))
    assert "shot" not in open_image(str(path)).info
    assert shot_of(b"") is None


def test_damaged_notes_do_no_harm():
    whole = exif(**SUNNY).tobytes()
    for length in range(len(whole)):
        shot_of(whole[:length])
    for place in range(len(whole)):
        shot_of(whole[:place] + b"\xff" + whole[place + 1 :])
    stream = io.BytesIO()
    awkward.photograph().save(stream, "JPEG", exif=whole[: len(whole) // 2])
    assert open_image_of(stream.getvalue()).size == (60, 40)


def open_image_of(data: bytes) -> Image.Image:
    from shared.decoding.decode import decode

    return decode(data).image
