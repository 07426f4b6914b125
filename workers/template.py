"""Note the size and the checksum of each photograph. The smallest worker: copy it to add a step."""

import hashlib
import time
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, NonNegativeFloat

from shared.images import read_bytes
from shared.start import run
from shared.worker import Loaded, Worker


@dataclass
class Template(Worker):
    """Note the size and the checksum of each photograph."""

    seconds_per_item: Annotated[
        NonNegativeFloat, Field(description="pretend that there is a model, to try out stopping and resuming")
    ] = 0.0

    def setup(self) -> None:
        """Import heavy packages and load models here, not above: then --help answers at once."""

    def load(self, item: dict) -> Any:
        return read_bytes(item)

    def process(self, batch: list[Loaded]) -> list[dict]:
        time.sleep(self.seconds_per_item * len(batch))
        return [{"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for _, data in batch]


if __name__ == "__main__":
    run(Template)
