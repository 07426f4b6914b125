"""A JPEG is decoded at the scale that is needed, and is otherwise what it is at full scale."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from shared.decoding.decode import decode, factor_of
from shared.decoding.formats import NotOpened
from shared.images import open_image
from tests import awkward_images as awkward

SIDES = st.integers(1, 20_000)
RGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.mark.parametrize(
    ("stored", "longest_side", "decoded"),
    [
        ((1200, 800), 601, (1200, 800)),
        ((1200, 800), 600, (1200, 800)),
        ((1200, 800), 301, (1200, 800)),
        ((1200, 800), 300, (600, 400)),  # twice 300
        ((1200, 800), 200, (600, 400)),  # a third is no scale of Pillow's
        ((1200, 800), 150, (300, 200)),
        ((1200, 800), 75, (150, 100)),
        ((1200, 800), 8, (150, 100)),  # no scale is less than an eighth
        ((800, 1201), 300, (400, 601)),
        ((1024, 1024), 512, (1024, 1024)),
        ((2400, 3), 100, (1200, 2)),
        ((60, 40), 1000, (60, 40)),
    ],
)
def test_the_scale_leaves_twice_the_longest_side(stored, longest_side, decoded):
    found = decode(awkward.jpeg(awkward.photograph(*stored)), longest_side=longest_side)
    assert (found.image.size, found.full_size) == (decoded, stored)


@given(SIDES, SIDES, SIDES)
def test_no_factor_leaves_less(width, height, longest_side):
    factor = factor_of((width, height), longest_side, None)
    assert factor <= 1 or max(width, height) / factor >= 2 * longest_side


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_upright_at_any_scale(orientation):
    found = decode(awkward.with_orientation(orientation, awkward.photograph(1200, 800)), longest_side=150)
    assert (found.image.size, found.full_size) == ((300, 200), (1200, 800))
    assert np.abs(np.asarray(found.image, int) - np.asarray(awkward.photograph(300, 200), int)).max() <= 12


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGB", {}), ("RGB", {"progressive": True}), ("RGB", {"icc_profile": RGB_PROFILE}), ("L", {}), ("CMYK", {}),
        ("CMYK", {"progressive": True}),
    ],
)  # fmt: skip
def test_it_looks_as_from_a_full_decode(mode, options):
    data = awkward.jpeg(awkward.photograph(1200, 800).convert(mode), **options)
    scaled = decode(data, longest_side=150).image
    assert (scaled.size, scaled.mode) == ((300, 200), "RGB")
    whole = decode(data).image.resize(scaled.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(scaled, int) - np.asarray(whole, int)).max() <= 4


def test_an_opened_photograph_is_as_sharp_as_from_a_full_decode(tmp_path):
    """Also a square one, of which half would be just the size that is wanted."""
    pixels = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    photograph = Image.fromarray(pixels).resize((1024, 1024), Image.Resampling.BICUBIC)
    (tmp_path / "a.jpg").write_bytes(awkward.jpeg(photograph))
    opened = np.asarray(open_image(tmp_path / "a.jpg", longest_side=512), float)
    whole = Image.open(tmp_path / "a.jpg").resize((512, 512), Image.Resampling.LANCZOS)
    assert np.square(opened - np.asarray(whole, float)).mean() < 0.1


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_other_formats_are_decoded_as_they_are_stored(kind):
    stream = io.BytesIO()
    awkward.photograph(1200, 800).save(stream, kind, lossless=True)
    assert decode(stream.getvalue(), longest_side=8).image == decode(stream.getvalue()).image


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_one_that_is_cut_off_is_refused_at_any_scale_and_one_that_lacks_its_end_marker_is_not(options):
    whole = awkward.jpeg(awkward.photograph(320, 240), **options)
    assert decode(whole[:-2], longest_side=20).image == decode(whole, longest_side=20).image
    for cut in (100, len(whole) // 2):
        assert said_of(whole[:-cut], 20) == said_of(whole[:-cut], None) == "is damaged: image file is truncated"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=["baseline", "progressive"])
def test_damage_anywhere_is_told_alike_at_any_scale(mode, options):
    """On which the download step relies: it looks at a small decode."""
    draw = np.random.default_rng(0)
    data = awkward.jpeg(awkward.photograph(160, 120).convert(mode), **options)
    refused = 0
    for _ in range(60):
        damaged = bytearray(data)
        for place in draw.integers(2, len(data), 4):
            damaged[place] = draw.choice([0, 0xFF, 0xD9, 0xDA, 77])
        said = said_of(bytes(damaged), None)
        assert said_of(bytes(damaged), 1) == said_of(bytes(damaged), 20) == said
        refused += isinstance(said, str)
    assert 0 < refused < 60


def said_of(data: bytes, longest_side: int | None) -> str | tuple[int, int]:
    """Why it is refused, or its full size."""
    try:
        return decode(data, longest_side=longest_side).full_size
    except NotOpened as reason:
        return str(reason)
