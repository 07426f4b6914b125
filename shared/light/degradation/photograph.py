"""A photograph of any size taken out of its light and into another: the arithmetic of the degrade step."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from shared.light.azimuth import azimuth_of
from shared.light.colour import is_grey, linear_to_srgb, srgb_to_linear
from shared.light.degradation.lighting import DAYLIGHT, Illumination, expose, illuminate
from shared.light.degradation.options import NewLight
from shared.light.enlarge import DARKEST, GuidedMap, bands, enlarge, shrink
from shared.light.fidelity import psnr_inside
from shared.light.shading import SHADING_SIZE, SeenLight, light_in, shapes_in
from shared.light.sky import where_sky_is
from shared.light.surface import Surface, stand_in, told

GREY = np.uint8(128)


class Optics(NamedTuple):
    """A photograph at the size at which the new light is computed."""

    pixels: np.ndarray  # hxwx3 uint8
    linear: np.ndarray  # hxwx3 float32
    flattened: np.ndarray  # hxwx3 float32, linear, in even light
    mask: np.ndarray | None  # hxw uint8
    surface: Surface
    sky: np.ndarray | None  # hxw float32, 0..1


@dataclass(frozen=True)
class Photograph:
    """A uint8 RGB photograph (HxWx3), its subject, and the shading that was found in it."""

    pixels: np.ndarray
    mask: np.ndarray | None  # HxW uint8, 0..255; None where the whole image is the subject
    blend: float = 0.0  # share of the photograph that stays in the flattened image, 0..1
    optics_size: int = 768  # the long side at which the new light is computed, in pixels
    found: tuple[np.ndarray, np.ndarray] | None = None  # a small copy (uint8) and its log shading (hxwx3), by a model
    shaped: tuple[np.ndarray, np.ndarray] | None = None  # a small copy (uint8) and its normals (hxwx3), by a model
    is_balloon: bool = False  # its surface is a stand-in

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    @cached_property
    def _seen(self) -> tuple[np.ndarray, SeenLight]:
        """A small copy, and what the network of the optics sees in it."""
        small = shrink(self.pixels, SHADING_SIZE)
        return small, light_in(small)

    @cached_property
    def _small(self) -> tuple[np.ndarray, np.ndarray]:
        return self.found or (self._seen[0], self._seen[1].log_shading)

    @cached_property
    def _normals(self) -> tuple[np.ndarray, np.ndarray]:
        if self.shaped is not None:
            return self.shaped
        small = self._seen[0]
        return small, shapes_in(small)

    @cached_property
    def _is_grey(self) -> bool:
        return is_grey(self._small[0])

    def sketch(self, size: int) -> "Photograph":
        """A copy of at most `size` pixels a side, in which the same light and the same shapes are seen."""
        mask = None if self.mask is None else shrink(self.mask, size)
        shaped = None if self.is_balloon else self._normals
        return replace(self, pixels=shrink(self.pixels, size), mask=mask, found=self._small, shaped=shaped)

    @cached_property
    def azimuth_degrees(self) -> float:
        """Where its light comes from as far as anything tells, 0 = from the right, 90 = from above: it may be a guess."""
        right, up = self._seen[1].towards_light
        return float(np.degrees(np.arctan2(up, right)) % 360)

    @cached_property
    def has_direction(self) -> bool:
        """Whether it is sure where its light comes from."""
        return azimuth_of(self._seen[1].towards_light).azimuth_degrees is not None

    @cached_property
    def _optics(self) -> "Optics":
        optics = shrink(self.pixels, self.optics_size)
        height, width = optics.shape[:2]
        small, log_shading = self._small
        shading = GuidedMap(log_shading, small, height, width).rows(optics, slice(0, height))
        linear = np.maximum(srgb_to_linear(optics), DARKEST)
        mask = None if self.mask is None else shrink(self.mask, self.optics_size)
        if self.is_balloon:
            surface = stand_in(mask, shading.mean(axis=-1))
        else:
            copy, normals = self._normals
            surface = told(normals, copy, optics, mask)
        sky = None if self._sky is None else enlarge(self._sky, height, width, slice(0, height))
        return Optics(optics, linear, self._blended(linear, shading), mask, surface, sky)

    @cached_property
    def _sky(self) -> np.ndarray | None:
        """Where the sky is, softly (hxw float32, 0..1, small); a subject that was cut out is none."""
        import cv2

        found = where_sky_is(self.pixels) if self.mask is None else None
        return None if found is None else cv2.GaussianBlur(found.astype(np.float32), (0, 0), 1)

    @cached_property
    def _log_shading(self) -> GuidedMap:
        small, log_shading = self._small
        return GuidedMap(log_shading, small, *self.size)

    def relit(self, light: NewLight) -> tuple["Relit", NewLight]:
        """This photograph in another light, and that light as it was used: a black-and-white picture gets no colour."""
        if self._is_grey:
            light = replace(light, colour_temperature=DAYLIGHT)
        _, linear, flattened, mask, surface, sky = self._optics
        illumination = illuminate(flattened, surface, light, sky)
        return Relit(self, expose(illumination, flattened, linear, mask, light.exposure_ev)), light

    def flattened(self) -> np.ndarray:
        """The photograph in even light, HxWx3 uint8, with its share of the photograph blended in."""
        developed = np.empty_like(self.pixels)
        for rows in bands(*self.size):
            developed[rows] = linear_to_srgb(self.flattened_rows(rows))
        return developed

    def flattened_rows(self, rows: slice) -> np.ndarray:
        """These rows of the photograph in even light, linear float32."""
        linear = np.maximum(srgb_to_linear(self.pixels[rows]), DARKEST)
        return self._blended(linear, self._log_shading.rows(self.pixels, rows))

    def shading(self) -> np.ndarray:
        """The light that was in the photograph, HxWx3 uint8: brightest where it was strongest."""
        _, log_shading = self._small
        strongest = np.float32(np.percentile(log_shading, 99.5))
        developed = np.empty_like(self.pixels)
        for rows in bands(*self.size):
            developed[rows] = linear_to_srgb(np.exp(self._log_shading.rows(self.pixels, rows) - strongest))
        return developed

    def _blended(self, linear: np.ndarray, log_shading: np.ndarray) -> np.ndarray:
        share = np.float32(self.blend)
        return linear * (share + (1 - share) * np.exp(-log_shading))


@dataclass(frozen=True)
class Relit:
    """A photograph with a new light on it."""

    photograph: Photograph
    illumination: Illumination  # at the optics' size

    def likeness(self) -> float:
        """PSNR in dB of the new picture against the photograph, inside the subject, at the optics' size."""
        pixels, _, flattened, mask, *_ = self.photograph._optics
        relit = linear_to_srgb(self.illumination.shade(flattened))
        return psnr_inside(pixels, relit, mask)

    def whole(self) -> np.ndarray:
        """All of the picture in the new light, HxWx3 uint8."""
        developed = np.empty_like(self.photograph.pixels)
        height, width = self.photograph.size
        gain, highlights = self.illumination
        for rows in bands(height, width):
            lit = self.photograph.flattened_rows(rows) * enlarge(gain, height, width, rows)
            if highlights is not None:
                lit += enlarge(highlights, height, width, rows)
            developed[rows] = linear_to_srgb(lit)
        return developed


def composite(front: np.ndarray, back: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """`front` over `back` (both HxWx3 uint8) by the opacity `mask` (HxW uint8), blended in linear light.

    Where the mask is 0 the result has the very bytes of `back`: linear light and back is lossless for bytes.
    """
    result = np.empty_like(front)
    height, width = mask.shape
    for rows in bands(height, width):
        opacity = (mask[rows].astype(np.float32) / 255)[..., np.newaxis]
        below = srgb_to_linear(back[rows])
        result[rows] = linear_to_srgb(below + opacity * (srgb_to_linear(front[rows]) - below))
    return result
