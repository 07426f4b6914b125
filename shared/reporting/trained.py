"""What training has come to: the course of the loss, held-out triplets on the way, and the scores of what was relit."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import orjson

from shared.files.small_files import read_json
from shared.reporting.histograms import Tick, round_numbers
from shared.reporting.profile import count_of
from shared.reporting.thumbnails import Thumbnail, thumbnail
from shared.run.run import Run, Step

MOST_POINTS = 240  # of a curve; each is the mean of its neighbours
MOST_STRIPS = 6
STRIP_SIDE = 900  # pixels: three images beside each other


class Curve(NamedTuple):
    """Lines over the training steps, ready to be drawn: places in percent, `levels` upwards."""

    lines: dict[str, str]  # name: the points of a polyline
    ticks: list[Tick]
    levels: list[Tick]


@dataclass
class TrainingRun:
    """A train step."""

    step: Step
    steps_done: int
    loss: Curve | None
    validation: Curve | None  # PSNR of held-out triplets, and of their degraded images as they are
    strips: list[tuple[str, Thumbnail]]  # the last validation: words, and input, output, target beside each other
    strips_at: int


def trainings_of(run: Run) -> list[TrainingRun]:
    """The train steps that have begun."""
    return [training_of(step) for step in run.steps if step.module == "train" and (step.folder / "loss.jsonl").exists()]


def training_of(step: Step) -> TrainingRun:
    last, losses = 0, []
    for line in read_losses(step.folder / "loss.jsonl"):
        last = max(last, int(count_of(line["step"])))
        losses.append((count_of(line["step"]), count_of(line["loss"])))
    validations = sorted(validations_of(step), key=lambda validation: validation["step"])
    psnr = {
        name: [(float(validation["step"]), count_of(validation.get(field))) for validation in validations]
        for name, field in (("output", "validation_psnr"), ("input as it is", "validation_psnr_floor"))
    }
    at = int(validations[-1]["step"]) if validations else 0
    strips = strips_of(step, validations[-1]) if validations else []
    return TrainingRun(step, last, curve({"loss": losses}), curve(psnr), strips, at)


def read_losses(path: Path) -> Iterator[dict]:
    """The lines that are whole; a crash may have cut the last one."""
    with open(path, "rb") as file:
        for text in file:
            try:
                line = orjson.loads(text)
            except ValueError:
                continue
            if isinstance(line, dict) and not math.isnan(count_of(line.get("step"))):
                yield {"loss": None} | line


def validations_of(step: Step) -> Iterator[dict]:
    for path in (step.folder / "validation").glob("*/validation.json"):
        validation = read_json(path)
        if not math.isnan(count_of(validation.get("step"))):
            yield validation


def strips_of(step: Step, validation: dict) -> list[tuple[str, Thumbnail]]:
    folder = step.folder / "validation" / str(validation["step"])
    texts = validation.get("texts") or []
    pictures = [
        thumbnail(folder / f"{place}.png", STRIP_SIDE, step.run.folder) for place in range(len(texts[:MOST_STRIPS]))
    ]
    return [(str(text), picture) for text, picture in zip(texts, pictures, strict=False) if picture]


def curve(series: dict[str, list[tuple[float, float]]]) -> Curve | None:
    """None where there are fewer than two points to draw a line between."""
    lines = {name: list(means(points)) for name, points in series.items()}
    everything = [point for points in lines.values() for point in points]
    if len({place for place, _ in everything}) < 2:
        return None
    places, levels = (round_numbers(min(values), max(values)) for values in zip(*everything, strict=True))

    def percent(value: float, ticks: list[float]) -> float:
        return round(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 3)

    return Curve(
        {
            name: " ".join(f"{percent(x, places)},{round(100 - percent(y, levels), 3)}" for x, y in points)
            for name, points in lines.items()
        },
        [Tick(percent(value, places), f"{value:g}") for value in places],
        [Tick(percent(value, levels), f"{value:.4g}") for value in levels],
    )


def means(points: Iterable[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """At most MOST_POINTS means of neighbours; a step that a resumed run has done again counts once, as it was last."""
    known = sorted({place: value for place, value in points if math.isfinite(value)}.items())
    groups: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for place, point in enumerate(known):
        groups[place * min(MOST_POINTS, len(known)) // len(known)].append(point)
    for group in groups.values():
        yield sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)


class TrainedScore(NamedTuple):
    label: str
    unit: str
    digits: int
    mean: float
    floor: float
    against: str  # what the floor is
    share: float  # percent of the images that are better than the floor
    is_better: bool


MEASURES = (
    ("psnr", "PSNR", " dB", 2), ("ssim", "SSIM", "", 3), ("psnr_exposed", "PSNR at one exposure", " dB", 2),
    ("ssim_exposed", "SSIM at one exposure", "", 3), ("lpips", "LPIPS", "", 3), ("clip_direction", "CLIP direction", "", 3),
    ("obedience", "Light from the side asked for", "", 2), ("face_distance", "Distance of faces", "", 3),
)  # fmt: skip
DISTANCES = ("LPIPS", "Distance of faces")


def scores_of(run: Run) -> list[TrainedScore]:
    """What the last evaluate step has measured; nothing where there is none."""
    for step in reversed(run.steps):
        evaluation = read_json(step.folder / "evaluation.json") if step.module == "evaluate" else {}
        if evaluation:
            return [
                score(label, unit, digits, evaluation[name])
                for name, label, unit, digits in MEASURES
                if name in evaluation
            ]
    return []


def score(label: str, unit: str, digits: int, evaluation: dict) -> TrainedScore:
    mean, floor = evaluation["mean"], evaluation["floor_mean"]
    is_better = mean < floor if label in DISTANCES else mean > floor
    against = "by chance" if label == "Light from the side asked for" else "identity floor"
    return TrainedScore(label, unit, digits, mean, floor, against, 100 * evaluation["share_above_floor"], is_better)
