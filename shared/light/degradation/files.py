"""The files that a degraded photograph leaves: the training input, and what else the config asks for."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from shared.decoding.formats import format_of
from shared.files.names import file_name
from shared.images import ImageFile, Rejected
from shared.splits import SPLITS

if TYPE_CHECKING:
    from shared.light.degradation.marigold import Layers
    from shared.light.degradation.photograph import Photograph

THUMBNAIL_SIDE = 240  # pixels of the longer side of each of its two pictures
Kept = Literal["input", "albedo", "mask", "foreground", "background", "shading", "residual", "degraded_fg", "metadata"]


def target_of(item: dict, pixels: np.ndarray, stored: bytes | None, is_smaller: bool, suffix: str) -> dict[str, Any]:
    """The photograph as the training target, where it has no file of its own in this size: later tables name a file.

    `stored` are its bytes out of a container, which stay as they are; `pixels` (HxWx3 uint8) were made smaller or not.
    """
    if is_smaller:
        target = file_of(item, "input", pixels, suffix)
    elif stored is not None:
        target = file_of(item, "input", stored, suffix_of(stored))
    else:
        return {}
    return {"image_path": target["input_path"], "image_member": None}


def files_of(
    item: dict,
    keep: Sequence[Kept],
    photograph: "Photograph",
    layers: "Layers | None",
    degraded: np.ndarray,
    suffix: str,
) -> dict[str, ImageFile]:
    """The images of `keep`: of what a model took the photograph apart into (`layers`), and all of it in the new light
    (`degraded`, HxWx3 uint8)."""
    pixels, mask = photograph.pixels, photograph.mask
    opaque = mask if mask is not None else np.full(photograph.size, 255, np.uint8)
    makers: dict[str, Callable[[], Any]] = {
        "input": lambda: pixels,
        "albedo": photograph.flattened,
        "mask": lambda: opaque,
        "foreground": lambda: cut(pixels, opaque),
        "background": lambda: cut(pixels, 255 - opaque),
        "shading": photograph.shading,
        "degraded_fg": lambda: cut(degraded, opaque),
    }
    for name in ("shading", "residual"):
        if layers and getattr(layers, name) is not None:
            makers[name] = partial(layers.picture, name, *photograph.size)
    made: dict[str, ImageFile] = {}
    for name in keep:
        if name in makers:
            made |= file_of(item, name, makers[name](), suffix)
    return made


def file_of(item: dict, name: str, content: Any, suffix: str) -> dict[str, ImageFile]:
    """One file of an item: data-train/indoor/a.jpg_output.png, under the field output_image_path or <name>_path."""
    split = split_of(item)
    folder = f"data-{split}" if split else "data"
    path = f"{folder}/{file_name(item['key'], f'_{name}{suffix}')}"
    return {"output_image_path" if name == "output" else f"{name}_path": ImageFile(path, content)}


def thumbnail_of(item: dict, pixels: np.ndarray, output: np.ndarray) -> dict[str, ImageFile]:
    """The photograph and its degraded image, small and side by side, for the gallery: there are too many to make them
    when the report is written, and a browser that scrolls through files of full size stands still."""
    from PIL import Image

    pictures = [Image.fromarray(whole) for whole in (pixels, output)]
    for picture in pictures:
        picture.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    width, height = pictures[0].size
    strip = Image.new("RGB", (2 * width, height))
    for place, picture in enumerate(pictures):
        strip.paste(picture, (place * width, 0))
    stream = io.BytesIO()
    strip.save(stream, "JPEG", quality=80)
    return {"thumbnail_path": ImageFile("thumbnails/" + file_name(item["key"], ".jpg"), stream.getvalue())}


@contextmanager
def showing_rejects(item: dict, pixels: np.ndarray, made: np.ndarray) -> Iterator[None]:
    """What a gate refuses within is rejected with the photograph and what was `made` (HxW[x3] uint8) beside it."""
    try:
        yield
    except ValueError as error:
        raise Rejected(str(error), thumbnail_of(item, pixels, made)) from error


def split_of(item: dict) -> str | None:
    """The item's split, or None where nothing has split the items. Raises ValueError for an unknown one."""
    split = item.get("split")
    if split is not None and split not in SPLITS:
        raise ValueError(f"the split is {split!r}; it should be one of {', '.join(SPLITS)}")
    return split


def suffix_of(stored: bytes) -> str:
    """The usual suffix of these bytes' format."""
    name = format_of(stored)
    return {"JPEG": ".jpg", "TIFF": ".tif", "JPEG 2000": ".jp2", "JPEG XL": ".jxl"}.get(name, f".{name.lower()}")


def cut(pixels: np.ndarray, opacity: np.ndarray) -> Any:
    """An RGBA picture of the pixels, transparent where `opacity` (HxW uint8) is 0."""
    from PIL import Image

    return Image.fromarray(np.dstack([pixels, opacity]))
