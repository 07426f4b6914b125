"""A training of a tiny model in this process, over a dozen small triplets."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import yaml
from PIL import Image, ImageEnhance

from shared.files.lookup import ROOT
from shared.loop.place import Place
from shared.run.advance import advance
from shared.run.config import load_config
from shared.run.run import Run, Step

WORDS = ("warm light from the left", "cool light from above", "soft light from the right, low-key mood")


def write_triplets(folder: Path, train: int = 9, val: int = 2, test: int = 1, side: int = 96) -> Path:
    """Photographs and paler copies of them, with a metadata.jsonl that names them."""
    folder.mkdir(parents=True, exist_ok=True)
    photographs = sorted((ROOT / "configs" / "samples").glob("*.jpg"))
    splits = ["train"] * train + ["val"] * val + ["test"] * test
    rows = []
    for number, split in enumerate(splits):
        photograph = Image.open(photographs[number % len(photographs)]).convert("RGB")
        photograph.thumbnail((side * 2, side * 2))
        photograph.save(folder / f"{number}.png")
        ImageEnhance.Contrast(photograph).enhance(0.5).save(folder / f"{number}_flat.png")
        rows.append(
            {"key": f"t{number}", "input_image": f"{number}_flat.png", "edited_image": f"{number}.png",
             "edit_prompt": WORDS[number % len(WORDS)], "split": split}
        )  # fmt: skip
    path = folder / "metadata.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_config(path: Path, table: Path, *steps: dict, **options) -> Path:
    """A config with a train step of these options, and `steps` after it."""
    small = {
        "resolution": 64, "batch_size": 2, "max_train_steps": 6, "checkpointing_steps": 3, "validation_steps": 0,
        "load_threads": 1, "gradient_checkpointing": False, "use_ema": True,
    }  # fmt: skip
    entries = [{"type": "train", "config": small | options}, *steps]
    top = {"meta_path": str(table), "image_key": ["edited_image", "input_image"], "steps": entries}
    path.write_text(yaml.safe_dump(top))
    return path


def make_step(config: Path, output: Path) -> Step:
    run = Run(load_config(config), output)
    advance(run, lambda text: None)
    return run.steps[0]


@contextmanager
def member(step: Step):
    """What torchrun sets for a process that is alone, and a fresh state of accelerate."""
    from accelerate.state import AcceleratorState

    from shared.loop.together import PARENT, REASONS_VARIABLE, Together

    AcceleratorState._reset_state(True)
    more = {"RANK": "0", "WORLD_SIZE": "1", REASONS_VARIABLE: str(step.folder), PARENT: str(os.getpid())}
    os.environ.update(more)
    together = Together(step, Place(gpu=0, kill_folder=None, cores=1))
    for name in more:
        if name != PARENT:
            del os.environ[name]
    try:
        yield together
    finally:
        os.environ.pop(PARENT)
        AcceleratorState._reset_state(True)


def trainer_of(step: Step, together):
    """The trainer as Train.work makes it."""
    from shared.relighter.training.rows import training_rows
    from shared.relighter.training.trainer import Trainer

    return Trainer(step.worker, together, *training_rows(step, step.worker.columns))


def train(step: Step, stop_at: int | None = None) -> bool:
    """Train to the end, or as if a kill file had come after so many steps."""
    with member(step) as together:
        trainer = trainer_of(step, together)
        take = trainer.take_step

        def take_step(batches):
            take(batches)
            if trainer.step == stop_at:
                together.control.stop("the test asked for it")

        trainer.take_step = take_step
        return trainer.run()
