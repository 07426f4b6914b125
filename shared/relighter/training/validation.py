"""What the model makes of triplets that it does not learn from, beside what they should be and the degraded image as it is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.errors import ImageError
from shared.files.small_files import write_json
from shared.light.fidelity import psnr
from shared.relighter.families.family import Family
from shared.relighter.training.examples import CENTRE, Examples
from shared.relighter.training.geometry import Geometry
from shared.relighter.training.options import TrainOptions
from shared.relighter.training.order import Order


class Validation:
    """The first `num_validation_images` of the held-out rows, cut out at the centre."""

    def __init__(self, family: Family, options: TrainOptions, rows: Sequence[dict], folder: Path):
        self.family, self.options, self.folder = family, options, folder / "validation"
        self.rows = [rows[index] for index in range(min(options.num_validation_images, len(rows)))]

    def run(self, step: int, trackers: Sequence[Any]) -> dict[str, float]:
        """Write a strip (input, output, target) of each; returns the mean PSNR in dB, and that of the input: the floor."""
        from shared.relighter.inference.relighter import Relighter

        options = self.options
        geometry = Geometry(options.resolution, center_crop=True)
        order = Order(len(self.rows), options.seed, 0.0)
        examples = Examples(self.rows, order, options.columns, geometry, ())
        texts, pairs = [], []
        for index, row in enumerate(self.rows):
            try:
                pairs.append([pixels.transpose(1, 2, 0) for pixels in examples.images(index, CENTRE, False)])
            except ImageError:
                continue
            texts.append(str(row[options.columns.instruction]))
        relighter = Relighter(self.family.pipeline(), self.family.name)
        outputs: list[Image.Image] = []
        for number, (text, (source, _)) in enumerate(zip(texts, pairs, strict=True)):
            outputs += relighter.relight(
                [Image.fromarray(source)], [text], [options.seed + number],
                num_inference_steps=options.validation_inference_steps,
                image_guidance_scale=options.image_guidance_scale, guidance_scale=options.guidance_scale,
            )  # fmt: skip
        values: dict[str, list[float]] = {"psnr": [], "psnr_floor": []}
        strips = []
        for output, (source, target) in zip(outputs, pairs, strict=True):
            made = np.asarray(output)
            values["psnr"].append(psnr(made, target))
            values["psnr_floor"].append(psnr(source, target))
            strips.append(np.concatenate([source, made, target], 1))
        place = self.folder / str(step)
        place.mkdir(parents=True, exist_ok=True)
        for number, strip in enumerate(strips):
            Image.fromarray(strip).save(place / f"{number}.png")
        means = {f"validation_{name}": float(np.mean(values[name])) for name in values} if strips else {}
        write_json(place / "validation.json", {"step": step, "texts": texts, **values, **means})
        for tracker in trackers:
            show(tracker, strips, texts, step)
        return means


def show(tracker: Any, strips: list[np.ndarray], texts: list[str], step: int) -> None:
    """Strips for tensorboard or wandb."""
    if tracker.name == "tensorboard" and strips:
        tracker.writer.add_images("validation", np.stack(strips), step, dataformats="NHWC")
    elif tracker.name == "wandb":
        import wandb

        images = [wandb.Image(strip, caption=text) for strip, text in zip(strips, texts, strict=True)]
        tracker.log({"validation": images}, step=step)
