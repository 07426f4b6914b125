"""The bytes of a photograph as upright sRGB of 8 bit, whatever its format, depth, profile and metadata."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from shared.decoding.formats import PLUGINS, NotOpened, check_size, format_of
from shared.decoding.orientation import SIDEWAYS, orientation_of, upright
from shared.decoding.profiles import to_srgb
from shared.decoding.shot import Shot, shot_of
from shared.decoding.stripped import Stripped, strip
from shared.decoding.tiff import needs_tifffile, read_tiff

Image.MAX_IMAGE_PIXELS = None  # our bound is checked before anything is decoded

UPRIGHT = ("TIFF", "HEIC")  # which Pillow, or its plugin, has turned by itself


class Decoded(NamedTuple):
    """`image`: RGB, upright. `full_size`: upright (width, height) as stored; the image may be smaller, see decode()."""

    image: Image.Image
    full_size: tuple[int, int]
    shot: Shot | None = None


class AsStored(NamedTuple):
    """`image`: in the mode and the position of the file, perhaps smaller than `full_size`; `orientation`: 1 to 8."""

    image: Image.Image
    profile: bytes
    orientation: int
    full_size: tuple[int, int]
    exif: bytes


def decode(data: bytes, longest_side: int | None = None, shorter_side: int | None = None) -> Decoded:
    """A JPEG may be decoded smaller, but no smaller than twice `longest_side`, or than `shorter_side`. Raises NotOpened."""
    name = format_of(data)
    with damage_told(name):
        if name == "TIFF" and needs_tifffile(data):
            return decode_tiff(data)
        try:
            return decode_by_pillow(data, name, longest_side, shorter_side)
        except NotOpened:
            raise
        except Exception:
            if name == "TIFF" and (found := decode_tiff_or_nothing(data)):
                return found
            raise


@contextmanager
def damage_told(name: str) -> Iterator[None]:
    """Whatever is raised within while bytes of this format are decoded becomes NotOpened."""
    try:
        yield
    except NotOpened:
        raise
    except MemoryError:
        raise NotOpened("needs more memory than there is") from None
    except UnidentifiedImageError as error:  # it speaks of our buffer
        raise NotOpened(f"is damaged: it begins as {name} and cannot be decoded") from error
    except Exception as error:  # a decoder of damaged bytes may raise anything
        raise NotOpened(f"is damaged: {error or type(error).__name__}") from error


def decode_tiff_or_nothing(data: bytes) -> Decoded | None:
    try:
        return decode_tiff(data)
    except NotOpened:
        raise
    except Exception:
        return None  # the first decoder's words are the better ones


def decode_tiff(data: bytes) -> Decoded:
    image, profile = read_tiff(data)
    return Decoded(to_rgb(to_srgb(image, profile)), image.size)


def decode_by_pillow(data: bytes, name: str, longest_side: int | None, shorter_side: int | None) -> Decoded:
    stored = load_by_pillow(data, name, longest_side, shorter_side)
    full_size = stored.full_size[::-1] if stored.orientation in SIDEWAYS else stored.full_size
    image = upright(to_rgb(to_srgb(stored.image, stored.profile)), stored.orientation)
    return Decoded(image, full_size, shot_of(stored.exif))


def load_by_pillow(
    data: bytes, name: str, longest_side: int | None = None, shorter_side: int | None = None
) -> AsStored:
    """A picture of the format `name` (of PLUGINS). Raises NotOpened, and whatever a decoder raises for damaged bytes."""
    add_plugin(name)
    stripped = strip(data, name)
    image: Image.Image = Image.open(io.BytesIO(ended(stripped)), formats=(PLUGINS[name],))
    check_size(image.size)
    full_size = image.size
    if (factor := factor_of(image.size, longest_side, shorter_side)) > 1:
        image.draft(None, (max(1, image.width // factor), max(1, image.height // factor)))
    image.load()
    profile = stripped.profile or bytes(image.info.get("icc_profile") or b"")
    exif = exif_in(image, stripped)
    orientation = 1 if name in UPRIGHT else orientation_of(exif, stripped.xmp)
    if name == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema()[1] == 0:
        image = image.convert("RGB")  # the fourth byte of each pixel was never meant
    return AsStored(image, profile, orientation, full_size, exif)


def factor_of(size: tuple[int, int], longest_side: int | None, shorter_side: int | None) -> int:
    """By how much a picture may be made smaller while it is decoded.

    What is resized to a longest side keeps twice that, so that it looks as from a full decode, and a photograph is as sharp
    whatever the size in which it is stored (tests/benchmarks/decoding.py).
    """
    if longest_side:
        return max(size) // (2 * longest_side)
    return min(size) // shorter_side if shorter_side else 1


def exif_in(image: Image.Image, stripped: Stripped) -> bytes:
    exif = stripped.exif or image.info.get("exif") or b""
    return exif if isinstance(exif, bytes) else b""


@cache
def add_plugin(name: str) -> None:
    """Raises NotOpened where a format's plugin is not installed."""
    try:
        if name == "HEIC":
            import pillow_heif

            pillow_heif.register_heif_opener()
        elif name == "JPEG XL":
            import pillow_jxl  # noqa: F401  # it registers itself
    except ImportError as error:
        raise NotOpened(f"is {name}, for which a package is missing: {error.name}; install it") from None


def ended(stripped: Stripped) -> bytes:
    """With an end marker; where that is all that lacks the picture is whole. Raises NotOpened for one that is cut off.

    What the decoder makes up for missing data hangs on what follows: a picture that is whole is the same whatever that is.
    """
    end = b"\xff\xd9" if stripped.data.startswith(b"\xff\xd8") else b""
    if stripped.has_end:
        return stripped.data + end
    data = stripped.data.rstrip(b"\xff")  # the first half of the marker
    filling = np.random.default_rng(0).integers(1, 255, 4096, np.uint8).tobytes()
    ends = (end, filling + end)
    try:
        one, other = (decoded_bytes(data + more) for more in ends)
        is_whole = stripped.has_all_scans and one == other
    except Exception:
        is_whole = False
    if not is_whole:
        raise NotOpened("is damaged: image file is truncated")
    return data + end


def decoded_bytes(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return image.tobytes()


def to_rgb(image: Image.Image) -> Image.Image:
    """Transparency is laid over white, 16 bit are scaled to 8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return to_eight_bit(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def to_eight_bit(image: Image.Image) -> Image.Image:
    """Grey of 16 bit; of 32 where a format other than TIFF has it; floats from 0 to 1."""
    white = {"I": 65535.0, "F": 1.0}.get(image.mode, 65535.0)
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    grey = np.clip(values * (255.0 / white) + 0.5, 0, 255).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")
