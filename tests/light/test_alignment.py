"""Movement is told to a part of a pixel under any light, and none is told where there is none."""

import cv2
import numpy as np
import pytest
from PIL import Image

from shared.light.alignment import Alignment, alignment, shift_of
from shared.light.scenes.sides import draw_surface
from tests.conftest import ROOT

SAMPLES = sorted((ROOT / "configs" / "samples").glob("*.jpg"))[:6]


def sample(path, side=512) -> np.ndarray:
    with Image.open(path) as image:
        image.thumbnail((side, side))
        return np.asarray(image.convert("RGB"))


def relit(image: np.ndarray) -> np.ndarray:
    """Warm light from the right."""
    ramp = np.linspace(0.25, 1.1, image.shape[1], dtype=np.float32)[None, :, None]
    return np.clip(image * ramp * np.array([1.1, 0.9, 0.7], np.float32), 0, 255).astype(np.uint8)


def moved(image: np.ndarray, x: float, y: float, zoom: float) -> np.ndarray:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), 0, zoom)
    matrix[:, 2] += (x, y)
    warped = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    _, coded = cv2.imencode(".jpg", warped[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("x", "y", "zoom"), [(0, 0, 1), (2, 0, 1), (8, -4, 1), (0, 0, 1.01), (3, -2, 1.03), (-5, 4, 0.97)]
)
def test_shift_and_zoom_are_found_under_another_light(x, y, zoom):
    errors = []
    for path in SAMPLES:
        image = sample(path)
        found = alignment(image, moved(relit(image), x, y, zoom))
        assert found is not None, path.name
        errors.append((np.hypot(found.x - x, found.y - y), abs(found.zoom - zoom)))
    shifts, zooms = np.array(errors).T
    assert np.median(shifts) <= 0.05 and shifts.max() < 0.25
    assert np.median(zooms) <= 0.0005 and zooms.max() < 0.002


def test_large_images_are_measured_in_their_own_pixels():
    image = cv2.resize(sample(SAMPLES[0]), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    found = alignment(image, moved(image, 12, 0, 1))
    assert found is not None and abs(found.x - 12) < 0.3 and abs(found.pixels - 12) < 0.3


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("family", ["patches", "relief", "solids"])
def test_small_scenes_lit_from_elsewhere_have_not_moved_and_a_shift_of_them_is_found(family, size):
    still, shifted = [], []
    for number in range(4):
        surface = draw_surface(family, np.random.default_rng(number), size)
        front, side = surface.lit("front"), surface.lit("upper right")
        untouched = front.copy(), side.copy()
        still.append(alignment(front, side))
        assert (front == untouched[0]).all() and (side == untouched[1]).all()
        shifted.append(alignment(front, moved(side, 3, -2, 1)))
    assert np.median([one.pixels for one in still if one]) < 0.1
    errors = [np.hypot(one.x - 3, one.y + 2) for one in shifted if one]
    assert len(errors) >= 3 and np.median(errors) < (1 if family == "solids" else 0.5)  # their edges are light, too


def test_what_a_shift_is_measured_of_is_left_as_it_is():
    one, other = (np.random.default_rng(seed).normal(size=(64, 128)).astype(np.float32) for seed in (1, 2))
    copies = one.copy(), other.copy()
    shift_of(one, other)
    assert np.array_equal(one, copies[0]) and np.array_equal(other, copies[1])


def test_two_scenes_and_empty_pictures_have_no_alignment():
    first, second = (cv2.resize(sample(path), (300, 200)) for path in SAMPLES[:2])
    assert alignment(first, second) in (None, Alignment(0.0, 0.0, 1.0))
    grey = np.full((200, 300, 3), 128, np.uint8)
    assert alignment(grey, grey) is None and alignment(first, grey) is None
    assert alignment(first[:20], first[:20]) is None


def test_what_the_default_run_degrades_has_not_moved(default_run):
    rows = sorted((default_run.output / "step_2_degrade").glob("data-*/*_output.png"))
    assert len(rows) >= 12
    photographs = {path.stem: path for path in (ROOT / "configs" / "samples").glob("*.jpg")}
    for path in rows:
        target = sample(photographs[path.name.removesuffix("_output.png").rsplit(".", 1)[0]], 10_000)
        degraded = sample(path, 10_000)
        if degraded.shape != target.shape:
            target = cv2.resize(target, degraded.shape[1::-1], interpolation=cv2.INTER_AREA)
        found = alignment(degraded, target)
        assert found is None or (found.pixels < 0.3 and abs(found.zoom - 1) < 0.001), path.name
