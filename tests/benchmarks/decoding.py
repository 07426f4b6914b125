"""A JPEG at the size that a step needs: each decoder's time, and how near it comes to a full decode.

    python -m tests.benchmarks.decoding > tests/benchmarks/results/<date>-decoding.md

Every way ends with Pillow's Lanczos resize to the same size, so that only the decoding differs. A decoder that scales while it
decodes (DCT scaling) may leave no less than once or twice the wanted size. The photographs are the bundled ones laid side by
side at their own scale, whose detail is that of a photograph to its last pixel. Rounds are interleaved, and medians printed.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.benchmarks.machine import heading, table

SAMPLES = Path(__file__).resolve().parents[2] / "configs" / "samples"
PHOTOGRAPHS = {
    "12 megapixels": (4000, 3000),
    "12 megapixels, progressive": (4000, 3000),
    "4 megapixels, square": (2048, 2048),
    "2 megapixels": (1632, 1224),
}
SIDES = (224, 512)  # the longer one, in pixels
FULL = "Pillow, full"


def photograph(width: int, height: int, progressive: bool) -> bytes:
    """A JPEG as cameras and the web have them: quality 92, colour at half resolution."""
    tiles = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    sheet, left, number = Image.new("RGB", (width, height)), 0, 0
    while left < width:
        top = 0
        while top < height:
            sheet.paste(tiles[number % len(tiles)], (left, top))
            top, number = top + tiles[number % len(tiles)].height, number + 1
        left += 512
    stream = io.BytesIO()
    sheet.save(stream, "JPEG", quality=92, progressive=progressive)
    return stream.getvalue()


def by_pillow(data: bytes, size: tuple[int, int], spare: int) -> Image.Image:
    """`spare`: how many times the wanted size is left; 0: it is decoded as it is stored."""
    image: Image.Image = Image.open(io.BytesIO(data))
    if spare:
        image.draft(None, (spare * size[0], spare * size[1]))
    image.load()
    return image


def by_opencv(data: bytes, size: tuple[int, int], spare: int) -> Image.Image:
    import cv2

    with Image.open(io.BytesIO(data)) as head:
        scale = min(head.width // (spare * size[0]), head.height // (spare * size[1])) if spare else 1
    flags = {1: "IMREAD_COLOR", 2: "IMREAD_REDUCED_COLOR_2", 4: "IMREAD_REDUCED_COLOR_4", 8: "IMREAD_REDUCED_COLOR_8"}
    flag = getattr(cv2, flags[max(one for one in flags if one <= max(1, scale))])
    return Image.fromarray(cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), flag), cv2.COLOR_BGR2RGB))


def by_simplejpeg(data: bytes, size: tuple[int, int], spare: int) -> Image.Image:
    import simplejpeg

    least = {"min_width": spare * size[0], "min_height": spare * size[1], "min_factor": 1} if spare else {}
    return Image.fromarray(simplejpeg.decode_jpeg(data, **least))


def by_torchvision(data: bytes, size: tuple[int, int], spare: int) -> Image.Image:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    found = decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)
    return Image.fromarray(found.permute(1, 2, 0).numpy())


WAYS: dict[str, tuple[Callable[[bytes, tuple[int, int], int], Image.Image], int]] = {
    FULL: (by_pillow, 0),
    "Pillow, draft to 1 x": (by_pillow, 1),
    "Pillow, draft to 2 x": (by_pillow, 2),
    "OpenCV, full": (by_opencv, 0),
    "OpenCV, reduced to 2 x": (by_opencv, 2),
    "simplejpeg, full": (by_simplejpeg, 0),
    "simplejpeg, scaled to 2 x": (by_simplejpeg, 2),
    "torchvision, full": (by_torchvision, 0),
}


def there_are() -> dict[str, tuple[Callable, int]]:
    """The ways whose packages are installed."""
    found = {}
    for name, (decode, spare) in WAYS.items():
        try:
            decode(photograph(64, 48, False), (8, 6), spare)
        except ImportError as error:
            print(f"{name}: {error}")
        else:
            found[name] = (decode, spare)
    return found


def measure(data: bytes, side: int, rounds: int) -> list[list[str]]:
    """The rows of one table: milliseconds in all and of the decoding, the size that was decoded, likeness to the full decode."""
    with Image.open(io.BytesIO(data)) as head:
        size = (side, round(side * head.height / head.width))
    seconds: dict[str, list[tuple[float, float]]] = {}
    images, decoded = {}, {}
    ways = there_are()
    for _ in range(rounds):
        for name, (decode, spare) in ways.items():
            started = time.perf_counter()
            opened = decode(data, size, spare)
            between = time.perf_counter()
            images[name] = opened.resize(size, Image.Resampling.LANCZOS)
            seconds.setdefault(name, []).append((time.perf_counter() - started, between - started))
            decoded[name] = opened.size
    whole = statistics.median(total for total, _ in seconds[FULL])
    rows = []
    for name, spans in seconds.items():
        total, decoding = (statistics.median(values) for values in zip(*spans, strict=True))
        like = likeness(images[name], images[FULL])
        rows.append(
            [
                name,
                "{} x {}".format(*decoded[name]),
                f"{1e3 * total:.1f}",
                f"{1e3 * decoding:.1f}",
                f"{whole / total:.1f}",
                like,
            ]
        )
    return rows


def likeness(image: Image.Image, other: Image.Image) -> str:
    """PSNR in dB."""
    error = np.square(np.asarray(image, np.float64) - np.asarray(other, np.float64)).mean()
    return f"{10 * np.log10(255**2 / error):.1f}" if error else "the same"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    packages = ("pillow", "opencv-contrib-python-headless", "simplejpeg", "torch", "torchvision")
    print(heading("A JPEG at the size that a step needs", packages))
    for name, (width, height) in PHOTOGRAPHS.items():
        data = photograph(width, height, "progressive" in name)
        for side in SIDES:
            print(f"{name} ({width} x {height}, {len(data) / 1e6:.1f} MB) to {side} px, {rounds} rounds:\n")
            columns = ("", "decoded", "ms", "of which decoding", "times as fast", "PSNR, dB")
            print(table(columns, measure(data, side, rounds)), flush=True)


if __name__ == "__main__":
    main()
