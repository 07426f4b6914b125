"""A Parquet file that is written row by row."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shared.files.part_file import PartFile, sync_folder

ROWS_IN_MEMORY = 1000


class ParquetFile:
    """A Parquet file of the columns of `schema`, written row by row with flat memory, whole or not at all."""

    def __init__(self, path: Path, schema: Any):
        self.path, self.schema = path, schema
        self.pending: list[dict] = []
        self.texts = {field.name for field in schema if str(field.type) == "string"}

    def __enter__(self) -> "ParquetFile":
        from pyarrow import parquet

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.part = PartFile(self.path)
        self.part.__enter__()
        self.writer = parquet.ParquetWriter(self.part.file, self.schema, compression="zstd")
        return self

    def add(self, row: Mapping[str, Any]) -> None:
        self.pending.append({name: self._cell(name, row.get(name)) for name in self.schema.names})
        if len(self.pending) >= ROWS_IN_MEMORY:
            self._flush()

    def _cell(self, name: str, value: Any) -> Any:
        """A column of text takes JSON of what is none."""
        is_text = value is None or isinstance(value, str) or name not in self.texts
        return value if is_text else json.dumps(value, ensure_ascii=False)

    def _flush(self) -> None:
        import pyarrow as pa

        if self.pending:
            self.writer.write_table(pa.Table.from_pylist(self.pending, self.schema))
            self.pending = []

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._flush()
            self.writer.close()
            if error[0] is None:
                self.part.file.flush()
                self.part.sync()
                self.part.replace()
                sync_folder(self.path.parent)
        finally:
            self.part.__exit__(*error)
