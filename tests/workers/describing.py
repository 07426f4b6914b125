"""A dataset as people describe it: a folder that the datasets library saves."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def png(number: int, size: tuple[int, int] = (96, 64)) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def save_dataset(folder: Path, count: int, damaged: tuple[int, ...] = ()) -> list[str]:
    """Rows of new_key, png, caption and a field more; returns the keys."""
    import datasets

    keys = [f"web-{number:03}" for number in range(count)]
    rows = {
        "new_key": keys,
        "png": [b"no photograph" if number in damaged else png(number) for number in range(count)],
        "caption": [f"what the web says of {number}" for number in range(count)],
        "similarity": [number / 10 for number in range(count)],
    }
    datasets.Dataset.from_dict(rows).save_to_disk(folder)
    return keys
