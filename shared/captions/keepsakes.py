"""What a captioning leaves beside its records, for people: the prompts that were asked, and the first photographs."""

import io
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from shared.files.names import file_name
from shared.files.small_files import replace_file, write_text
from shared.files.table import Table

SAMPLE_QUALITY = 50  # of JPEG: they are to be looked at


def write_queries(folder: Path, fingerprint: str, system_prompt: str, prompts: Sequence[str]) -> None:
    """The prompt in queries/query.txt, and in queries/<fingerprint>.txt for the records that say this fingerprint.

    The turns of a conversation stand one below the other, the system prompt first.
    """
    text = "\n\n".join(part for part in (system_prompt, *prompts) if part) + "\n"
    for name in (fingerprint, "query"):
        write_text(folder / "queries" / f"{name}.txt", text)


class Samples:
    """Keeps the first `count` photographs of a table in images/, as the model sees them; from any number of threads."""

    def __init__(self, folder: Path, table_path: Path, count: int):
        self.folder = folder / "images"
        self.keys = {row["key"] for row in islice(Table(table_path), count)} if count else set()
        if self.keys:
            self.folder.mkdir(parents=True, exist_ok=True)

    def keep(self, key: str, image: Image.Image) -> None:
        if key not in self.keys:
            return
        data = io.BytesIO()
        image.convert("RGB").save(data, "JPEG", quality=SAMPLE_QUALITY)
        path = self.folder / file_name(key, ".jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data.getvalue())
