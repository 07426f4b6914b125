"""Profiles and TIFFs of every depth, against libvips and against what they were made of."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from shared.decoding.decode import decode
from shared.decoding.formats import NotOpened
from tests import awkward_images as awkward
from tests.decoding.references import LONG, SHORT, by_libvips, grey_profile, tiff, wide_profile

PHOTOGRAPH = np.asarray(awkward.photograph())
GREY = np.tile(np.arange(256, dtype=np.uint8), (20, 1))
MUTED = (PHOTOGRAPH // 3 + 90).astype(np.uint8)
FLOAT, DOUBLE, BYTES = 11, 12, 7


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode(data).image).astype(int)


def png(image: Image.Image, profile: bytes) -> bytes:
    return awkward.png(image, icc_profile=profile)


def sixteen(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint16) * 257


def with_profile(profile: bytes) -> dict:
    return {34675: (BYTES, profile)}


HALF = np.full_like(GREY, 128)
AS_LIBVIPS = {
    **{f"grey, gamma {gamma}": png(Image.fromarray(GREY), grey_profile(gamma)) for gamma in (1.0, 1.8, 2.2)},
    **{f"16 bit grey, gamma {gamma}": png(Image.fromarray(sixteen(GREY)), grey_profile(gamma)) for gamma in (1.0, 1.8)},
    "grey with alpha": png(Image.fromarray(np.dstack([GREY, HALF]), "LA"), grey_profile(1.8)),
    "grey JPEG": awkward.jpeg(Image.fromarray(GREY), icc_profile=grey_profile(1.8)),
    "grey TIFF": tiff(GREY, 1, tags=with_profile(grey_profile(1.8))),
    "16 bit grey TIFF": tiff(sixteen(GREY), 1, tags=with_profile(grey_profile(1.8))),
    "palette": png(awkward.photograph().quantize(64), wide_profile()),
    "colours": png(awkward.photograph(), wide_profile()),
    "16 bit": tiff(sixteen(PHOTOGRAPH), 2),
    "16 bit in planes": tiff(sixteen(PHOTOGRAPH), 2, is_planar=True),
    "8 bit in planes": tiff(PHOTOGRAPH, 2, is_planar=True),
    "white is zero": tiff(GREY, 0),
    "white is zero, 16 bit": tiff(sixteen(GREY), 0),
    "16 bit grey with alpha": tiff(sixteen(np.dstack([GREY, HALF])), 1, tags={338: (SHORT, [2])}),
    "16 bit colours with alpha": tiff(sixteen(np.dstack([PHOTOGRAPH, PHOTOGRAPH[:, :, 0]])), 2, tags={338: (SHORT, [2])}),
    **{f"turned {turn}": tiff(PHOTOGRAPH, 2, tags={274: (SHORT, [turn])}) for turn in range(1, 9)},
    **{f"16 bit turned {turn}": tiff(sixteen(PHOTOGRAPH), 2, tags={274: (SHORT, [turn])}) for turn in (3, 6)},
}  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", AS_LIBVIPS)
def test_it_is_shown_as_libvips_shows_it(name):
    pytest.importorskip("pyvips")
    shown, expected = pixels(AS_LIBVIPS[name]), by_libvips(AS_LIBVIPS[name]).astype(int)
    assert shown.shape == expected.shape
    assert np.abs(shown - expected).max() <= 3


def test_16_bit_of_wide_colours_are_shown_as_littlecms_shows_8():
    """libvips takes 16 bit through coarser tables, which miss dark colours by 20 levels."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(wide_profile()))
    expected = ImageCms.profileToProfile(
        Image.fromarray(MUTED), source, ImageCms.createProfile("sRGB"), outputMode="RGB"
    )
    shown = pixels(tiff(sixteen(MUTED), 2, tags=with_profile(wide_profile())))
    assert np.abs(shown - np.asarray(expected)).max() <= 3


@pytest.mark.parametrize("compression", ["lzw", "adobe_deflate", "packbits"])
def test_16_bit_are_read_however_they_are_packed(compression):
    import tifffile

    stream = io.BytesIO()
    tifffile.imwrite(stream, sixteen(PHOTOGRAPH), photometric="rgb", compression=compression)
    assert np.abs(pixels(stream.getvalue()) - PHOTOGRAPH).max() <= 1


SHARE = PHOTOGRAPH / 255


@pytest.mark.parametrize(
    ("values", "photometric", "tags"),
    [
        (SHARE.astype(np.float32), 2, {}),
        (SHARE.astype(np.float16), 2, {}),
        (SHARE.astype(np.float64), 2, {}),
        (SHARE[:, :, 0].astype(np.float32), 1, {}),
        ((1 - SHARE[:, :, 0]).astype(np.float32), 0, {}),
        ((SHARE * 1000 - 500).astype(np.float32), 2, {340: (FLOAT, [-500.0] * 3), 341: (FLOAT, [500.0] * 3)}),
        (PHOTOGRAPH[:, :, 0].astype(np.uint32) * 16843009, 1, {}),
        ((SHARE[:, :, 0] * 32767).astype(np.int16), 1, {}),
        (np.dstack([SHARE, SHARE]).astype(np.float32), 2, {338: (SHORT, [0, 0, 0])}),
    ],
)  # fmt: skip
def test_white_is_told_by_the_type_and_the_tags(values, photometric, tags):
    expected = PHOTOGRAPH if values.ndim == 3 else np.dstack([PHOTOGRAPH[:, :, 0]] * 3)
    assert np.abs(pixels(tiff(values, photometric, tags=tags)) - expected).max() <= 1


@pytest.mark.parametrize("speck", [1.02, 300.0, np.inf, -0.3, np.nan])
def test_one_speck_does_not_change_the_picture(speck):
    values = SHARE[:, :, 0].astype(np.float32)
    values[5, 5] = speck
    off = np.abs(pixels(tiff(values, 1))[:, :, 0] - PHOTOGRAPH[:, :, 0])
    off[5, 5] = 0
    assert off.max() <= 1


def test_a_tiff_that_is_cut_off_is_damaged():
    for values in (sixteen(PHOTOGRAPH), PHOTOGRAPH):
        with pytest.raises(NotOpened, match="damaged"):
            decode(tiff(values, 2)[:-500])


def test_a_bitmap_whose_fourth_byte_was_never_meant_is_opaque():
    stream = io.BytesIO()
    Image.fromarray(np.dstack([PHOTOGRAPH, np.zeros_like(PHOTOGRAPH[:, :, 0])]), "RGBA").save(stream, "BMP")
    assert np.array_equal(pixels(stream.getvalue()), PHOTOGRAPH)


def test_a_profile_of_other_colours_than_the_picture_has_is_passed_over():
    for image in (Image.fromarray(PHOTOGRAPH), Image.fromarray(PHOTOGRAPH).convert("RGBA")):
        assert np.array_equal(pixels(png(image, grey_profile(1.0))), PHOTOGRAPH)
    assert np.array_equal(pixels(png(Image.fromarray(GREY), b"no profile"))[:, :, 0], GREY)


def test_a_profile_of_colours_fits_a_palette_with_transparency():
    image = awkward.photograph().quantize(32)
    image.info["transparency"] = 0
    shown = pixels(awkward.png(image, icc_profile=wide_profile(), transparency=0))
    assert (shown == 255).all(axis=-1).mean() == pytest.approx((np.asarray(image) == 0).mean())


def test_the_size_of_a_turned_tiff_is_upright():
    for values in (PHOTOGRAPH, sixteen(PHOTOGRAPH)):
        image, size, _ = decode(tiff(values, 2, tags={274: (SHORT, [6]), 270: (LONG, [1])}))
        assert size == image.size == (40, 60)
