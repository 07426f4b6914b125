"""An image as trainers take it from a file: the stored one where every reader sees the same in it, else a new PNG."""

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageCms

from shared.decoding.formats import MAX_PIXELS
from shared.decoding.orientation import ORIENTATION, orientation_of
from shared.decoding.stripped import png_chunks
from shared.files.small_files import write_synced
from shared.files.whole_folder import is_same_file
from shared.images import open_image, read_bytes, read_file

SUFFIX_OF_FORMAT = {"JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp"}  # what trainers look for in a folder
SAME_IN_RGB = ("RGB", "L", "P", "1")


class StoredPicture(NamedTuple):
    """`path`: the file that holds it as it is; `data`: else its bytes."""

    suffix: str
    path: str = ""
    data: bytes = b""

    def read(self) -> bytes:
        return self.data or read_file(self.path)

    def place(self, target: Path, before: Path) -> None:
        """Put it at `target`, a new name: a hard link where the file system allows, else a copy.

        `before` is where it was the last time; a copy that is there already is taken again.
        """
        if not self.path:
            write_synced(target, self.data)
            return
        try:
            os.link(os.path.realpath(self.path), target)
        except (
            OSError
        ):  # another file system, one without links, or a file of another user: a copy tells if it is worse
            if before.is_file() and is_same_file(Path(self.path), before):
                os.link(before, target)
                return
            shutil.copyfile(self.path, target)
            with open(target, "rb") as file:
                os.fsync(file.fileno())


def picture_of(source: dict) -> StoredPicture:
    """The image of an item; see shared.images.image_of. Only its head is read where it may stay as it is.

    Trainers know nothing of colour profiles, transparency and 16 bit; where there are any, the picture is a PNG of what
    open_image shows, which is what the steps before have seen. A turned photograph (EXIF) stays: loaders turn it.
    Raises ImageError.
    """
    is_member = bool(source.get("image_member")) or not os.path.isfile(source["image_path"])
    data = read_bytes(source) if is_member else b""
    # What a plain reader stumbles over, open_image shows, or tells what is wrong with it.
    with contextlib.suppress(Exception):
        path = "" if is_member else source["image_path"]
        if is_member or os.path.isfile(path):
            with Image.open(path or io.BytesIO(data), formats=("JPEG", "PNG", "WEBP")) as image:
                if is_plain(image) and has_end(image.format or "", path, data):
                    return StoredPicture(SUFFIX_OF_FORMAT[image.format or ""], path=path, data=data)
    file = io.BytesIO()
    shown = open_image(source)
    shown.info = {}
    shown.save(file, "PNG", compress_level=3)
    return StoredPicture(".png", data=file.getvalue())


def is_plain(image: Image.Image) -> bool:
    """Whether a reader that knows Exif, and no profiles, shows what open_image shows. May raise where the metadata is broken."""
    if image.mode not in SAME_IN_RGB or image.has_transparency_data or image.width * image.height > MAX_PIXELS:
        return False
    exif = image.getexif()
    exif.tobytes()  # as a reader does that turns the picture
    told = orientation_of(image.info.get("exif") or b"", bytes_of(image.info.get("xmp")))
    profile = image.info.get("icc_profile")
    return exif.get(ORIENTATION, 1) in (told, 0) and (not profile or is_srgb(profile, image.mode))


def bytes_of(xmp: bytes | str | None) -> bytes:
    return xmp.encode() if isinstance(xmp, str) else xmp or b""


def has_end(name: str, path: str, data: bytes) -> bool:
    """Whether a plain reader comes to the end: of a PNG all chunks are sound, of a JPEG there is an end marker."""
    if name == "PNG":
        chunks = list(png_chunks(data or read_file(path)))
        return all(is_sound for *_, is_sound in chunks) and chunks[-1][0] == b"IEND"
    if name == "WEBP":
        return True
    if not data:
        with open(path, "rb") as file:
            file.seek(max(0, os.path.getsize(path) - 64))
            data = file.read()
    return data.rstrip(b"\0").endswith(b"\xff\xd9")


def is_srgb(profile: bytes, mode: str) -> bool:
    """Of colours, by the name that the profile gives itself; what is no profile is passed over, as everywhere."""
    if mode in ("L", "1"):
        return False
    try:
        return "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return True
