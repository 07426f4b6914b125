"""How paths stand in tables: relative inside the run's folder, so that two runs give the same bytes."""

import os
from functools import lru_cache

from shared.far.addresses import below, is_far

_relative_folder = lru_cache(maxsize=4096)(os.path.relpath)


@lru_cache(maxsize=256)
def _named_as_paths(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The fields that are paths by their names; the rows of a table are nearly all of one shape.

    Addresses such as s3://bucket/a, which some of them may hold, are not ours to move.
    """
    return tuple(field for field in fields if field.endswith("_path"))


def relative_paths(row: dict, folder: str, run_folder: str) -> dict:
    """The row as a table in `folder` has it: paths inside `run_folder` are made relative to `folder`.

    Both folders are absolute and normalized. Returns `row` itself where nothing changes.
    """
    changed = None
    for field in _named_as_paths(tuple(row)):
        value = row[field]
        # Most paths are outside, and their rows by the million.
        if isinstance(value, str) and value.startswith(run_folder) and "://" not in value:
            inside = run_folder.rstrip(os.sep) + os.sep
            if value.startswith(inside):
                parent, name = os.path.split(value)
                relative = _relative_folder(parent, folder)
                changed = (changed or {}) | {field: name if relative == "." else f"{relative}/{name}"}
    return {**row, **changed} if changed else row


def absolute_paths(row: dict, folder: str) -> dict:
    """The row as it is in memory: its relative paths made absolute against `folder`, in place."""
    for field in _named_as_paths(tuple(row)):
        value = row[field]
        if isinstance(value, str) and value[:1] not in ("", os.sep) and "://" not in value:
            row[field] = below(folder, value) if is_far(folder) else os.path.normpath(f"{folder}/{value}")
    return row
