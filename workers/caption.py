"""Ask about each photograph: its lighting keywords, from pixels or from a vision-language model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from shared.worker import Loaded, Worker, run

if TYPE_CHECKING:
    from shared.run import Step
    from shared.table import Table

COLUMNS = {
    "image_path": "image_path",
    "lighting_score": "lighting_score",
    "output_image_path": "output_image_path",
    "lighting_keywords": "lighting_keywords",
}


@dataclass
class Caption(Worker):
    """Say in a few words what light each photograph was taken in: the edit instruction of the training data."""

    engine: Literal["photometric"] = "photometric"  # what answers; photometric measures pixels, without a model

    def setup(self) -> None:
        from shared.engines.photometric import Photometric

        self._engine = Photometric(self.seed)
        self._engine.setup()

    def load(self, item: dict) -> np.ndarray:
        from shared.engines.photometric import WORKING_SIZE
        from shared.images import open_image

        # The photograph, never the degraded image: the words describe the light that the model has to bring back.
        return np.asarray(open_image(item, longest_side=WORKING_SIZE))

    def process(self, batch: list[Loaded]) -> list[dict]:
        from shared.engines.photometric import Question

        return self._engine.answer([Question(item, image) for item, image in batch])

    def collect(self, rows: "Table", step: "Step") -> Iterable[dict] | None:
        from shared.split_tables import write_split_tables

        write_split_tables(step, rows, "{split}images_with_albedo_with_keywords.csv", COLUMNS)
        return None


if __name__ == "__main__":
    run(Caption)
