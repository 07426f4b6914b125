"""The order of training, what it draws at random, and what becomes of the images and words of a triplet."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from shared.errors import ImageError
from shared.relighter.training.examples import Examples, positions
from shared.relighter.training.geometry import Geometry
from shared.relighter.training.mirror import mirror_words
from shared.relighter.training.order import Order
from shared.triplets.roles import Columns

COLUMNS = Columns("input_image_path", "words", "image_path")


def test_every_epoch_takes_each_triplet_once_in_an_order_of_its_own():
    order = Order(20, seed=3, dropout=0.05)
    epochs = [[order[20 * epoch + place].triplet for place in range(20)] for epoch in range(3)]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 3
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_position_is_the_same_whoever_asks_and_another_seed_is_another_order():
    one, other, third = Order(50, 3, 0.1), Order(50, 3, 0.1), Order(50, 4, 0.1)
    list(map(one.__getitem__, range(120)))
    for position in (0, 49, 50, 117):
        here, there = one[position], other[position]
        assert here[:4] == there[:4]
        assert here.random.random() == there.random.random()
    assert [one[place].triplet for place in range(50)] != [third[place].triplet for place in range(50)]


@pytest.mark.parametrize("dropout", [0.05, 0.1])
def test_text_image_and_both_are_dropped_in_exact_shares_of_each_epoch(dropout):
    order = Order(200, seed=1, dropout=dropout)
    for epoch in range(3):
        draws = [order[200 * epoch + place] for place in range(200)]
        counts = Counter((draw.drops_text, draw.drops_image) for draw in draws)
        share = round(200 * dropout)
        assert counts == {
            (True, False): share,
            (True, True): share,
            (False, True): share,
            (False, False): 200 - 3 * share,
        }
    dropped = [{order[200 * e + p].triplet for p in range(200) if order[200 * e + p].drops_text} for e in range(3)]
    assert dropped[0] != dropped[1] != dropped[2]


def test_without_dropout_nothing_is_dropped():
    order = Order(7, seed=1, dropout=0.0)
    assert not any(order[place].drops_text or order[place].drops_image for place in range(70))


def test_the_processes_share_the_positions_without_gap_or_double():
    rank = [positions(first=8, size=2, stride=4, share=share) for share in (0, 2)]
    taken = [next(rank[number]) for _ in range(3) for number in range(2)]
    assert taken == [[8, 9], [10, 11], [12, 13], [14, 15], [16, 17], [18, 19]]


@pytest.mark.parametrize(
    ("words", "mirrored"),
    [
        ("light from the left", "light from the right"),
        ("Left side lit, bright right", "Right side lit, bright left"),
        ("upper-left key, left-hand window", "upper-right key, right-hand window"),
        ("leftover light, bright scene, rightful", "leftover light, bright scene, rightful"),
        ("LEFT leftmost rightward", "RIGHT rightmost leftward"),
        ("warm light from above", "warm light from above"),
    ],
)
def test_words_of_a_mirrored_photograph_exchange_left_and_right(words, mirrored):
    assert mirror_words(words) == mirrored
    assert mirror_words(mirrored) == words


@pytest.fixture
def rows(tmp_path):
    """Three triplets whose images say of each pixel where it was: red is the column, green the row."""
    places = np.stack(np.meshgrid(np.arange(120), np.arange(80)), -1).astype(np.uint8)
    found = []
    for number in range(3):
        photograph = np.concatenate([places, np.full((80, 120, 1), 10 * number, np.uint8)], -1)
        Image.fromarray(photograph).save(tmp_path / f"{number}.png")
        Image.fromarray(photograph // 2).save(tmp_path / f"{number}_flat.png")
        found.append(
            {"key": f"k{number}", "image_path": str(tmp_path / f"{number}.png"),
             "input_image_path": str(tmp_path / f"{number}_flat.png"), "words": "light from the left"}
        )  # fmt: skip
    return found


def examples_of(rows, **geometry):
    return Examples(rows, Order(len(rows), 5, 0.05), COLUMNS, Geometry(64, **geometry), (4, 8, 8))


def test_both_images_of_a_triplet_are_cut_and_mirrored_alike(rows):
    seen = set()
    for position in range(24):
        example = examples_of(rows, random_flip=True)[position]
        assert example["source"].shape == example["target"].shape == (3, 64, 64)
        assert np.abs(example["target"][:2].astype(int) - 2 * example["source"][:2].astype(int)).max() <= 4
        columns = example["target"][0, 32].astype(int)
        assert example["is_flipped"] == (columns[0] > columns[-1])
        assert example["text"] == ("light from the right" if example["is_flipped"] else "light from the left")
        seen.add((example["is_flipped"], int(columns.min())))
    assert {flipped for flipped, _ in seen} == {True, False}
    assert len({corner for _, corner in seen}) > 5  # crops lie where chance puts them


def test_a_centre_crop_is_the_same_every_time(rows):
    examples = examples_of(rows, center_crop=True)
    columns = {tuple(examples[position]["target"][0, 32]) for position in range(9)}
    assert len(columns) == 1


def test_the_numbers_drawn_for_a_position_do_not_hang_on_the_crop(rows):
    one, other = examples_of(rows)[4], examples_of(rows)[4]
    assert (one["noise"] == other["noise"]).all() and one["moment"] == other["moment"]
    assert (one["noise"] != examples_of(rows)[5]["noise"]).any()


def test_an_image_that_cannot_be_read_gives_its_place_to_the_next_triplet(rows, tmp_path, caplog):
    (tmp_path / "1.png").write_bytes(b"no image")
    examples = examples_of(rows)
    taken = [examples[position]["index"] for position in range(6)]
    assert sorted(taken) == [0, 0, 2, 2, 2, 2]
    assert "k1 is left out of training" in caplog.text
    for number in (0, 2):
        (tmp_path / f"{number}.png").unlink()
    with pytest.raises(ImageError, match="triplets one after another"):
        examples[0]


def test_images_of_other_shapes_are_no_triplet_and_of_other_sizes_are(rows, tmp_path):
    Image.new("RGB", (240, 160)).save(tmp_path / "0_flat.png")
    assert examples_of(rows).images(0, np.zeros(2), False)[0].shape == (3, 64, 64)
    Image.new("RGB", (120, 120)).save(tmp_path / "0_flat.png")
    with pytest.raises(ImageError, match="120 x 120 and 120 x 80"):
        examples_of(rows).images(0, np.zeros(2), False)
