"""Inputs of captions: a folder that the datasets library saves, and one that img2dataset leaves."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.web_server import photograph


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


def save_download(folder, count: int, shard_size: int = 10, without_sidecar: tuple[int, ...] = ()) -> list[str]:
    """As img2dataset leaves it, without sizes; returns the keys. Some photographs have their shard's row alone."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = []
    for number in range(count):
        shard, key = f"{number // shard_size:05d}", f"{number // shard_size:05d}{number % shard_size:04d}"
        place = folder / "images" / shard
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{key}.jpg").write_bytes(photograph(number))
        row = {
            "original_key": f"source-{number}", "md5": f"md5-{number}", "tags": "['oil']", "merged_tags": "oil",
            "caption": f"words {number}", "url": f"https://example.org/{number}.jpg", "key": key, "status": "success",
            "error_message": None, "width": None, "height": None, "original_width": None, "original_height": None,
            "exif": None, "sha256": f"sha-{number}",
        }  # fmt: skip
        rows.append(row)
        if number not in without_sidecar:
            (place / f"{key}.json").write_text(json.dumps(row))
    for shard in {row["key"][:5] for row in rows}:
        parquet.write_table(
            pa.Table.from_pylist([row for row in rows if row["key"].startswith(shard)]),
            folder / "images" / f"{shard}.parquet",
        )
    parquet.write_table(pa.Table.from_pylist(rows), folder / "urls.parquet")
    return [row["key"] for row in rows]
