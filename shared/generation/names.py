"""What a generated image is called: after the photograph that its item names, or after its key where several are called so."""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from shared.files.names import file_name
from shared.files.small_files import write_file
from shared.files.table import Table
from shared.seeding import name_hash

IMAGE_FOLDER = "generated_images"
SOURCES = ("image_path", "video_path")


def stem_of(item: dict) -> str:
    """Of the file that the item names; the key where it names none of its own."""
    for field in SOURCES:
        if item.get(field) and not item.get(field.removesuffix("_path") + "_member"):
            return os.path.splitext(os.path.basename(item[field]))[0] or item["key"]
    return item["key"]


def write_shared_stems(table: Table, path: Path) -> None:
    """Note the stems that several items would be called by, for shared_stems(); nothing is done where the table is as it was."""
    digest = table.digest.encode()
    try:
        with open(path, "rb") as file:
            if file.readline().strip() == digest:
                return
    except FileNotFoundError:
        pass
    names = np.fromiter((name_hash(stem_of(item)) for item in table), np.uint64, len(table))
    is_key = np.zeros(len(table), bool)
    while (several := np.isin(names, in_several_rows(names)) & ~is_key).any():
        names[several], is_key[several] = table.hashes[several], True
    stems = np.fromiter((name_hash(stem_of(table[int(row)])) for row in np.flatnonzero(is_key)), np.uint64)
    write_file(path, digest + b"\n" + np.unique(stems).tobytes())


def in_several_rows(names: np.ndarray) -> np.ndarray:
    values, counts = np.unique(names, return_counts=True)
    return values[counts > 1]


def shared_stems(path: Path) -> frozenset[int]:
    """Their hashes."""
    _, _, data = path.read_bytes().partition(b"\n")
    return frozenset(np.frombuffer(data, np.uint64).tolist())


def generated_name(item: dict, shared: Iterable[int], suffix: str, number: int = 1) -> str:
    """generated_images/cat_generated.png, relative to the step's folder; of several of an item, cat_generated_2.png."""
    stem = stem_of(item)
    ending = "_generated" + (f"_{number}" if number > 1 else "") + suffix
    return f"{IMAGE_FOLDER}/" + file_name(item["key"] if name_hash(stem) in shared else stem, ending)
