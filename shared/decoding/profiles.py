"""Colours by the profile that came with them, as sRGB."""

import io
from functools import cache, lru_cache
from typing import Any

from PIL import Image, ImageCms


@cache
def srgb() -> Any:
    return ImageCms.createProfile("sRGB")


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """RGB or RGBA of 8 bit by the profile; the image as it is where there is none, or one that is broken or does not fit.

    Grey, palette, transparency and grey of 16 bit (I;16) are converted too.
    """
    if not profile:
        return image
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    try:
        space = space_of(profile)
        if space == "GRAY" and image.mode in ("RGB", "RGBA"):
            return image
        if image.mode in ("LA", "RGBA", "La", "RGBa"):
            image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
            colours, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
            converted = convert(colours, profile, space)
            converted.putalpha(alpha)
            return converted
        return convert(image, profile, space)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def convert(image: Image.Image, profile: bytes, space: str) -> Image.Image:
    """Raises PyCMSError or ValueError for a profile of other colours than the image has."""
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")  # as viewers do with a grey picture under a profile of colours
    return transform(profile, image.mode).apply(image)


@lru_cache(maxsize=32)  # to make one takes longer than to decode a small photograph, and cameras have one or two
def transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(ImageCms.ImageCmsProfile(io.BytesIO(profile)), srgb(), mode, "RGB")


@lru_cache(maxsize=32)
def space_of(profile: bytes) -> str:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
