"""The pictures that a question is about: a photograph, several of an item, or frames of a video."""

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from shared.errors import ImageError
from shared.images import first_bytes, image_of, name_of_photograph, read_bytes

VIDEO = (b"ftypqt", b"ftypisom", b"ftypiso", b"ftypmp4", b"ftypM4V", b"ftyp3gp", b"ftypavc1", b"ftypMSNV", b"ftypdash")
SHEET_GAP = 8  # pixels between the pictures of a contact sheet
LEAST_PIXELS = 256 * 256  # of a frame, however many there are


def pictures_of(
    item: dict, fields: Sequence[str], frames: int, max_pixels: int, open_one: Callable[[dict, int], Image.Image]
) -> list[Image.Image]:
    """What an item has under `fields`, in their order; a video is `frames` of it, also one that stands in video_path instead
    of a photograph. Raises ImageError.

    `open_one` opens a photograph with at most so many pixels. The frames share `max_pixels`.
    """
    found: list[Image.Image] = []
    for name in fields:
        if not item.get(name) and name == "image_path" and item.get("video_path"):
            name = "video_path"
        if not item.get(name):
            raise ImageError(f"{item['key']} has no {name}")
        source = item if name == "image_path" else image_of(item, name)
        if frames and begins_as_video(source) and is_video(data := read_bytes(source)):
            most = max(LEAST_PIXELS, max_pixels // frames)
            found += [of_at_most(frame, most) for frame in frames_of(data, frames, name_of_photograph(source))]
        else:
            try:
                found.append(open_one(source, max_pixels))
            except ImageError as error:
                said, video, _ = str(error).partition(" is a video")
                if not video:
                    raise
                raise ImageError(
                    f"{said}{video}; frames: 8 in the caption step asks about so many of its frames"
                ) from None
    return found


def begins_as_video(source: dict) -> bool:
    """A look at the first bytes of a file of its own, for which a photograph is not read; True where it is inside another."""
    if source.get("image_member"):
        return True
    try:
        return is_video(first_bytes(source["image_path"], 16))
    except OSError:
        return True  # read_bytes() says why


def is_video(data: bytes) -> bool:
    """By its first bytes: MP4 and its kin, Matroska and WebM, AVI, MPEG."""
    box = data[4:12]
    return (
        any(box.startswith(brand) for brand in VIDEO)
        or data[4:8] == b"moov"
        or data.startswith((b"\x1aE\xdf\xa3", b"\x00\x00\x01\xba", b"\x00\x00\x01\xb3"))
        or (data[:4] == b"RIFF" and data[8:11] == b"AVI")
    )


def frames_of(data: bytes, count: int, name: str) -> list[Image.Image]:
    """So many frames as RGB, from the middles of as many equal parts of a video, upright; fewer where it has fewer.

    Raises ImageError.
    """
    import av

    try:
        with av.open(io.BytesIO(data), "r") as container:
            if not container.streams.video:
                raise ImageError(f"{name} is a video without pictures")
            frames = sought(container, count) if container.duration else []
        if not frames:
            frames = counted(data, count)
    except av.error.FFmpegError as error:
        raise ImageError(f"{name} is a video that cannot be decoded: {error.strerror or error}") from None
    if not frames:
        raise ImageError(f"{name} is a video without pictures")
    return frames


def sought(container: Any, count: int) -> list[Image.Image]:
    """By their times: what lies between is not decoded, but for the frames since the last whole one."""
    import av

    stream = container.streams.video[0]
    start, length = (container.start_time or 0) / av.time_base, container.duration / av.time_base
    found = []
    for number in range(count):
        time = start + length * (number + 0.5) / count
        container.seek(int(time * av.time_base))
        last = None
        for frame in container.decode(stream):
            last = frame
            if frame.time is None or frame.time >= time - 0.5 / float(stream.average_rate or 25):
                break
        if last is not None:
            found.append(as_played(last))
    return found


def counted(data: bytes, count: int) -> list[Image.Image]:
    """Of a video that does not say how long it is: decoded twice, and never held as a whole."""
    import av

    with av.open(io.BytesIO(data), "r") as container:
        total = len([0 for _ in container.decode(video=0)])
    wanted = {int(total * (number + 0.5) / count) for number in range(count)}
    with av.open(io.BytesIO(data), "r") as container:
        return [as_played(frame) for number, frame in enumerate(container.decode(video=0)) if number in wanted]


def as_played(frame: Any) -> Image.Image:
    """As a player shows it: a phone says in the video how it was held."""
    image = frame.to_image()
    turned = int(getattr(frame, "rotation", 0) or 0) % 360
    return image.rotate(turned, expand=True) if turned else image


def of_at_most(image: Image.Image, max_pixels: int) -> Image.Image:
    """The same, or one of at most so many pixels."""
    scale = math.sqrt(max_pixels / (image.width * image.height))
    if scale < 1:
        size = (max(1, int(image.width * scale)), max(1, int(image.height * scale)))
        full_size = image.info.get("full_size", image.size)
        image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        image.info["full_size"] = full_size
    return image


def contact_sheet(images: Sequence[Image.Image], max_pixels: int) -> Image.Image:
    """All in one picture, row by row in their order, for a model that takes one."""
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    width = max(image.width for image in images)
    height = max(image.height for image in images)
    sheet = Image.new(
        "RGB",
        (columns * width + (columns - 1) * SHEET_GAP, rows * height + (rows - 1) * SHEET_GAP),
        "white",
    )
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        left = column * (width + SHEET_GAP) + (width - image.width) // 2
        sheet.paste(image, (left, row * (height + SHEET_GAP) + (height - image.height) // 2))
    return of_at_most(sheet, max_pixels)
