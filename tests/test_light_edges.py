import cv2
import numpy as np
import pytest

from shared.light.colour import linear_to_srgb
from shared.light.describe import describe
from shared.light.edges import edge_widths, hardness_of
from shared.light.scenes import render
from shared.light.steps import steps_of


def shadow(sigma, tint=(1.0, 1.0, 1.0), size=200):
    """A grey wall of which the right half lies in a shadow whose edge has this width in pixels."""
    lit = np.where(np.arange(size) < size // 2, 1.0, 0.2).astype(np.float32)[np.newaxis].repeat(size, 0)
    # Blurred in the logarithm, in which the width is measured.
    lit = np.exp(cv2.GaussianBlur(np.log(lit), (0, 0), sigma)) if sigma else lit
    light = lit[..., np.newaxis] ** np.array(tint, np.float32)
    return linear_to_srgb(0.6 * light)


@pytest.mark.parametrize(("sigma", "scale"), [(1.0, 1), (2.0, 1), (3.0, 2), (6.0, 2)])
def test_the_width_of_a_shadows_edge_is_measured(sigma, scale):
    widths = edge_widths(steps_of(shadow(sigma)), scale)
    assert len(widths) >= 150
    assert np.median(widths) == pytest.approx(sigma, abs=0.3)


def test_the_edge_of_a_painted_patch_is_no_shadow():
    assert len(edge_widths(steps_of(shadow(1.0, tint=(1.0, 0.4, 1.3))), 1)) == 0


def test_the_broader_the_edges_the_softer_the_light():
    found = [hardness_of(steps_of(shadow(sigma))) for sigma in (0.7, 3.0, 6.0)]
    assert found[0] > 0.6
    assert found[2] < 0.15
    assert found == sorted(found, reverse=True)


def test_a_picture_without_shadows_is_not_called_hard():
    assert describe(np.full((90, 90, 3), 120, np.uint8)).hardness == pytest.approx(0.13, abs=0.01)


def test_hard_light_is_told_from_soft_light():
    sides: tuple[list[float], list[float]] = ([], [])
    for seed in range(12):
        scene = render("solids", seed)
        sides[scene.is_hard].append(describe(scene.image).hardness)
    soft, hard = (np.array(side) for side in sides)
    assert (hard[:, np.newaxis] > soft).mean() > 0.75
