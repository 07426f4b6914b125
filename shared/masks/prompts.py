"""Where SAM 2 is told to look: boxes and points, from a file or from the faces in a photograph."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.errors import ConfigError

BOX, POINT = ("x0", "y0", "x1", "y1"), ("x", "y")


class Prompt(NamedTuple):
    """What points at one thing, in pixels of the upright photograph: a box, points, or a box and points in it."""

    box: tuple[float, float, float, float] | None = None  # left, top, right, bottom
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()  # 1: this belongs to it, 0: this does not

    def scaled(self, across: float, down: float) -> "Prompt":
        """The same in a photograph of another size."""
        box = None if self.box is None else tuple(v * f for v, f in zip(self.box, (across, down) * 2, strict=True))
        return Prompt(box, tuple((x * across, y * down) for x, y in self.points), self.labels)  # type: ignore[arg-type]

    def check(self, height: int, width: int) -> None:
        """Raise ValueError when this points outside a photograph of that size."""
        places = [*self.points, *([self.box[:2], self.box[2:]] if self.box else [])]
        if any(not (0 <= x <= width and 0 <= y <= height) for x, y in places):
            raise ValueError(
                f"the prompt {self.shown()} lies outside the photograph, which is {width} x {height} pixels"
            )

    def shown(self) -> str:
        return json.dumps(self.box or self.points)


def read_prompts(path: Path) -> dict[str, list[Prompt]]:
    """The prompts of each key in a JSONL or CSV file.

    JSONL: {"key": ..., "boxes": [[x0, y0, x1, y1], ...]} has one thing in each box; {"key": ..., "points": [[x, y],
    ...], "labels": [1, 0, ...]} has one thing at all its points, and may have one box around them. CSV: the columns key
    and x0, y0, x1, y1 (a box a row) or x, y and label (a point a row). Raises ConfigError, naming the line.
    """
    rows = separated_rows if path.suffix.lower() in (".csv", ".tsv") else json_rows
    prompts: dict[str, list[Prompt]] = {}
    try:
        for number, key, prompt in rows(path):
            if not isinstance(key, str) or not key:
                raise ConfigError(f"{path} line {number} has no key; it names the photograph")
            prompts.setdefault(key, []).extend(prompt)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"prompt_file {path} cannot be read: {error}") from None
    if not prompts:
        raise ConfigError(f"prompt_file {path} is empty; it should hold a line for each photograph")
    return prompts


def json_rows(path: Path) -> Iterator[tuple[int, Any, list[Prompt]]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                boxes, points = row.get("boxes") or [], row.get("points") or []
                labels = row.get("labels") or [1] * len(points)
                yield number, row.get("key"), prompts_of(boxes, points, labels)
            except (ValueError, TypeError, AttributeError) as error:
                raise ConfigError(f"{path} line {number} is no prompt: {error}") from None


def separated_rows(path: Path) -> Iterator[tuple[int, Any, list[Prompt]]]:
    """Boxes as they come; the points of a key are one thing, however its rows lie."""
    points: dict[str, list[tuple[int, list, Any]]] = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        for row in reader:
            number = reader.line_num
            try:
                if all(row.get(name) for name in BOX):
                    yield number, row.get("key"), prompts_of([[row[name] for name in BOX]], [], [])
                elif all(row.get(name) for name in POINT):
                    place = [row[name] for name in POINT]
                    points.setdefault(row.get("key") or "", []).append((number, place, row.get("label") or 1))
                else:
                    raise ValueError("it should have x0, y0, x1, y1 or x, y")
            except (ValueError, TypeError) as error:
                raise ConfigError(f"{path} line {number} is no prompt: {error}") from None
    for key, places in points.items():
        try:
            yield places[0][0], key, prompts_of([], [place for _, place, _ in places], [label for *_, label in places])
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path} line {places[0][0]} is no prompt: {error}") from None


def prompts_of(boxes: list, points: list, labels: list) -> list[Prompt]:
    """Checked prompts of one row. Raises ValueError."""
    checked_boxes = [checked_box(box) for box in boxes]
    places = tuple((number(x), number(y)) for x, y in points)
    signs = tuple(int(label) for label in labels)
    if len(signs) != len(places) or set(signs) - {0, 1}:
        raise ValueError(f"labels are {labels}; there should be a 1 or a 0 for each of the {len(places)} points")
    if places and len(checked_boxes) > 1:
        raise ValueError("it has several boxes and points; points may stand alone or with one box")
    if places:
        return [Prompt(checked_boxes[0] if checked_boxes else None, places, signs)]
    if not checked_boxes:
        raise ValueError("it has neither boxes nor points")
    return [Prompt(box) for box in checked_boxes]


def checked_box(box: Any) -> tuple[float, float, float, float]:
    left, top, right, bottom = (number(value) for value in box)
    if left >= right or top >= bottom:
        raise ValueError(f"the box {list(box)} should be left, top, right, bottom, with left < right and top < bottom")
    return left, top, right, bottom


def number(value: Any) -> float:
    value_read = float(value)
    if not math.isfinite(value_read):
        raise ValueError(f"{value!r} is no place in a photograph")
    return value_read


def prompts_of_faces(photograph: np.ndarray) -> list[Prompt]:
    """A box for the person under each face in a uint8 RGB photograph (HxWx3), with a point on the face."""
    from shared.masks.detectors import find_faces
    from shared.masks.person import person_around

    height, width = photograph.shape[:2]
    prompts = []
    for face in find_faces(photograph):
        person = person_around(face)
        box = (
            max(0.0, person.left),
            max(0.0, person.top),
            min(float(width), person.right),
            min(float(height), person.bottom),
        )
        middle = (face.left + face.right) / 2, (face.top + face.bottom) / 2
        prompts.append(Prompt(box, ((min(max(middle[0], 0.0), width), min(max(middle[1], 0.0), height)),), (1,)))
    return prompts
