"""Put a new light on a flattened photograph: shading, cast shadow, pattern, highlights and colour."""

from typing import NamedTuple

import numpy as np

from shared.light.colour import luminance, rgb_of_cct, strongest_channel
from shared.light.degradation.options import NewLight
from shared.light.degradation.patterns import cast
from shared.light.surface import Surface, normals_of

DAYLIGHT = 6504.0  # kelvin of the white that sRGB takes for neutral
FILL_SHARE = 0.35  # of advanced shading: the second light, from across, against the key light


class Illumination(NamedTuple):
    """A new light on a photograph at the working size; multiply the flattened image and add the highlights."""

    gain: np.ndarray  # hxwx3 float32
    highlights: np.ndarray | None  # hxwx3 float32, linear light

    def shade(self, flattened: np.ndarray) -> np.ndarray:
        """The flattened linear image (hxwx3) in the new light."""
        lit = flattened * self.gain
        return lit if self.highlights is None else lit + self.highlights


def illuminate(flattened: np.ndarray, surface: Surface, light: NewLight, sky: np.ndarray | None = None) -> Illumination:
    """The effect of `light` on a flattened linear image (hxwx3 float32) that has this surface (hxw).

    Nothing casts a shadow on the `sky` (hxw float32, 0..1), neither itself nor a pattern.
    Lambert's law with a wrapped terminator, Blinn and Phong's highlights (Blinn, 1977).
    """
    height, width = flattened.shape[:2]
    heights, normals, relief = surface
    direction = np.array(light.direction, np.float32)
    direct = _lambert(normals, direction, light.softness)
    ambient = np.float32(light.ambient)
    catches: np.ndarray | np.float32 = np.float32(1) if sky is None else 1 - sky
    if light.shadow_opacity > 0:
        direct = direct * (1 - catches * np.float32(light.shadow_opacity) * (1 - cast_shadow(heights, light)))
    if light.pattern_type is not None:
        shape = cast(light.pattern_type, height, width, light.pattern_blur, np.random.default_rng(light.pattern_seed))
        direct = direct * (1 - catches * np.float32(light.pattern_opacity) * (1 - _draped(shape, relief, light)))

    key_colour = rgb_of_cct(light.colour_temperature) / rgb_of_cct(DAYLIGHT)
    # The sky fills a warm key's shadows with cool light and the other way round, at a third of the shift.
    ambient_colour = key_colour ** np.float32(-0.33)
    gain = ambient * ambient_colour + (1 - ambient) * direct[..., np.newaxis] * key_colour
    if light.degradation_type == "advanced_shading":
        across = direction * np.array([-1, -1, 1], np.float32)
        fill = _lambert(normals, across, 0.8)[..., np.newaxis] * ambient_colour
        gain = (gain + FILL_SHARE * (1 - ambient) * fill) * _occlusion(relief)[..., np.newaxis]

    highlights = None
    if light.specular_intensity > 0:
        halfway = direction + np.array([0, 0, 1], np.float32)
        halfway /= np.linalg.norm(halfway)
        # Highlights sit on small forms; on a dome alone they would be one white fog.
        glossy = normals if relief is heights else normals_of(4 * relief)
        shine = np.clip(glossy @ halfway, 0, 1) ** np.float32(light.shininess)
        shine *= np.sqrt(np.clip(luminance(flattened), 0, 1))
        highlights = (np.float32(light.specular_intensity) * shine * direct)[..., np.newaxis] * key_colour
    return Illumination(gain.astype(np.float32), highlights)


def expose(
    illumination: Illumination, flattened: np.ndarray, photograph: np.ndarray, mask: np.ndarray | None, stops: float
) -> Illumination:
    """Scale an illumination so that the subject's mean luminance is `stops` above the photograph's.

    `flattened` and `photograph` are linear (hxwx3). A picture that would clip more than a hundredth of the subject is
    held back, so that the degraded image keeps what the target shows.
    """
    weight = np.ones(flattened.shape[:2], bool) if mask is None else mask > 127
    if not weight.any():
        return illumination
    relit = illumination.shade(flattened)[weight]
    before, after = luminance(photograph[weight]).mean(), luminance(relit).mean()
    factor = 2.0**stops * before / max(float(after), 1e-6)
    brightest = float(np.percentile(strongest_channel(relit), 99))
    factor = np.float32(min(factor, 1 / max(brightest, 1e-6)))
    highlights = None if illumination.highlights is None else illumination.highlights * factor
    return Illumination(illumination.gain * factor, highlights)


def cast_shadow(surface: np.ndarray, light: NewLight) -> np.ndarray:
    """1 where a height map (hxw, pixels) sees the light and 0 where it stands in its own shadow, with penumbra.

    The map is pushed away from the light step by step, each step lowered by the light's slope; what lies under
    any of them is in shadow.
    """
    import cv2

    height, width = surface.shape
    right, up, toward = light.direction
    flat = float(np.hypot(right, up))
    if flat < 1e-3:
        return np.ones_like(surface)
    highest = np.full_like(surface, -np.inf)
    reach = 0.3 * max(height, width)
    for step in np.linspace(2, reach, 40):
        move = np.array([[1, 0, -step * right / flat], [0, 1, step * up / flat]], np.float32)
        pushed = cv2.warpAffine(surface, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        highest = np.maximum(highest, pushed - np.float32(step * toward / flat))
    lit = np.clip(0.5 - (highest - surface - 1) / 4, 0, 1).astype(np.float32)
    sigma = light.shadow_blur * max(height, width)
    return cv2.GaussianBlur(lit, (0, 0), sigma) if sigma > 0.2 else lit


def _lambert(normals: np.ndarray, direction: np.ndarray, softness: float) -> np.ndarray:
    # Wrapped diffuse: a light as broad as `softness` reaches that far behind the terminator.
    return np.clip((normals @ direction + np.float32(softness)) / np.float32(1 + softness), 0, 1)


def _draped(shape: np.ndarray, surface: np.ndarray, light: NewLight) -> np.ndarray:
    """The pattern laid over the surface along the light, so that its edges bend with the relief."""
    import cv2

    height, width = shape.shape
    right, up, toward = light.direction
    # A stand-in relief as steep as the light is low would tear the pattern to shreds.
    slant = np.float32(min(0.5 / max(toward, 1e-3), 1.0))
    raised = surface - surface.mean()
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    columns += raised * slant * np.float32(right)
    rows -= raised * slant * np.float32(up)
    return cv2.remap(shape, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def _occlusion(surface: np.ndarray) -> np.ndarray:
    """Darker where the surface lies lower than what is around it, 0.6..1."""
    import cv2

    size = max(surface.shape)
    hollow = cv2.GaussianBlur(surface, (0, 0), 0.03 * size) - surface
    return np.clip(1 - hollow / (0.03 * size), 0.6, 1).astype(np.float32)
