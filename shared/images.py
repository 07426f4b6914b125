"""Opening photographs as every step expects them: upright, sRGB, opaque, 8 bit, of bounded size."""

import hashlib
import io
import json
import os
import stat
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from shared.containers import read_member
from shared.decoding.decode import decode
from shared.decoding.formats import NotOpened
from shared.errors import DatasetError, FarError, ImageError
from shared.far.addresses import is_far, shown_address
from shared.far.reading import read_far
from shared.tars.members import member_size, read_member_file

MOST_OF_WEBP = 16383  # pixels a side
QUALITY_OF_JPEG = 95
LONGEST_COMMENT = 65533  # bytes, of a JPEG
NO_TIME = -1  # of a file that is far away, of which nobody says when it was changed

# What read_bytes() has read on behalf of an item, by the item's place: load() of a step is watched with it.
files_read: ContextVar[dict | None] = ContextVar("files_read", default=None)


def open_image(
    source: dict | str | os.PathLike, longest_side: int | None = None, shorter_side: int | None = None
) -> Image.Image:
    """Open an item's photograph, or a path, as RGB of 8 bit, upright by its EXIF tag.

    An ICC profile is converted to sRGB, transparency is laid over white, 16 bit and floats are scaled to 8 bit, and of an
    animation the first frame is taken. With `longest_side` the image is made no larger than that: a JPEG is decoded at a
    half, a quarter or an eighth (DCT scaling), several times quicker, as long as twice that is left. With `shorter_side` it is
    made smaller by a whole factor, as long as its shorter side stays at least that: for a resize to come, which then costs
    little, and which looks the same where twice its size is left.
    `image.info["full_size"]` is the upright (width, height) as stored, and `image.info["shot"]`, where there is one, what the
    camera noted (of TIFF and AVIF nothing). What is wrong in the metadata does not matter.
    Raises ImageError.
    """
    data = read_bytes(source)
    try:
        opened, full_size, shot = decode(data, longest_side, shorter_side)
    except NotOpened as reason:
        raise ImageError(f"{name_of_photograph(source)} {reason}") from reason.__cause__
    if longest_side:
        opened.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    elif shorter_side and (factor := min(opened.size) // shorter_side) > 1:
        opened = opened.reduce(factor)
    opened.info = {"full_size": full_size, **({"shot": shot} if shot else {})}
    return opened


def image_of(item: dict, field: str) -> dict:
    """The image that an item has under `field` (image_path, input_image_path, ...), as open_image takes it."""
    member = item.get(field.removesuffix("_path") + "_member")
    return {"key": item.get("key"), "image_path": item[field], "image_member": member}


def read_bytes(source: dict | str | os.PathLike) -> bytes:
    """The photograph as it is stored, also out of a tar, Parquet or Arrow file. Raises ImageError."""
    name = name_of_photograph(source)
    try:
        if isinstance(source, dict) and source.get("image_member"):
            data = read_member(source)
            time = NO_TIME if is_far(source["image_path"]) else os.stat(source["image_path"]).st_mtime_ns
        else:
            data, time = read_with_time(source["image_path"] if isinstance(source, dict) else source)
    except FarError as error:
        raise ImageError(str(error)) from None
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist") from None
    except PermissionError:
        raise ImageError(f"{name} may not be read by this user") from None
    except IsADirectoryError:
        raise ImageError(f"{name} is a folder") from None
    except OSError as error:
        raise ImageError(f"{name} cannot be read: {error.strerror or error}") from error
    except DatasetError:
        raise
    except Exception as error:  # of a damaged container pyarrow may raise anything
        raise ImageError(f"{name} cannot be read: {error}") from error
    if not data:
        raise ImageError(f"{name} is empty")
    if isinstance(source, dict) and (watched := files_read.get()) is not None:
        watched[place_of(source)] = {"bytes": len(data), "time": time, "sha256": hashlib.sha256(data).hexdigest()}
    return data


def place_of(source: dict) -> tuple[str, str]:
    """Where an item's photograph lies: its file, and the place inside it."""
    return str(source.get("image_path")), str(source.get("image_member"))


def read_file(path: str | os.PathLike) -> bytes:
    return read_with_time(path)[0]


def first_bytes(path: str | os.PathLike, count: int) -> bytes:
    """Raises OSError, also where the file is far away."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        return file.read(count) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""


def read_with_time(path: str | os.PathLike) -> tuple[bytes, int]:
    """The bytes of a file, and when it was changed last, in ns. Raises FarError, of a file that is far away."""
    if is_far(path):
        return read_far(str(path)), NO_TIME
    # O_NONBLOCK, so that a pipe among the photographs does not hang the worker.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except NotADirectoryError:
        return read_member_file(path), NO_TIME
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        return file.read(), status.st_mtime_ns


def name_of_photograph(source: Any) -> str:
    """How messages name a photograph."""
    if not isinstance(source, dict):
        return shown_address(source) if is_far(source) else str(Path(source))
    member, path = source.get("image_member"), shown_address(str(source["image_path"]))
    return f"{source['key']} in {path}" if member else path


def may_be_there(path: str | None) -> bool:
    """Whether a path names a file; one that is far away is believed to be there until it is read."""
    return bool(path) and (is_far(path) or os.path.isfile(str(path)) or member_size(str(path)) is not None)


def file_name_of(path: str) -> str:
    """What the file of a photograph is called, also where its path is an address."""
    return os.path.basename(shown_address(path))


@dataclass
class ImageFile:
    """An image that a step makes: written before its record, which then names it with size and checksum.

    `path` is relative to the step's folder; `image` a uint8 array (height, width[, 3]) or a PIL image, which become PNG, WebP or
    JPEG by the path's suffix, or bytes that are written as they are. A PNG holds `text`, name: words, and a JPEG the same as
    its comment. One that `is_spare` need not outlast a power failure by
    itself: where the tables find another size, the item is done anew.
    """

    path: str
    image: Any
    is_spare: bool = False
    text: dict[str, str] | None = None


class Rejected(ValueError):
    """What was made of an item is not good enough: its failure keeps `files` (field: ImageFile), to be looked at."""

    def __init__(self, reason: str, files: dict[str, ImageFile]):
        super().__init__(reason)
        self.files = files


def encode(file: ImageFile) -> bytes:
    """The bytes of an image by its path's suffix: PNG, lossless WebP or JPEG, at a level that costs little time. Bytes stay.

    Raises ValueError where it is too large for WebP.
    """
    if isinstance(file.image, (bytes, bytearray, memoryview)):
        return bytes(file.image)
    image = file.image if isinstance(file.image, Image.Image) else Image.fromarray(file.image)
    stream = io.BytesIO()
    if file.path.endswith(".jpg"):
        comment = json.dumps(file.text, ensure_ascii=False).encode() if file.text else b""
        image.save(stream, "JPEG", quality=QUALITY_OF_JPEG, subsampling=0, comment=comment[:LONGEST_COMMENT])
    elif not file.path.endswith(".webp"):
        image.save(stream, "PNG", compress_level=1, pnginfo=chunks(file.text))
    elif max(image.size) > MOST_OF_WEBP:
        raise ValueError(
            f"the image has {image.width} x {image.height} pixels, and WebP holds {MOST_OF_WEBP} a side; take image_format: png"
        )
    else:
        image.save(stream, "WEBP", lossless=True, exact=True, quality=0, method=1)
    return stream.getvalue()


def chunks(text: dict[str, str] | None) -> Any:
    """What a PNG says of itself; programs for images and for generated ones show it."""
    if not text:
        return None
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for name, words in text.items():
        info.add_itxt(name, words)
    return info
