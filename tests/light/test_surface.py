import numpy as np
import pytest

from shared.light.scenes.scenes import height_field
from shared.light.surface import heights_of, normals_of, stand_in, told


def bump(height, width):
    rows, columns = np.mgrid[:height, :width]
    square = ((rows - height / 2) / height) ** 2 + ((columns - width / 2) / width) ** 2
    return (0.2 * min(height, width) * np.exp(-12 * square)).astype(np.float32)


@pytest.mark.parametrize("shape", [(60, 60), (48, 80), (81, 33)])
def test_heights_come_back_from_their_normals(shape):
    heights = bump(*shape)
    found = heights_of(normals_of(heights))
    assert np.abs(found - (heights - heights.mean())).max() < 0.03 * np.ptp(heights)


def test_a_rolling_surface_comes_back_too():
    heights = height_field(np.random.default_rng(4), 120)
    found = heights_of(normals_of(heights))
    assert np.corrcoef(found.ravel(), heights.ravel())[0, 1] > 0.97


def test_normals_have_unit_length_and_lean_where_the_surface_falls():
    normals = normals_of(bump(50, 50))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, rtol=1e-5)
    assert normals[25, 40, 0] > 0.1 and normals[25, 10, 0] < -0.1  # right of the top it faces right
    assert normals[10, 25, 1] > 0.1 and normals[40, 25, 1] < -0.1  # and above it up
    assert normals_of(np.zeros((1, 5)))[0, 2].tolist() == [0, 0, 1]


def test_what_was_told_of_a_small_copy_holds_for_the_large_one():
    small, large = (np.full((side, side, 3), 120, np.uint8) for side in (60, 180))
    surface = told(normals_of(bump(60, 60)), small, large)
    assert surface.heights.shape == (180, 180) and surface.normals.shape == (180, 180, 3)
    assert np.ptp(surface.heights) == pytest.approx(np.ptp(bump(180, 180)), rel=0.1)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=-1), 1, rtol=1e-4)
    error = np.degrees(np.arccos(np.clip((surface.normals * normals_of(bump(180, 180))).sum(-1), -1, 1)))
    assert np.median(error) < 4


def test_a_stand_in_is_a_balloon_over_a_subject_and_a_dome_without():
    even = np.zeros((80, 120), np.float32)
    mask = np.zeros((80, 120), np.uint8)
    mask[20:60, 40:80] = 255
    balloon, dome = stand_in(mask, even), stand_in(None, even)
    assert balloon.heights[40, 60] > balloon.heights[22, 60] > balloon.heights[5, 5] == pytest.approx(0, abs=0.5)
    assert dome.heights.argmax() // 120 in (39, 40) and np.ptp(dome.relief) < 1e-4
