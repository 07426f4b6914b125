import numpy as np
import pytest

from shared.light.colour import lightness, luminance, srgb_to_linear
from shared.light.glance import Glance
from shared.light.outline import outline_of


def disc(size=300, radius=90):
    rows, columns = np.mgrid[:size, :size] - size / 2
    return np.hypot(rows, columns) < radius


def told(picture, subject, is_before_sky=False):
    picture = np.uint8(picture)
    return outline_of(Glance.of(picture), lightness(luminance(srgb_to_linear(picture))), subject, is_before_sky)


def rimmed(behind, inside, rim, width=4):
    picture = np.full((300, 300, 3), behind)
    picture[disc()] = rim
    picture[disc(radius=90 - width)] = inside
    return picture


@pytest.mark.parametrize(
    ("behind", "inside", "rim", "expected"),
    [
        (20, 50, 220, "rim"),
        (20, 50, 60, None),  # hardly brighter
        (150, 50, 220, None),  # the subject stands before a bright wall
        (20, 170, 230, None),  # it is bright all over
        (210, 8, 8, "silhouette"),
        (210, 120, 120, None),
        (40, 8, 8, None),  # dark before the dark
    ],
)
def test_a_rim_and_a_silhouette_of_a_subject(behind, inside, rim, expected):
    assert told(rimmed(behind, inside, rim), disc()) == expected


def test_a_light_from_one_side_leaves_no_rim():
    picture = rimmed(20, 50, 50)
    columns = np.mgrid[:300, :300][1]
    picture[disc() & (columns < 110)] = 220  # a lit side, wider than a rim
    assert told(picture, disc()) is None


def test_a_face_that_is_seen_is_no_silhouette():
    picture = rimmed(210, 8, 8)
    picture[100:130, 130:160] = 150
    assert told(picture, disc()) is None


def test_without_a_subject_what_is_black_before_a_pale_brightness_is_a_silhouette():
    picture = np.full((300, 300, 3), 210)
    picture[150:, 40:260] = 4
    picture[60:150, 120:150] = 4
    assert told(picture, None) == "silhouette"
    coloured = picture.copy()
    coloured[picture > 100] = np.tile([235, 130, 30], (picture > 100).sum() // 3)
    assert told(coloured, None) is None  # a flower before black
    assert told(coloured, None, is_before_sky=True) == "silhouette"
    picture[210:] = 70  # a meadow that is seen
    assert told(picture, None) is None


def test_of_a_subject_that_fills_the_picture_nothing_is_told():
    assert told(np.full((90, 90, 3), 5), np.ones((90, 90), bool)) is None
    assert told(np.full((90, 90, 3), 5), None) is None
