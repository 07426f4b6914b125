"""Image files that nobody should have: torn, enormous, of rare modes, turned by their EXIF tag."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms

WIDTH, HEIGHT = 60, 40


def photograph(width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """A smooth picture whose four corners differ, so that a wrong turn shows: (red, green, blue) by place."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return Image.fromarray((np.stack([across, down, 1 - across * down], -1) * 200 + 20).astype(np.uint8))


def jpeg(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=95, subsampling=0, **options)
    return stream.getvalue()


def png(image: Image.Image, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


TURNED = {  # how a camera stores an upright picture under each orientation tag
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def with_orientation(orientation: int, upright: Image.Image | None = None) -> bytes:
    upright = upright or photograph()
    turn = TURNED.get(orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    return jpeg(upright if turn is None else upright.transpose(turn), exif=exif)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    """A PNG made by hand; `rows` are its filtered scan lines, `colour` as the PNG specification counts them."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def png_bomb(side: int = 50_000) -> bytes:
    """side x side grey pixels of one bit: a small file that is enormous when it is decoded."""
    compressor = zlib.compressobj(9)
    line = b"\0" * (1 + (side + 7) // 8)
    data = b"".join(compressor.compress(line) for _ in range(side)) + compressor.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def grey_of_16_bit() -> bytes:
    """Left half 0x4000, right half 0xC000: a quarter and three quarters of white."""
    line = b"\0" + b"\x40\x00" * 8 + b"\xc0\x00" * 8
    return png_of(16, 4, 16, 0, line * 4)


def rgb_of_16_bit() -> bytes:
    line = b"\0" + b"\xff\xff\x80\x00\x00\x00" * 8
    return png_of(8, 4, 16, 2, line * 4)


def palette_with_alpha() -> bytes:
    """Left half red, right half fully transparent."""
    image = Image.new("P", (16, 4))
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.paste(1, (8, 0, 16, 4))
    return png(image, transparency=1)


def animated_gif() -> bytes:
    """Two frames, of which the first is red."""
    frames = [Image.new("RGB", (16, 8), colour) for colour in ("red", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return stream.getvalue()


def cmyk() -> bytes:
    """Pure magenta, as a printer has it."""
    return jpeg(Image.new("CMYK", (16, 8), (0, 255, 0, 0)))


def with_profile() -> bytes:
    """Mid grey with a linear-light profile: 128 there is a light 188 in sRGB."""
    return png(Image.new("RGB", (16, 8), (128, 128, 128)), icc_profile=linear_profile())


def linear_profile() -> bytes:
    """sRGB's own profile with its tone curves replaced by straight lines."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", data[128:132])[0]
    for place in range(132, 132 + 12 * count, 12):
        kind, offset, size = struct.unpack(">4sII", data[place : place + 12])
        if kind in (b"rTRC", b"gTRC", b"bTRC"):
            straight = b"curv" + bytes(8)
            data[offset : offset + size] = straight + bytes(size - len(straight))
    return bytes(data)


def write_all(folder: Path) -> dict[str, str | None]:
    """Write one of each; returns, by file name, None where it is an image and a piece of the reason where not."""
    whole = jpeg(photograph(300, 200))
    files: dict[str, tuple[bytes, str | None]] = {
        "truncated.jpg": (whole[: len(whole) // 2], "damaged"),
        "empty.jpg": (b"", "is empty"),
        "text.png": (b"this is no image, whatever its name says\n", "is not an image"),
        "bomb.png": (png_bomb(), "50000 x 50000 pixels"),
        "cmyk.jpg": (cmyk(), None),
        "grey16.png": (grey_of_16_bit(), None),
        "rgb16.png": (rgb_of_16_bit(), None),
        "palette.png": (palette_with_alpha(), None),
        "animated.png": (animated_gif(), None),
        "profile.png": (with_profile(), None),
        **{f"turned{number}.jpg": (with_orientation(number), None) for number in TURNED},
        "with  spaces .jpg": (whole, None),
        "new\nline.jpg": (whole, None),
        "日本語 é.jpg": (whole, None),
        "-rf.jpg": (whole, None),
        "x" * 246 + ".jpg": (whole, None),
        "100%.jpg": (whole, None),
        "quote'\"$(x).JPG": (whole, None),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: reason for name, (_, reason) in files.items()}
