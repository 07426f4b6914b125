"""Near-duplicates are found as comparing every pair would find them."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.selection import duplicates
from shared.selection.duplicates import MAX_DISTANCE, MAX_FINE_DISTANCE, near_duplicate_groups
from shared.selection.scoring.hashes import MIRROR_FLIPS, fine_hash, hashes_of
from tests.conftest import ROOT

SAMPLES = sorted((ROOT / "configs" / "samples").glob("*.jpg"))


def groups_by_comparing_all(hashes: np.ndarray, mirrored: np.ndarray, fine: np.ndarray) -> list[int]:
    """The brute force: every pair, and then the lowest index that can be reached."""
    group = list(range(len(hashes)))
    everyone = range(len(hashes))
    for _ in everyone:
        for one in everyone:
            for other in everyone:
                pairs = [
                    (hashes[one], hashes[other], 0),
                    (hashes[one], mirrored[other], 1),
                    (mirrored[one], hashes[other], 1),
                ]
                if any(
                    int(first ^ second).bit_count() <= MAX_DISTANCE
                    and int(fine[one] ^ fine[other] ^ MIRROR_FLIPS * np.uint64(turned)).bit_count() <= MAX_FINE_DISTANCE
                    for first, second, turned in pairs
                ):
                    group[one] = group[other] = min(group[one], group[other])
    return group


def as_hashes(values: list[int]) -> np.ndarray:
    return np.array(values, dtype=np.uint64)


def flip(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


@st.composite
def related_hashes(draw):
    """Some hashes at random, others made of them or of their mirror by flipping 0 to 12 bits (0 to 18 of the fine one)."""
    bits = st.lists(st.integers(0, 63), max_size=12, unique=True)
    fine_bits = st.lists(st.integers(0, 63), max_size=18, unique=True)
    pairs = [(draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 2**64 - 1)))]
    fine = [draw(st.integers(0, 2**64 - 1))]
    for _ in range(draw(st.integers(0, 14))):
        one, other = pairs[draw(st.integers(0, len(pairs) - 1))]
        source = draw(st.sampled_from([one, other, draw(st.integers(0, 2**64 - 1))]))
        mirror = draw(st.sampled_from([one, other, draw(st.integers(0, 2**64 - 1))]))
        pairs.append((flip(source, draw(bits)), flip(mirror, draw(bits))))
        turned = draw(st.sampled_from([0, int(MIRROR_FLIPS)]))
        fine.append(flip(draw(st.sampled_from(fine)) ^ turned, draw(fine_bits)))
    return as_hashes([one for one, _ in pairs]), as_hashes([other for _, other in pairs]), as_hashes(fine)


@given(related_hashes())
@settings(max_examples=20, deadline=None)
def test_the_groups_are_those_of_comparing_every_pair(made):
    assert near_duplicate_groups(*made).tolist() == groups_by_comparing_all(*made)


@pytest.mark.parametrize("distance", range(7, 11))
def test_a_pair_is_found_up_to_eight_bits_wherever_they_lie(distance):
    random = np.random.default_rng(distance)
    originals = random.integers(0, 2**64, 300, dtype=np.uint64)
    flipped = [random.choice(64, distance, replace=False).tolist() for _ in originals]
    copies = as_hashes([flip(int(one), bits) for one, bits in zip(originals, flipped, strict=True)])
    unlike = random.integers(0, 2**64, 600, dtype=np.uint64)
    groups = near_duplicate_groups(np.concatenate([originals, copies]), unlike, np.zeros(600, np.uint64))
    expected = list(range(300)) * 2 if distance <= 8 else list(range(600))
    assert groups.tolist() == expected


@pytest.mark.parametrize(("distance", "expected"), [(12, [0, 0, 0]), (13, [0, 1, 2])])
def test_pictures_that_are_alike_in_the_large_alone_are_no_duplicates(distance, expected):
    """The second is a copy and the third a mirror image, as far as pHash tells."""
    one, other = (flip(2**63, list(range(start, start + distance))) for start in (0, 30))
    fine = as_hashes([2**63, one, other ^ int(MIRROR_FLIPS)])
    found = near_duplicate_groups(as_hashes([7, 7, 2**40]), as_hashes([2**40, 2**40, 7]), fine)
    assert found.tolist() == expected


def test_small_parts_give_the_same_groups(monkeypatch):
    random = np.random.default_rng(5)
    hashes = random.integers(0, 2**64, 400, dtype=np.uint64)
    hashes[200:] = hashes[:200] ^ np.uint64(0b1011)
    mirrored = random.permutation(hashes) ^ np.uint64(1 << 40)
    fine = random.integers(0, 2, 400, dtype=np.uint64)
    whole = near_duplicate_groups(hashes, mirrored, fine)
    monkeypatch.setattr(duplicates, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 3)
    assert len(set(whole)) < 250
    assert (near_duplicate_groups(hashes, mirrored, fine) == whole).all()


def test_ten_thousand_copies_of_one_photograph_are_one_group():
    assert (near_duplicate_groups(*(np.full(10_000, number, np.uint64) for number in (7, 9, 5))) == 0).all()


def test_no_photographs_have_no_groups():
    assert near_duplicate_groups(as_hashes([]), as_hashes([]), as_hashes([])).tolist() == []


# Real photographs


def photographs() -> dict[str, Image.Image]:
    """The bundled ones and some of scikit-image's, and the four quarters of each as photographs of their own."""
    from skimage import data

    paths = [*SAMPLES, *(Path(data.__file__).parent / name for name in MORE)]
    found = {}
    for path in paths:
        with Image.open(path) as image:
            whole = image.convert("RGB")
        whole.thumbnail((768, 768))
        found[path.stem] = whole
        # Quarters of a disc on black, or of an even sky, do show the same.
        if path.stem not in ("retina", "sunset"):
            width, height = (side // 2 for side in whole.size)
            for place, (left, top) in enumerate([(0, 0), (width, 0), (0, height), (width, height)]):
                found[f"{path.stem} {place}"] = whole.crop((left, top, left + width, top + height))
    return found


MORE = ("brick.png", "coins.png", "grass.png", "gravel.png", "moon.png", "motorcycle_left.png", "retina.jpg")


def encoded(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")


def scaled(image: Image.Image, factor: float) -> Image.Image:
    return image.resize([max(1, round(side * factor)) for side in image.size], Image.Resampling.BICUBIC)


def exposed(image: Image.Image, stops: float) -> Image.Image:
    return Image.fromarray(linear_to_srgb(srgb_to_linear(np.asarray(image)) * np.float32(2.0**stops)))


COPIES = {
    "JPEG 30": lambda image: encoded(image, 30),
    "JPEG 95": lambda image: encoded(image, 95),
    "a quarter": lambda image: scaled(image, 0.25),
    "double": lambda image: scaled(image, 2),
    "a stop darker": lambda image: exposed(image, -1),
    "mirrored": ImageOps.mirror,
    "half a stop darker, smaller, encoded, mirrored": lambda image: ImageOps.mirror(
        encoded(scaled(exposed(image, -0.5), 0.5), 60)
    ),
}


def groups_of(images: list[Image.Image]) -> list[int]:
    found = [hashes_of(image) for image in images]
    columns = (as_hashes([int(one[name], 16) for one in found]) for name in ("phash", "phash_mirrored", "phash_fine"))
    return near_duplicate_groups(*columns).tolist()


@pytest.fixture(scope="module")
def originals() -> dict[str, Image.Image]:
    return photographs()


def test_different_photographs_are_never_taken_for_one(originals):
    assert len(originals) > 80
    assert groups_of(list(originals.values())) == list(range(len(originals)))


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(copy, id=name, marks=[pytest.mark.slow] if place else [])
        for place, (name, copy) in enumerate(COPIES.items())
    ],
)
def test_every_copy_of_every_photograph_is_found(originals, copy):
    images = list(originals.values())
    groups = groups_of([*images, *map(copy, images)])
    assert [
        name for name, group, own in zip(originals, groups[len(images) :], groups, strict=False) if group != own
    ] == []
    assert groups[: len(images)] == list(range(len(images)))


def test_whole_photographs_are_found_a_stop_brighter_although_much_is_clipped(originals):
    images = [image for name, image in originals.items() if " " not in name]
    assert groups_of([*images, *(exposed(image, 1) for image in images)]) == [*range(len(images))] * 2


def test_faces_on_one_ground_are_different_photographs():
    """A hundred aligned faces (Huang et al., 2007), the pictures most alike of all that a lighting dataset has."""
    from skimage import data

    faces = [Image.fromarray(np.uint8(255 * face)).resize((200, 200)) for face in data.lfw_subset()[:100]]
    assert groups_of(faces) == list(range(100))


def test_the_fine_hash_of_a_mirror_image_has_the_odd_cosines_turned(originals):
    for image in originals.values():
        assert (fine_hash(ImageOps.mirror(image)) ^ fine_hash(image) ^ int(MIRROR_FLIPS)).bit_count() <= 2
