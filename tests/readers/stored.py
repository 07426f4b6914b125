"""Photographs that are stored in Parquet, Arrow and tars."""

import hashlib
import io
import tarfile
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from shared.dataset import Source


def items(path: Path | str, **options) -> list[dict]:
    found = list(Source(str(path), **options).items())
    orjson.dumps(found)  # JSON values only: never bytes
    return found


def key(written: str) -> str:
    return f"{Path(written).stem}-{hashlib.sha256(written.encode()).hexdigest()[:8]}"


def write_arrow(path: Path, table: pa.Table, form: str, rows: int) -> None:
    with (
        pa.OSFile(str(path), "wb") as sink,
        (pa.ipc.new_stream if form == "stream" else pa.ipc.new_file)(sink, table.schema) as writer,
    ):
        writer.write_table(table, max_chunksize=rows)


def write_table(path: Path, table: pa.Table, form: str = "stream", rows: int = 3) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(table, path, row_group_size=rows)
    else:
        write_arrow(path, table, form, rows)
    return path


KINDS = [("rows.parquet", ""), ("rows.arrow", "stream"), ("rows.arrow", "file")]


def write_tar(path: Path, members: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(path, "w", format=form) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path
