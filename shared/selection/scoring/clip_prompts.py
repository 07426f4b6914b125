"""What CLIP is asked about a photograph's light, and how its answer becomes a score."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# What well-lit photographs are called; the score is how close a photograph is to these words on the whole.
PROMPTS = (
    "a photo with beautiful lighting",
    "a photo with good lighting",
    "a portrait of a well-lit face",
    "a photo with professional lighting",
    "a photo in natural light",
    "a photo with excellent illumination",
    "a bright and clear photo",
)

# The same with an opposite each, so that what is in the photograph cancels out and its light remains.
PROMPT_PAIRS = (
    ("a photo with beautiful lighting", "a photo with ugly lighting"),
    ("a photo with good lighting", "a photo with bad lighting"),
    ("a portrait of a well-lit face", "a portrait of a badly lit face"),
    ("a photo with professional lighting", "a photo with careless lighting"),
    ("a photo in natural light", "a photo in unnatural light"),
    ("a photo with excellent illumination", "a photo with poor illumination"),
    ("a bright and clear photo", "a dark and murky photo"),
)


def mean_similarity(images: "torch.Tensor", texts: "torch.Tensor") -> "torch.Tensor":
    """The plain mean of the cosine similarities with all texts, -1 to 1; no softmax, no temperature.

    images (n, d) and texts (k, d) are of unit length. Returns (n,).
    """
    return (images @ texts.T).mean(dim=1)


def mean_positive_share(images: "torch.Tensor", texts: "torch.Tensor", scale: float) -> "torch.Tensor":
    """How much more a photograph is like the positive text of each pair than the negative, 0 to 1, on the mean.

    images (n, d) and texts (2k, d), positive and negative in turn, are of unit length; `scale` is the model's logit
    scale. Returns (n,). CLIP-IQA: Wang, Chan and Loy, "Exploring CLIP for assessing the look and feel of images", 2023.
    """
    logits = scale * images @ texts.T
    return logits.unflatten(1, (-1, 2)).softmax(dim=2)[:, :, 0].mean(dim=1)


def alternating(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Positive and negative texts in turn, as mean_positive_share() takes their vectors."""
    return [text for pair in pairs for text in pair]
