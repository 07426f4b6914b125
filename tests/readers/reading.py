"""Inputs that are written and read."""

import hashlib
from pathlib import Path

from shared.dataset import Source


def key(written: str) -> str:
    stem = Path(written).stem
    return f"{stem}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"


def items(path: Path | str, **options) -> list[dict]:
    return list(Source(str(path), **options).items())


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_bytes(text.encode())
    return folder / name
