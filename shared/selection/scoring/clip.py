"""What the filter notes of a photograph by CLIP: how like it is to words for good light."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from shared.images import open_image
from shared.models.clip import Clip
from shared.models.clip_weights import find_weights
from shared.models.device import find_device
from shared.selection.scoring.clip_prompts import (
    PROMPT_PAIRS,
    PROMPTS,
    alternating,
    mean_positive_share,
    mean_similarity,
)
from shared.selection.scoring.embeddings import embedding_fields
from shared.selection.scoring.hashes import hashes_of
from shared.selection.scoring.photometric import number_of_faces, picture_fields
from shared.worker import Loaded

HASHED_SIZE = (128, 128)  # the hashes look at 32 x 32 and 48 x 48 pixels; more only costs time


class View(NamedTuple):
    """A photograph as load() leaves it: what the model is given, and what the record says beside the score."""

    pixels: np.ndarray
    fields: dict[str, Any]


class ClipRater:
    """The filter's methods `clip` and `clip_antonym`. Raises RunError when the model cannot be loaded."""

    describes_light = False
    looks_for_faces = False
    saves_embeddings = False

    def __init__(self, method: str, model_name: str, checkpoint: str, texts: Sequence | None, compiles: bool):
        self.method, self.checkpoint = method, checkpoint
        texts = alternating(texts or PROMPT_PAIRS) if method == "clip_antonym" else (texts or PROMPTS)
        self.clip = Clip(find_weights(model_name, checkpoint), texts, find_device("CLIP"), compiles)
        self.is_queued = self.clip.device.type == "cuda"

    def load(self, item: dict) -> View:
        image = open_image(item, shorter_side=2 * self.clip.side)
        fields = self._light(item) if self.describes_light else {}
        fields |= hashes_of(image.resize(HASHED_SIZE, reducing_gap=2.0)) | picture_fields(image)
        if self.looks_for_faces:
            fields |= number_of_faces(image)
        return View(self.clip.prepare(image), fields)

    def rate(self, batch: Sequence[Loaded]) -> list[dict]:
        """The fields of each record, from what load() made."""
        return self.begin(batch, len(batch))()

    def begin(self, batch: Sequence[Loaded], batch_size: int) -> Callable[[], list[dict]]:
        """Queue a batch on the GPU; what is returned waits for it and gives the fields of each record."""
        vectors = self.clip.embed([view.pixels for _, view in batch], batch_size)
        if self.method == "clip":
            scores = mean_similarity(vectors, self.clip.texts)
        else:
            scores = mean_positive_share(vectors, self.clip.texts, self.clip.logit_scale)
        arrived = self.clip.arriving([scores, vectors] if self.saves_embeddings else [scores])
        return lambda: self._found(batch, *arrived())

    def _found(self, batch: Sequence[Loaded], scores: np.ndarray, vectors: np.ndarray | None = None) -> list[dict]:
        if not np.isfinite(scores).all():
            raise ValueError("the model's answer is not a number")
        outcomes = [
            {
                "lighting_score": round(float(score), 6),
                "method": self.method,
                "model_name": self.clip.name,
                "checkpoint": self.checkpoint,
                **view.fields,
            }
            for (_, view), score in zip(batch, scores, strict=True)
        ]
        if vectors is not None:
            for fields, more in zip(
                outcomes, embedding_fields([item["key"] for item, _ in batch], vectors), strict=True
            ):
                fields.update(more)
        return outcomes

    def _light(self, item: dict) -> dict[str, Any]:
        """As the photometric method measures it, from a decode of that size; the measuring costs more."""
        from shared.light.describe import describe
        from shared.selection.scoring.score import SCORE_SIZE

        image = open_image(item, longest_side=SCORE_SIZE)
        return {"light": describe(np.asarray(image), shot=image.info.get("shot")).as_dict()}
