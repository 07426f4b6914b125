"""Tables, tars and Parquet files as bytes."""

import csv
import io
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq


def table(rows: list[list[str]]) -> bytes:
    file = io.StringIO()
    csv.writer(file).writerows(rows)
    return file.getvalue().encode()


def tar(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def parquet(rows: list[dict], group: int = 100) -> bytes:
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    fields = pa.schema({"key": pa.string(), "image": image, "caption": pa.string()})
    stream = io.BytesIO()
    pq.write_table(
        pa.Table.from_pylist(rows, fields), stream, row_group_size=group, compression="none", use_dictionary=False
    )
    return stream.getvalue()
