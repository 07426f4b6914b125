"""What a file is by its first bytes: one of the formats that are opened, or what it is instead."""

import re

# Ours -> the plugin of Pillow that opens it. No others are tried: some run programs of their own, as EPS does Ghostscript.
PLUGINS = {
    "JPEG": "JPEG", "PNG": "PNG", "WebP": "WEBP", "TIFF": "TIFF", "BMP": "BMP", "GIF": "GIF", "AVIF": "AVIF", "HEIC": "HEIF",
    "JPEG 2000": "JPEG2000", "JPEG XL": "JXL",
}  # fmt: skip
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", ".heic", ".heif", ".jp2", ".j2k",
    ".jxl",
)  # fmt: skip
BEGINNINGS = (
    (rb"\xff\xd8\xff", "JPEG"),
    (rb"\x89PNG\r\n\x1a\n", "PNG"),
    (rb"RIFF....WEBP", "WebP"),
    (rb"(?:II[*+]\x00|MM\x00[*+])", "TIFF"),
    (rb"BM", "BMP"),
    (rb"GIF8[79]a", "GIF"),
    (rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
)
BRANDS = {  # of a file that begins with a box `ftyp`
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"),
}
OTHERS = (
    (rb"version https://git-lfs", "a Git LFS pointer, and the photograph was not fetched: git lfs pull"),
    (rb"%!PS|\xc5\xd0\xd3\xc6", "an EPS or PostScript file"),
    (rb"%PDF", "a PDF file"),
    (rb"8BPS", "a Photoshop file"),
    (rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<svg", "an SVG drawing"),
    (rb"\s*<(?:!doctype html|html|head|body)", "a web page"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\x1f\x8b", "a gzip archive"),
    (rb"FUJIFILMCCD-RAW|IIRO|IIU\x00|II\*\x00....CR", "a camera's raw file"),
    (rb"....ftypcrx ", "a camera's raw file"),
    (rb"....ftyp(?:qt  |isom|mp4|M4V|3gp)|....moov|\x1aE\xdf\xa3", "a video"),
)


MAX_PIXELS = 200_000_000  # the largest camera sensors; a decoded image takes three bytes a pixel


class NotOpened(ValueError):
    """Why a photograph is not opened, to be put behind its name: `is damaged: ...`."""


def format_of(data: bytes) -> str:
    """Its name in PLUGINS. Raises NotOpened for what is none of them."""
    for beginning, words in OTHERS:
        if re.match(beginning, data[:1000], re.DOTALL | re.IGNORECASE):
            raise NotOpened(f"is {words}" if "pointer" in words else f"is {words}, which is not opened; {opened()} are")
    for beginning, name in BEGINNINGS:
        if re.match(beginning, data, re.DOTALL):
            return name
    if data[4:8] == b"ftyp":
        length = int.from_bytes(data[:4], "big")
        brands = [data[8:12], *(data[place : place + 4] for place in range(16, min(length, 200), 4))]
        for name, known in BRANDS.items():
            if any(brand in known for brand in brands):
                return name
    raise NotOpened("is not an image that can be read")


def opened() -> str:
    names = list(PLUGINS)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def check_size(size: tuple[int, int]) -> None:
    """Raises NotOpened for a picture that is too large to be decoded."""
    width, height = size
    if width * height > MAX_PIXELS:
        raise NotOpened(f"has {width} x {height} pixels; at most {MAX_PIXELS // 1_000_000} million are opened")
