"""The pixels of a JPEG, PNG or WebP apart from its metadata, so that what is wrong in the one does not spoil the other.

What stays is what a decoder needs; the profile, Exif and XMP are handed out as they are found. Sources: ITU T.81 annex B, the PNG
specification (third edition), the WebP container specification.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from shared.decoding.formats import NotOpened

MOST_METADATA = 1 << 25  # bytes that a compressed profile or text may become
# A plain byte first: that is what the search can leap to, which takes a tenth of the time.
MARKER = re.compile(rb"\xff\xff*([^\x00\xff])")
MARKER_AFTER_SCAN = re.compile(rb"\xff\xff*[^\x00\xff\xd0-\xd7]")
PLAIN_JFIF = b"\xff\xe0\x00\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
PNG_BEGINNING = b"\x89PNG\r\n\x1a\n"
WEBP_CHUNKS = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF")
WEBP_METADATA_FLAGS = 0x20 | 0x08 | 0x04  # that a profile, Exif and XMP come


class Stripped(NamedTuple):
    """`data` holds the pixels alone.

    `has_end`: a JPEG came to its end marker; `has_all_scans`: a progressive one to the last bit of each coefficient.
    """

    data: bytes
    profile: bytes = b""
    exif: bytes = b""
    xmp: bytes = b""
    has_end: bool = True
    has_all_scans: bool = True


def strip(data: bytes, name: str) -> Stripped:
    """`name` as in PLUGINS; the other formats stay as they are. Raises NotOpened."""
    if name == "JPEG":
        return strip_jpeg(data)
    if name == "PNG":
        return strip_png(data)
    if name == "AVIF":
        return strip_avif(data)
    return strip_webp(data) if name == "WebP" else Stripped(data)


def strip_jpeg(data: bytes) -> Stripped:
    """Up to its end marker; what an MPO holds behind it is another picture."""
    kept, scans, place, has_end = [b"\xff\xd8"], Scans(), 2, False
    metadata: dict[str, bytes] = {}
    profile: dict[int, bytes] = {}
    while found := MARKER.search(data, place):
        code, place = found[1][0], found.end()
        if code == 0xD9:
            has_end = True
            break
        if code == 0xD8:
            raise NotOpened("is damaged: a second picture begins before the first has ended")
        if code == 0x01 or 0xD0 <= code <= 0xD7:
            continue
        length = max(2, int.from_bytes(data[place : place + 2], "big"))
        segment = data[place + 2 : place + length]
        place += length
        if code == 0xFE or 0xE0 <= code <= 0xEF:
            keep_metadata(code, segment, metadata, profile)
            if code == 0xE0 and segment.startswith(b"JFIF\0"):
                kept.append(PLAIN_JFIF)
            elif code == 0xEE and segment.startswith(b"Adobe") and len(segment) >= 12:
                kept.append(b"\xff\xee" + struct.pack(">H", 14) + segment[:12])
            continue
        kept.append(b"\xff" + bytes([code]) + data[place - length : place])
        if code == 0xDA:
            scans.add(segment)
            found = MARKER_AFTER_SCAN.search(data, place)
            end = found.start() if found else len(data)
            kept.append(data[place:end])
            place = end
        elif 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            scans.begin(code, segment)
    joined = b"".join(profile[number] for number in sorted(profile))
    return Stripped(
        b"".join(kept), joined, metadata.get("exif", b""), metadata.get("xmp", b""), has_end, scans.are_all()
    )


def keep_metadata(code: int, segment: bytes, metadata: dict[str, bytes], profile: dict[int, bytes]) -> None:
    if code == 0xE1 and segment.startswith(b"Exif\0"):
        metadata.setdefault("exif", segment[6:])
    elif code == 0xE1 and segment.startswith(b"http://ns.adobe.com/xap/"):
        metadata.setdefault("xmp", segment)
    elif code == 0xE2 and segment.startswith(b"ICC_PROFILE\0") and len(segment) > 14:
        profile.setdefault(segment[12], segment[14:])


class Scans:
    """Which coefficients of a progressive JPEG have come to their last bit; a sequential one has none to wait for."""

    def __init__(self) -> None:
        self.missing: set[tuple[int, bool]] = set()  # component, whether its AC coefficients are meant

    def begin(self, code: int, frame: bytes) -> None:
        if code in (0xC2, 0xCA):
            components = frame[6::3][: frame[5]] if len(frame) > 5 else b""
            self.missing = {(component, is_ac) for component in components for is_ac in (False, True)}

    def add(self, header: bytes) -> None:
        if not header or len(header) < 4 + 2 * header[0]:
            return
        start, end, bits = header[1 + 2 * header[0] :][:3]
        if bits & 15 == 0 and (end == 63 or start == 0):
            self.missing -= {(component, start > 0) for component in header[1 : 1 + 2 * header[0] : 2]}

    def are_all(self) -> bool:
        return not self.missing


def strip_png(data: bytes) -> Stripped:
    """The first picture of an animation; text, times, profiles and what nobody knows are left out."""
    kept, metadata = [PNG_BEGINNING], {"profile": b"", "exif": b"", "xmp": b""}
    for kind, content, chunk, is_sound in png_chunks(data):
        if kind in PNG_CHUNKS and (is_sound or kind != b"tRNS"):
            kept.append(chunk)
        elif kind == b"iCCP":
            metadata["profile"] = inflated(content.partition(b"\0")[2][1:])
        elif kind == b"eXIf":
            metadata["exif"] = content
        elif kind in (b"tEXt", b"zTXt", b"iTXt"):
            read_text(kind, content, metadata)
        if kind == b"IEND":
            break
    return Stripped(b"".join(kept), metadata["profile"], metadata["exif"], metadata["xmp"])


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, bool]]:
    """Kind, content, the whole chunk, and whether its checksum is right; past what is none, to the next that is sound."""
    place = len(PNG_BEGINNING)
    while place + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if not (kind.isalpha() and kind.isascii() and (end <= len(data) or kind == b"IDAT")):
            place = next_sound_chunk(data, place + 8)
            continue
        chunk = data[place:end]
        yield kind, chunk[8:-4], chunk, zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        place = end
    if place < len(data):  # the beginning of a chunk, which the decoder will miss
        yield b"IDAT", b"", data[place:], False


def next_sound_chunk(data: bytes, place: int) -> int:
    for found in re.finditer(rb"IDAT|IEND|PLTE|tRNS", data[place:]):
        start = place + found.start() - 4
        length = int.from_bytes(data[start : start + 4], "big")
        end = start + 8 + length
        if end + 4 <= len(data) and zlib.crc32(data[start + 4 : end]) == int.from_bytes(data[end : end + 4], "big"):
            return start
    return len(data)


def read_text(kind: bytes, content: bytes, metadata: dict[str, bytes]) -> None:
    """Exif as ImageMagick stores it, in hexadecimal, and XMP."""
    keyword, _, text = content.partition(b"\0")
    if keyword not in (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp"):
        return
    if kind == b"zTXt":
        text = inflated(text[1:])
    elif kind == b"iTXt":
        is_compressed, rest = text[:1] == b"\1", text[2:].split(b"\0", 2)[-1]
        text = inflated(rest) if is_compressed else rest
    if keyword == b"XML:com.adobe.xmp":
        metadata["xmp"] = text
    elif found := re.match(rb"\s*\w+\s+\d+\s+([0-9a-fA-F\s]*)", text):
        digits = re.sub(rb"\s", b"", found[1])
        metadata["exif"] = metadata["exif"] or bytes.fromhex(digits[: len(digits) // 2 * 2].decode())


def inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, MOST_METADATA)
    except zlib.error:
        return b""


def strip_webp(data: bytes) -> Stripped:
    kept, metadata, place = [], {b"ICCP": b"", b"EXIF": b"", b"XMP ": b""}, 12
    while place + 8 <= len(data):
        kind, length = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        content = data[place + 8 : place + 8 + length]
        if kind == b"VP8X" and content:
            content = bytes([content[0] & ~WEBP_METADATA_FLAGS]) + content[1:]
        if kind in WEBP_CHUNKS:
            kept.append(kind + struct.pack("<I", length) + content + b"\0" * (len(content) & 1))
        elif kind in metadata:
            metadata[kind] = content
        place += 8 + length + (length & 1)
    body = b"WEBP" + b"".join(kept)
    return Stripped(
        b"RIFF" + struct.pack("<I", len(body)) + body, metadata[b"ICCP"], metadata[b"EXIF"], metadata[b"XMP "]
    )


def strip_avif(data: bytes) -> Stripped:
    """Its Exif goes by another name, which nobody reads: what turns an AVIF are properties of its own."""
    place = 0
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == b"meta":
            end = place + length
            return Stripped(data[:place] + data[place:end].replace(b"Exif", b"none") + data[end:])
        place += length if length >= 8 else len(data)
    return Stripped(data)
