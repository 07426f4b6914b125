"""The degrade step called without a launcher."""

from shared.run.config import checked
from shared.worker import Loaded
from workers.degrade import Degrade


def item_of(path, **fields):
    return {"key": "indoor/a.png", "image_path": str(path), "split": "train", "lighting_score": 0.5, **fields}


def worker(**options):
    made = checked(Degrade, {"mask": "none", **options}, "step 2 (degrade)")
    made.seed = 7
    made.setup()
    return made


def degrade(made, item):
    return made.process([Loaded(item, made.load(item))])[0]
