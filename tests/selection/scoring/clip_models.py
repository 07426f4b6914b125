"""The filter with a tiny CLIP, called without a launcher, and open_clip itself beside it."""

from pathlib import Path

from PIL import Image

from shared.run.config import checked
from shared.worker import Loaded
from tests.conftest import ROOT
from workers.filter import Filter

SAMPLES = ROOT / "configs" / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.jpg"))


def make(checkpoint: object, method: str = "clip", **options) -> Filter:
    worker = checked(Filter, {"method": method, "checkpoint": str(checkpoint), **options}, "step 1 (filter)")
    worker.check("step 1 (filter)")
    worker.fill_in("step 1 (filter)")
    worker.setup()
    return worker


def items(folder: Path) -> list[dict]:
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".jpg", ".png"))
    return [{"key": path.name, "image_path": str(path)} for path in paths]


def rate(worker: Filter, folder: Path) -> list[dict]:
    return worker.process([Loaded(item, worker.load(item)) for item in items(folder)])


def by_open_clip(checkpoint: Path, folder: Path, texts: list[str]):
    """Vectors of photographs and texts, and the logit scale, as open_clip's README has it."""
    import open_clip
    import torch

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{checkpoint}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{checkpoint}")
    model.eval()
    images = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            images.append(preprocess(image))
    with torch.no_grad():
        vectors = model.encode_image(torch.stack(images))
        words = model.encode_text(tokenizer(texts))
        vectors /= vectors.norm(dim=-1, keepdim=True)
        words /= words.norm(dim=-1, keepdim=True)
        return vectors, words, model.logit_scale.exp()
