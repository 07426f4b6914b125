"""How far two images are apart: PSNR and SSIM, the floor that any model must beat."""

import numpy as np

from shared.light.colour import linear_to_srgb, srgb_to_linear, strongest_channel
from shared.light.direction import CLIPPED

HIGHEST_PSNR = 100.0  # of equal images, where the formula is infinite and JSON has no such number


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 images of one shape, at most 100."""
    import cv2

    distance = cv2.norm(one, other, cv2.NORM_L2)
    if distance == 0:
        return HIGHEST_PSNR
    return float(min(HIGHEST_PSNR, 20 * np.log10(255 * np.sqrt(one.size) / distance)))


def psnr_inside(one: np.ndarray, other: np.ndarray, mask: np.ndarray | None) -> float:
    """psnr() of the pixels at which a mask (HxW uint8) is more than half; of all where there are none, or no mask."""
    inside = None if mask is None else mask > 127
    return psnr(one, other) if inside is None or not inside.any() else psnr(one[inside], other[inside])


def likeness_of(one: np.ndarray, other: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    """PSNR in dB and SSIM of two uint8 images of one shape, over all and inside the subject's mask (HxW uint8)."""
    return {
        "psnr": round(psnr(one, other), 3),
        "ssim": round(ssim(one, other), 4),
        "subject_psnr": round(psnr_inside(one, other, mask), 3),
        "subject_ssim": round(ssim(one, other, mask), 4),
    }


def exposed_like(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`image` under the exposure and white balance of `other`, uint8 RGB of one shape: a gain for each channel of linear
    light, by least squares over what neither has clipped."""
    linear, wanted = srgb_to_linear(image), srgb_to_linear(other)
    usable = (strongest_channel(np.maximum(image, other)) < CLIPPED)[..., None]
    squares = (linear * linear * usable).sum(axis=(0, 1))
    gains = (linear * wanted * usable).sum(axis=(0, 1)) / np.maximum(squares, 1e-9)
    return linear_to_srgb(linear * np.where(squares > 0, gains, 1.0).astype(np.float32))


def ssim(one: np.ndarray, other: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Mean structural similarity, -1..1, of two uint8 RGB images of one shape (Wang et al., 2004).

    With a mask (HxW uint8) the mean is over the pixels at which it is more than half, if there are any.
    On luma, Gaussian window of 1.5 px, at the scale the authors advise: both are averaged down until the short
    side is about 256 pixels, which also makes a large photograph quick.
    """
    import cv2

    x, y = (cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32) for image in (one, other))
    step = max(1, round(min(x.shape) / 256))
    if step > 1:
        size = (x.shape[1] // step, x.shape[0] // step)
        x, y = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (x, y))
    inside = None if mask is None else cv2.resize(mask, x.shape[::-1], interpolation=cv2.INTER_AREA) > 127

    def mean(image: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(image, (11, 11), 1.5)

    mean_x, mean_y = mean(x), mean(y)
    variances = mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2
    covariance = mean(x * y) - mean_x * mean_y
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    similarity /= (mean_x**2 + mean_y**2 + c1) * (variances + c2)
    return float(similarity.mean() if inside is None or not inside.any() else similarity[inside].mean())
