"""The filter's scores, and where it cut."""

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shared.files.small_files import read_json
from shared.files.table import Table
from shared.reporting.histograms import Histogram, bars_of
from shared.run.run import Run, Step
from shared.selection.choice import said_of


@dataclass
class Selection:
    """What the filter's scores are like, and where it cut."""

    step: Step
    scored: int
    kept: int
    cut: float | None  # the lowest score kept, where some have less and the score alone decides
    passed_over: int  # as good and not kept: near-duplicates, too small, ..., or equal to the last that was
    scores: Histogram
    said: list[str]  # what the filter said of its choice


def selection_of(run: Run) -> Selection | None:
    """None where no step has scored the photographs."""
    for step in run.steps:
        if step.module == "filter" and step.result_path.exists():
            kept = np.array(array("d", (row["lighting_score"] for row in Table(step.result_path))))
            scores = np.array(array("d", all_scores(step)) or kept)
            if not len(scores):
                return None
            chosen, shown = read_json(step.folder / "selection.json"), bars_of(scores, kept)
            said = said_of(chosen) if chosen else []
            if chosen.get("select") == "diverse":
                return Selection(step, len(scores), len(kept), None, 0, shown._replace(cut=None), said)
            cut = float(kept.min()) if 0 < len(kept) < len(scores) else None
            over = 0 if cut is None else int((scores >= cut).sum()) - len(kept)
            return Selection(step, len(scores), len(kept), cut, over, shown, said)
    return None


def all_scores(step: Step) -> Iterator[float]:
    """Also those that were not selected; none where the config does not want them saved."""
    path = step.folder / "all_scores.csv"
    if path.exists():
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield from (float(row["lighting_score"]) for row in csv.DictReader(file))
