"""Pictures with profiles and TIFFs made by hand, and what libvips makes of them."""

import struct
from itertools import accumulate

import numpy as np

SHORT, LONG = 3, 4


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHH", 1, round(gamma * 256), 0)


def profile(space: bytes, name: bytes, tags: list[tuple[bytes, bytes]]) -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04)."""
    white = b"XYZ \0\0\0\0" + s15(0.9642) + s15(1) + s15(0.8249)
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + b"\0" * 79
    entries = [(b"desc", description), (b"cprt", b"text\0\0\0\0none\0"), (b"wtpt", white), *tags]
    contents = [content + b"\0" * (-len(content) % 4) for _, content in entries]
    starts = accumulate([132 + 12 * len(entries), *map(len, contents)])
    table = b"".join(
        tag + struct.pack(">II", start, len(content)) for (tag, content), start in zip(entries, starts, strict=False)
    )
    body = struct.pack(">I", len(entries)) + table + b"".join(contents)
    head = struct.pack(
        ">I4sI4s4s4s6H", 128 + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ", 2024, 1, 1, 0, 0, 0
    )
    head += b"acspAPPL" + bytes(12) + bytes(12) + s15(0.9642) + s15(1) + s15(0.8249)
    return head.ljust(128, b"\0") + body


def grey_profile(gamma: float) -> bytes:
    return profile(b"GRAY", b"grey", [(b"kTRC", gamma_curve(gamma))])


def wide_profile(gamma: float = 1.8) -> bytes:
    """Primaries of ProPhoto RGB."""
    primaries = {
        b"rXYZ": (0.79767, 0.28804, 0.0),
        b"gXYZ": (0.13519, 0.71188, 0.0),
        b"bXYZ": (0.03134, 0.00009, 0.82491),
    }
    tags = [(tag, b"XYZ \0\0\0\0" + b"".join(map(s15, xyz))) for tag, xyz in primaries.items()]
    return profile(b"RGB ", b"wide", [*tags, *((tag, gamma_curve(gamma)) for tag in (b"rTRC", b"gTRC", b"bTRC"))])


def tiff(pixels: np.ndarray, photometric: int, is_planar: bool = False, tags: dict | None = None) -> bytes:
    """An uncompressed TIFF of one strip, or one for each plane; `tags`: number -> (type, values), over ours."""
    pixels = np.ascontiguousarray(pixels.reshape(*pixels.shape[:2], -1))
    height, width, samples = pixels.shape
    planes = [pixels[:, :, sample].tobytes() for sample in range(samples)] if is_planar else [pixels.tobytes()]
    bits, kind = pixels.dtype.itemsize * 8, {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    entries = {
        256: (LONG, [width]), 257: (LONG, [height]), 258: (SHORT, [bits] * samples), 259: (SHORT, [1]),
        262: (SHORT, [photometric]), 273: (LONG, [0] * len(planes)), 277: (SHORT, [samples]), 278: (LONG, [height]),
        279: (LONG, [len(plane) for plane in planes]), 284: (SHORT, [2 if is_planar else 1]), 339: (SHORT, [kind] * samples),
    } | (tags or {})  # fmt: skip
    head = 8 + 2 + 12 * len(entries) + 4
    extra = sum(len(packed(*entry)) + 3 & ~3 for entry in entries.values() if len(packed(*entry)) > 4)
    entries[273] = (LONG, [head + extra + sum(map(len, planes[:number])) for number in range(len(planes))])
    table, more = struct.pack("<H", len(entries)), b""
    for tag in sorted(entries):
        value = packed(*entries[tag])
        table += struct.pack("<HHI", tag, entries[tag][0], len(entries[tag][1]))
        if len(value) > 4:
            table += struct.pack("<I", head + len(more))
            more += value + b"\0" * (-len(value) % 4)
        else:
            table += value.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", 8) + table + bytes(4) + more.ljust(extra, b"\0") + b"".join(planes)


def packed(kind: int, values: list | bytes) -> bytes:
    codes = {1: "B", 3: "H", 4: "I", 7: "B", 11: "f", 12: "d"}
    return struct.pack(f"<{len(values)}{codes[kind]}", *values)


def by_libvips(data: bytes) -> np.ndarray:
    """HxWx3 uint8 in sRGB, transparency over white, as libvips has it."""
    import pyvips

    image = pyvips.Image.new_from_buffer(data, "")
    if image.get_typeof("icc-profile-data"):
        image = image.icc_transform("srgb", embedded=True, intent="perceptual")
    image = image.colourspace("srgb")
    if image.hasalpha():
        image = image.flatten(background=255)
    image = image.cast("uchar").autorot()
    return np.asarray(
        image.extract_band(0, n=min(3, image.bands)) if image.bands >= 3 else image.bandjoin([image, image])
    )
