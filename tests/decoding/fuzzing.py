"""Photographs with metadata of every kind, and copies of which only bytes of the metadata differ. Seeded."""

import io
import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from tests import awkward_images as awkward

XMP = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    b'tiff:Make="A" dc:title="b"/></rdf:RDF></x:xmpmeta>'
)


def exif_block() -> bytes:
    """Tags of several types, a GPS directory and a maker's note; no orientation, so that the picture cannot turn."""
    exif = Image.Exif()
    exif[0x010F], exif[0x011A], exif[0x0132] = "Maker", 72.0, "2024:01:01 00:00:00"
    exif.get_ifd(0x8769).update({0x829A: 0.01, 0x9000: b"0230", 0x927C: bytes(range(60))})
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 3.0, 7.5)})
    return exif.tobytes()


def carriers() -> dict[str, bytes]:
    """A photograph in each format that has room for metadata."""
    image, profile, exif = (
        awkward.photograph(),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        exif_block(),
    )
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "taken by hand")
    text.add_text("Comment", "packed " * 9, zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    text.add(b"tIME", struct.pack(">HBBBBB", 2024, 1, 1, 0, 0, 0), after_idat=True)
    made = {}
    for kind, options in {
        "JPEG": {"exif": exif, "xmp": XMP, "comment": b"a comment", "dpi": (72, 72), "quality": 95},
        "PNG": {"exif": exif, "pnginfo": text, "dpi": (72, 72)},
        "WEBP": {"exif": exif, "xmp": XMP, "lossless": True},
        "TIFF": {"exif": exif, "dpi": (72, 72), "description": "described", "software": "ours"},
        "AVIF": {"exif": exif, "xmp": XMP, "quality": 90},
        "HEIF": {"exif": exif, "xmp": XMP, "quality": 90},
    }.items():
        if kind == "HEIF":
            import pillow_heif

            pillow_heif.register_heif_opener()
        stream = io.BytesIO()
        image.save(stream, kind, icc_profile=profile, **options)
        made[kind] = stream.getvalue()
    return made


def metadata_places(kind: str, data: bytes) -> np.ndarray:
    """Where bytes of the metadata lie: what Exif, XMP, text and density hold, and not how long they say to be; no profile."""
    blocks = {exif_block().removeprefix(b"Exif\0\0"), XMP, b"a comment", b"taken by hand", b"described", b"ours"}
    spans = [(start, start + len(block)) for block in blocks if (start := data.find(block)) >= 0]
    if kind == "PNG":
        spans += [(start, start + length) for start, length in png_contents(data)]
    if kind == "TIFF":
        spans += [(start, start + 10) for start in tiff_entries(data)]
    assert spans, kind
    return np.concatenate([np.arange(*span) for span in spans])


def png_contents(data: bytes) -> Iterator[tuple[int, int]]:
    """Place and length of what ancillary chunks hold, their checksums with them."""
    place = 8
    while place < len(data):
        [length] = struct.unpack_from(">I", data, place)
        if data[place + 4 : place + 8] in (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"pHYs", b"tIME"):
            yield place + 8, length + 4
        place += length + 12


def tiff_entries(data: bytes) -> Iterator[int]:
    """Place of the type, count and value of tags that no decoder needs, the links to Exif and GPS with them."""
    [start] = struct.unpack_from("<I", data, 4)
    [count] = struct.unpack_from("<H", data, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        [tag] = struct.unpack_from("<H", data, place)
        if tag in (270, 271, 282, 283, 296, 305, 306, 34665, 34853):
            yield place + 2


def mutated(data: bytes, places: np.ndarray, random: np.random.Generator) -> bytes:
    """Up to eight of those bytes set anew, or a run of them."""
    copy = bytearray(data)
    if random.random() < 0.2:
        start = int(random.integers(len(places)))
        chosen = places[start : start + int(random.integers(1, 200))]
    else:
        chosen = random.choice(places, int(random.integers(1, 9)))
    for place in chosen:
        copy[place] = random.choice([0, 1, 0xFF, int(random.integers(256))])
    return bytes(copy)
