"""What did not get through a step, with pictures: failures by their reasons, and what was not selected."""

import csv
import heapq
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from shared.records import Records, json_files
from shared.reporting.profile import number
from shared.reporting.thumbnails import Thumbnail, in_threads, thumbnail
from shared.run import Step
from shared.table import Table, name_hash

MOST_READ = 5000  # rejects of a step that are read; of more, an even sample
MOST_REASONS = 10
EXAMPLES = 6  # of each reason
UNSELECTED = 12
SIDE = 160  # pixels
QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”")
PATH = re.compile(r"(?<![\w.])(?:\.{0,2}/)[^\s:,;]+")
NUMBER = re.compile(r"\d[\d,.]*\d|\d")


class Example(NamedTuple):
    key: str
    message: str
    picture: Thumbnail | None


@dataclass
class Reason:
    """Failures of one error class whose messages differ only in names and numbers."""

    error: str
    message: str  # with … for the items' names, and where the messages differ
    count: int
    examples: list[Example]


class Failures(NamedTuple):
    step: Step
    total: int
    read: int
    reasons: list[Reason]
    other_reasons: int


def failures_of(step: Step) -> Failures:
    """The failures of a step, most frequent reason first."""
    total, failures = read_failures(step)
    groups: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for failure in failures:
        groups[failure["error"], pattern(failure["message"])].append(failure)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    reasons = [reason(step, *name, members) for name, members in ranked[:MOST_REASONS]]
    return Failures(step, total, len(failures), reasons, len(ranked) - len(reasons))


def failed_of(step: Step) -> list[tuple[dict, str]]:
    """The input rows of the failures, of too many an even choice, each with what it failed with."""
    _, failures = read_failures(step)
    return [(failure["row"], failure["message"].removeprefix("… ")) for failure in failures]


def read_failures(step: Step) -> tuple[int, list[dict]]:
    """How many failures a step has, and at most MOST_READ of them by their keys: key, error, message and input row."""
    folder = Records(step.folder, step.worker.records_name).failures
    total = sum(1 for _ in json_files(folder))
    # The smallest of as good as random numbers: an even sample, the same in whatever order the folder is listed.
    paths = heapq.nsmallest(MOST_READ, json_files(folder), key=lambda path: name_hash(str(path.relative_to(folder))))
    failures = sorted(filter(None, map(read_failure, paths)), key=lambda failure: failure["key"])
    rows = rows_by_key(step, [failure["key"] for failure in failures])
    for failure in failures:
        failure["row"] = rows.get(failure["key"], {"key": failure["key"]})
        failure["message"] = without_names(failure["message"], failure["key"], failure["row"].get("image_path"))
    return total, failures


def reason(step: Step, error: str, message: str, members: list[dict]) -> Reason:
    is_one = len({member["message"] for member in members}) == 1

    def example(failure: dict) -> Example:
        said = "" if is_one else failure["message"].removeprefix("… ")
        return Example(failure["key"], said, picture_of(failure["row"], step))

    return Reason(
        error, members[0]["message"] if is_one else message, len(members), in_threads(example, members[:EXAMPLES])
    )


def picture_of(row: dict, step: Step) -> Thumbnail | None:
    return thumbnail(row, SIDE, step.run.folder) if row.get("image_path") else None


def without_names(message: str, key: str, image_path: str | None) -> str:
    """The message with … for the item's own name, so that those of others read the same."""
    for own in (image_path, key):
        if own:
            message = message.replace(own, "…")
    return message


def pattern(message: str) -> str:
    """The message with … also for paths, quoted words and numbers."""
    return NUMBER.sub("…", PATH.sub("…", QUOTED.sub("…", message)))


def read_failure(path: Path) -> dict | None:
    """None for one that is torn, or was taken away for its next attempt meanwhile."""
    try:
        failure = orjson.loads(path.read_bytes())
        return {name: str(failure[name]) for name in ("key", "error", "message")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def rows_by_key(step: Step, keys: list[str]) -> dict[str, dict]:
    """The step's input rows of some keys; without those that are no longer in the input."""
    table = Table(step.table_path)
    wanted = np.array([name_hash(key) for key in keys], np.uint64)
    return {row["key"]: row for row in (table[int(index)] for index in np.flatnonzero(np.isin(table.hashes, wanted)))}


def unselected_of(step: Step, cut: float | None) -> list[Example]:
    return in_threads(
        lambda found: Example(found[0]["key"], found[1], picture_of(found[0], step)),
        unselected_rows(step, cut, UNSELECTED),
    )


def unselected_rows(step: Step, cut: float | None, most: int = MOST_READ) -> list[tuple[dict, str]]:
    """Some items that the step has recorded and not passed on, with the reason: best score first, evenly over the input."""
    table, records = Table(step.table_path), Records(step.folder, step.worker.records_name)
    is_passed = np.isin(table.hashes, Table(step.result_path).hashes)
    is_failed = np.isin(table.hashes, records.name_hashes(records.failures))
    lost = np.flatnonzero(~is_passed & ~is_failed)
    places = np.linspace(0, len(lost) - 1, min(most, len(lost))).astype(int)
    found = [row | read_record(records, row["key"]) for row in (table[int(index)] for index in lost[places])]
    reasons = passed_over(step, {row["key"] for row in found})
    found = [row | reasons.get(row["key"], {}) for row in found]
    found.sort(key=lambda row: -np.nan_to_num(number(row.get("lighting_score"))))
    settings = step.settings | step.collect_settings
    return [(row, why_not(row, settings, cut)) for row in found]


def passed_over(step: Step, keys: set[str]) -> dict[str, dict]:
    """What the step's table of those that it passed over says of some keys."""
    path = step.folder / "passed_over.csv"
    if not path.exists():
        return {}
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return {row["key"]: {"passed_over": row["passed_over"]} for row in csv.DictReader(file) if row["key"] in keys}


def read_record(records: Records, key: str) -> dict:
    try:
        return records.read(key)
    except (OSError, ValueError):
        return {}


def why_not(row: dict, settings: dict, cut: float | None) -> str:
    """Why a step did not pass on a row, in words."""
    if row.get("passed_over"):
        return str(row["passed_over"])
    score = number(row.get("lighting_score"))
    if math.isnan(score):
        return "not selected"
    if settings.get("select") == "diverse":
        return f"score {score:.4f}; there are better ones of its kind of light"
    return f"score {score:.4f}" + (f", below the cut at {cut:.4f}" if cut is not None and score < cut else "")
