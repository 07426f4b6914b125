"""The degrade step with tiny models, called without a launcher."""

import numpy as np
from PIL import Image

from shared.run.config import checked
from shared.worker import Loaded
from workers.degrade import Degrade

SAMPLES = ("astronaut.jpg", "cat.jpg", "coffee.jpg", "admiral.jpg")
SURE_OF_ANYTHING = {"detection_threshold": 0.2}  # a random SAM 3 is about 0.25 sure
TRY_LITTLE = {"points_per_side": 4, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
ANY_DIFFERENCE = {"least_psnr": 0, "most_psnr": 100, "most_lost": 1, "least_mask": 0, "most_mask": 1}


def worker(**options):
    made = checked(Degrade, {"quality": ANY_DIFFERENCE, **options}, "step 2 (degrade)")
    made.check("step 2 (degrade)")
    made.fill_in("step 2 (degrade)")
    made.seed = 7
    made.setup()
    return made


def items_of(photographs, *names):
    return [{"key": name, "image_path": str(photographs / name), "split": "train"} for name in names or SAMPLES]


def loaded(made, items):
    return [Loaded(item, made.load(item)) for item in items]


def degrade(made, photographs, *names):
    return made.process(loaded(made, items_of(photographs, *names)))


def pixels_of(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
