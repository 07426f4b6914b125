"""Near-duplicates are found as comparing every pair would find them."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageOps

from shared import duplicates
from shared.duplicates import MAX_DISTANCE, near_duplicate_groups

SAMPLES = sorted((Path(__file__).parent.parent / "configs" / "samples").glob("*.jpg"))


def groups_by_comparing_all(hashes: np.ndarray, mirrored: np.ndarray) -> list[int]:
    """The brute force: every pair, and then the lowest index that can be reached."""
    group = list(range(len(hashes)))
    everyone = range(len(hashes))
    for _ in everyone:
        for one in everyone:
            for other in everyone:
                pairs = [(hashes[one], hashes[other]), (hashes[one], mirrored[other]), (mirrored[one], hashes[other])]
                if min(int(first ^ second).bit_count() for first, second in pairs) <= MAX_DISTANCE:
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
    """Some hashes at random, others made of them or of their mirror by flipping 0 to 12 bits."""
    bits = st.lists(st.integers(0, 63), max_size=12, unique=True)
    pairs = [(draw(st.integers(0, 2**64 - 1)), draw(st.integers(0, 2**64 - 1)))]
    for _ in range(draw(st.integers(0, 14))):
        one, other = pairs[draw(st.integers(0, len(pairs) - 1))]
        source = draw(st.sampled_from([one, other, draw(st.integers(0, 2**64 - 1))]))
        mirror = draw(st.sampled_from([one, other, draw(st.integers(0, 2**64 - 1))]))
        pairs.append((flip(source, draw(bits)), flip(mirror, draw(bits))))
    return as_hashes([one for one, _ in pairs]), as_hashes([other for _, other in pairs])


@given(related_hashes())
@settings(max_examples=50, deadline=None)
def test_the_groups_are_those_of_comparing_every_pair(pair):
    hashes, mirrored = pair
    assert near_duplicate_groups(hashes, mirrored).tolist() == groups_by_comparing_all(hashes, mirrored)


@pytest.mark.parametrize("distance", range(7, 11))
def test_a_pair_is_found_up_to_eight_bits_wherever_they_lie(distance):
    random = np.random.default_rng(distance)
    originals = random.integers(0, 2**64, 300, dtype=np.uint64)
    flipped = [random.choice(64, distance, replace=False).tolist() for _ in originals]
    copies = as_hashes([flip(int(one), bits) for one, bits in zip(originals, flipped, strict=True)])
    unlike = random.integers(0, 2**64, 600, dtype=np.uint64)
    groups = near_duplicate_groups(np.concatenate([originals, copies]), unlike)
    expected = list(range(300)) * 2 if distance <= 8 else list(range(600))
    assert groups.tolist() == expected


def test_small_parts_give_the_same_groups(monkeypatch):
    random = np.random.default_rng(5)
    hashes = random.integers(0, 2**64, 400, dtype=np.uint64)
    hashes[200:] = hashes[:200] ^ np.uint64(0b1011)
    mirrored = random.permutation(hashes) ^ np.uint64(1 << 40)
    whole = near_duplicate_groups(hashes, mirrored)
    monkeypatch.setattr(duplicates, "_QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(duplicates, "_PAIRS_AT_ONCE", 3)
    assert len(set(whole)) < 250
    assert (near_duplicate_groups(hashes, mirrored) == whole).all()


def test_ten_thousand_copies_of_one_photograph_are_one_group():
    assert (near_duplicate_groups(np.full(10_000, 7, np.uint64), np.full(10_000, 9, np.uint64)) == 0).all()


def test_no_photographs_have_no_groups():
    assert near_duplicate_groups(as_hashes([]), as_hashes([])).tolist() == []


def pair_of_hashes(image: Image.Image) -> tuple[int, int]:
    return int(str(imagehash.phash(image)), 16), int(str(imagehash.phash(ImageOps.mirror(image))), 16)


def test_a_photograph_is_found_again_smaller_brighter_re_encoded_and_mirrored_and_no_other_is(tmp_path):
    found = []
    for path in SAMPLES:
        with Image.open(path) as image:
            photograph = image.convert("RGB")
        photograph.save(tmp_path / "poor.jpg", quality=30)
        with Image.open(tmp_path / "poor.jpg") as image:
            poor = image.convert("RGB")
        small = photograph.resize((photograph.width // 3, photograph.height // 3))
        brighter = ImageEnhance.Brightness(photograph).enhance(1.25)
        copies = (photograph, poor, small, brighter, ImageOps.mirror(small))
        found += [pair_of_hashes(copy) for copy in copies]
    hashes, mirrored = (as_hashes(list(column)) for column in zip(*found, strict=True))
    expected = [5 * (number // 5) for number in range(len(found))]
    assert near_duplicate_groups(hashes, mirrored).tolist() == expected
