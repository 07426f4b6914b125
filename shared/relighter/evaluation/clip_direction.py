"""Whether a photograph was changed the way the words say: directional similarity by CLIP."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.models.clip import build_clip, preprocessing
from shared.models.clip_weights import find_weights

if TYPE_CHECKING:
    import torch
    from PIL import Image

BEFORE, AFTER = "a photograph", "a photograph, {}"  # the words of the degraded image, and of the one that was asked for


class Views(NamedTuple):
    """What CLIP is shown of a triplet: arrays as prepare() makes them."""

    source: np.ndarray
    output: np.ndarray
    target: np.ndarray


class ClipDirection:
    """Cosine of the change from source to output and the change from BEFORE to AFTER (Gal et al., 2022, equation 2).

    Brooks et al. (2023) measure edits by it. In float32: it looks at small differences. Raises RunError.
    """

    def __init__(self, model_name: str, checkpoint: str, device: "torch.device"):
        import torch

        self.device = device
        model, self.tokenizer = build_clip(find_weights(model_name, checkpoint))
        self.model = model.to(device)
        self.transform, mean, deviation = preprocessing(model)
        self.mean, self.deviation = (
            torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (mean, deviation)
        )

    def prepare(self, image: "Image.Image") -> np.ndarray:
        return np.asarray(self.transform(image))

    def measure(self, views: Sequence[Views], instructions: Sequence[str]) -> list[tuple[float, float]]:
        """For each triplet the similarity of the output, and that of the target: what the photograph itself reaches.

        From -1 to 1; an output that is its source has 0, the identity floor.
        """
        import torch
        import torch.nn.functional as F

        with torch.inference_mode():
            texts = [BEFORE, *(AFTER.format(text) for text in instructions)]
            words = self.model.encode_text(self.tokenizer(texts).to(self.device), normalize=True)
            wanted = F.normalize(words[1:] - words[:1], dim=-1)
            source, output, target = (self._embed([one[place] for one in views]) for place in range(3))
            similarities = [
                (F.normalize(after - source, dim=-1) * wanted).sum(-1).tolist() for after in (output, target)
            ]
        return list(zip(*similarities, strict=True))

    def _embed(self, pixels: Sequence[np.ndarray]) -> "torch.Tensor":
        import torch

        images = torch.from_numpy(np.stack(pixels)).to(self.device).permute(0, 3, 1, 2).float() / 255
        return self.model.encode_image((images - self.mean) / self.deviation, normalize=True)
