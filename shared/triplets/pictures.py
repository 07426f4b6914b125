"""An image as trainers take it from a file: the stored one where every reader sees the same in it, else a new PNG."""

import contextlib
import io
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageCms

from shared.files.small_files import write_synced
from shared.files.whole_folder import is_same_file
from shared.images import DAMAGE, MAX_PIXELS, open_image, read_bytes, read_file

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
    is_member = bool(source.get("image_member"))
    data = read_bytes(source) if is_member else b""
    # A damaged head is told by open_image.
    with contextlib.suppress(*DAMAGE):
        if is_member or os.path.isfile(source["image_path"]):
            with Image.open(io.BytesIO(data) if is_member else source["image_path"]) as image:
                suffix = SUFFIX_OF_FORMAT.get(image.format or "")
                if suffix and is_plain(image):
                    return (
                        StoredPicture(suffix, data=data)
                        if is_member
                        else StoredPicture(suffix, path=source["image_path"])
                    )
    file = io.BytesIO()
    shown = open_image(source)
    shown.info = {}
    shown.save(file, "PNG", compress_level=3)
    return StoredPicture(".png", data=file.getvalue())


def is_plain(image: Image.Image) -> bool:
    """Whether image.convert("RGB") is what open_image shows."""
    if image.mode not in SAME_IN_RGB or image.has_transparency_data or image.width * image.height > MAX_PIXELS:
        return False
    profile = image.info.get("icc_profile")
    return image.mode != "RGB" or not profile or is_srgb(profile)


def is_srgb(profile: bytes) -> bool:
    """By the name that the profile gives itself; what is no profile is passed over, as everywhere."""
    try:
        return "sRGB" in ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError):
        return True
