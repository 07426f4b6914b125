"""Small JPEGs that lie inside the page, so that it is one file and needs no network."""

import base64
import io
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from PIL import Image, ImageChops, ImageFilter

from shared.errors import ImageError
from shared.far.addresses import is_far, is_web, shown_address
from shared.images import open_image
from shared.tars.members import inside_tar

PAGE_BYTES = 8_000_000  # what all thumbnails of a page take together, about
BYTES_PER_PIXEL = 0.28  # of a photograph as JPEG and base64
SMALLEST, LARGEST_THUMBNAIL = 160, 480  # long side in pixels
THUMBNAIL_QUALITY = 80
CONTOUR = (255, 176, 32)  # amber: seen on skin, leaves and sky
MOST_THREADS = 8

Given = TypeVar("Given")
MadeThumbnail = TypeVar("MadeThumbnail")


class Thumbnail(NamedTuple):
    """An image in the page: `uri` holds the JPEG itself, `link` says where the file is."""

    uri: str
    width: int
    height: int
    link: str | None


def side_for(images: int) -> int:
    """The long side, in pixels, at which so many thumbnails of 4:3 fit into a page."""
    fitting = (PAGE_BYTES / max(images, 1) / BYTES_PER_PIXEL / 0.75) ** 0.5
    return int(min(max(fitting, SMALLEST), LARGEST_THUMBNAIL))


def thumbnail(source: dict | Path | str, side: int, run_folder: Path) -> Thumbnail | None:
    """A photograph (an item, or a path) made small; None where it cannot be opened."""
    image = small(source, side)
    is_member = isinstance(source, dict) and source.get("image_member")
    path = source["image_path"] if isinstance(source, dict) else source
    return None if image is None else encoded(image, None if is_member else link_of(path, run_folder))


def mask_thumbnail(source: dict, mask_path: str, side: int, run_folder: Path) -> Thumbnail | None:
    """The photograph with what the mask leaves out darkened and greyed, and a contour between."""
    photograph, mask = small(source, side), small(Path(mask_path), side)
    if photograph is None or mask is None:
        return None
    opacity = mask.convert("L").resize(photograph.size)
    behind = Image.blend(photograph.convert("L").convert("RGB"), Image.new("RGB", photograph.size), 0.6)
    shown = Image.composite(photograph, behind, opacity)
    inside = opacity.point(lambda value: 255 * (value > 127))
    contour = ImageChops.difference(inside.filter(ImageFilter.MaxFilter(3)), inside.filter(ImageFilter.MinFilter(3)))
    shown.paste(CONTOUR, mask=contour)
    return encoded(shown, link_to(mask_path, run_folder))


def small(source: dict | Path | str, side: int) -> Image.Image | None:
    try:
        return open_image(source, longest_side=side)
    except ImageError:
        return None


def encoded(image: Image.Image, link: str | None) -> Thumbnail:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=THUMBNAIL_QUALITY, optimize=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(uri, image.width, image.height, link)


def link_of(path: str | Path, run_folder: Path) -> str | None:
    """Where a photograph lies; of one far away its own address, where that is one that browsers know."""
    if inside_tar(path):
        return None  # no browser looks into it
    if is_far(path):
        return shown_address(str(path)) if is_web(str(path)) else None
    return link_to(path, run_folder)


def link_to(path: str | Path, run_folder: Path) -> str:
    """The address of a file: relative inside the run's folder, so that the folder can be moved, else a file:// one."""
    path = os.path.abspath(path)
    inside = os.path.abspath(run_folder) + os.sep
    address = quote(path.removeprefix(inside), errors="surrogateescape")
    return address if path.startswith(inside) else "file://" + address


def in_threads(make: Callable[[Given], MadeThumbnail], given: Iterable[Given]) -> list[MadeThumbnail]:
    """Decoding lets go of the interpreter's lock, so a machine's cores share it."""
    with ThreadPoolExecutor(min(MOST_THREADS, len(os.sched_getaffinity(0)))) as pool:
        return list(pool.map(make, given))
