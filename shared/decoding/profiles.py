"""Colours by the profile that came with them, as sRGB."""

import io
from functools import cache
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
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space = source.profile.xcolor_space.strip()
        if space == "GRAY" and image.mode in ("RGB", "RGBA"):
            return image
        if image.mode in ("LA", "RGBA", "La", "RGBa"):
            image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode))
            colours, alpha = image.convert(image.mode[:-1]), image.getchannel("A")
            converted = convert(colours, source, space)
            converted.putalpha(alpha)
            return converted
        return convert(image, source, space)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image


def convert(image: Image.Image, source: Any, space: str) -> Image.Image:
    """Raises PyCMSError for a profile of other colours than the image has."""
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")  # as viewers do with a grey picture under a profile of colours
    converted = ImageCms.profileToProfile(image, source, srgb(), outputMode="RGB")
    if converted is None:
        raise ValueError
    return converted
