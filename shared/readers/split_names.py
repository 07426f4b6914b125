"""What the splits are called in the names of folders and files, as the datasets library has them."""

import re

FOLDER_NAMES = {"train": "train", "val": "validation", "test": "test"}  # as they are written
READ_NAMES = {"train": "train", "validation": "val", "valid": "val", "val": "val", "test": "test"}
FILE_NAME = re.compile(rf"({'|'.join(READ_NAMES)})(?:[-_.].*)?\.parquet", re.IGNORECASE)

TABLE_NAME = re.compile(r"(train|val|test)_images(?:_with_.*)?\.(?:csv|tsv|jsonl?|parquet|txt)")


def split_of_file(name: str) -> str | None:
    """`val` for validation-00000-of-00002.parquet; None where the name says none."""
    match = FILE_NAME.fullmatch(name)
    return READ_NAMES[match[1].lower()] if match else None


def split_of_table(name: str) -> str | None:
    """`train` for train_images.csv and train_images_with_albedo.csv, as a run names its tables; None for other names."""
    match = TABLE_NAME.fullmatch(name)
    return match[1] if match else None
