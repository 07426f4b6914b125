import numpy as np
import pytest

from shared.light.fidelity import psnr, ssim

PICTURE = np.random.default_rng(0).integers(0, 256, (200, 300, 3)).astype(np.uint8)


def test_equal_images_have_the_highest_values():
    assert psnr(PICTURE, PICTURE) == 100
    assert ssim(PICTURE, PICTURE) == pytest.approx(1)


def test_psnr_is_that_of_scikit_image():
    from skimage.metrics import peak_signal_noise_ratio

    other = np.clip(PICTURE.astype(int) + 9, 0, 255).astype(np.uint8)
    assert psnr(PICTURE, other) == pytest.approx(peak_signal_noise_ratio(PICTURE, other), abs=1e-6)


def test_ssim_is_that_of_scikit_image():
    import cv2
    from skimage.metrics import structural_similarity

    smooth = cv2.GaussianBlur(PICTURE, (0, 0), 3)
    other = cv2.GaussianBlur(PICTURE, (0, 0), 4)
    expected = structural_similarity(
        cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), cv2.cvtColor(other, cv2.COLOR_RGB2GRAY),
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert ssim(smooth, other) == pytest.approx(float(expected), abs=0.01)


def test_a_worse_copy_has_lower_values():
    noise = np.random.default_rng(1).normal(0, 1, PICTURE.shape)
    copies = [np.clip(PICTURE + sigma * noise, 0, 255).astype(np.uint8) for sigma in (5, 20, 60)]
    assert psnr(PICTURE, copies[0]) > psnr(PICTURE, copies[1]) > psnr(PICTURE, copies[2])
    assert ssim(PICTURE, copies[0]) > ssim(PICTURE, copies[1]) > ssim(PICTURE, copies[2])


@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 900, 3), (2000, 700, 3)])
def test_images_of_any_shape_are_compared(shape):
    one = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert psnr(one, one) == 100
    assert ssim(one, one) == pytest.approx(1)
