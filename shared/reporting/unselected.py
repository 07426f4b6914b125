"""What a step has looked at and not passed on, by the reason."""

import csv
import heapq
import math
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from shared.files.records import Records
from shared.files.table import Table
from shared.reporting.failures import pattern, rows_by_key
from shared.reporting.funnel import FunnelStage
from shared.reporting.profile import count_of
from shared.reporting.rejects import MOST_READ, Reason, Reject, Rejects
from shared.run.run import Step
from shared.seeding import name_hash


class Said(NamedTuple):
    """What the step's table of those that it passes over says of an item."""

    key: str
    reason: str
    sentence: str


def unselected_of(stage: FunnelStage, cut: float | None) -> Rejects:
    """Those that the step passes over whatever their score, then the others, whose reason is told from their records."""
    step, table = stage.step, Table(stage.step.table_path)
    records = step.records
    counts, chosen, hashes = passed_over(step)
    is_settled = np.isin(table.hashes, np.concatenate([Table(step.result_path).hashes, hashes]))
    if step.worker.has_records:
        is_settled |= np.isin(table.hashes, records.failure_hashes())
    others = np.flatnonzero(~is_settled)
    share = MOST_READ // (len(counts) + bool(len(others)) or 1)
    reasons = []
    for reason, count in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])):
        smallest = sorted(chosen[reason], reverse=True)[:share]
        reasons.append(Reason(reason, count, rejects(step, records, [said for _, said in smallest])))
    places = others[np.linspace(0, len(others) - 1, min(share, len(others))).astype(int)]
    reasons += not_kept(
        step, [row | read_record(records, row["key"]) for row in (table[int(place)] for place in places)], cut
    )
    if len(reasons) == len(counts) + 1:
        reasons[-1].count = len(others)
    return Rejects(step, "dropped", stage.lost("dropped"), sum(reason.count for reason in reasons), reasons)


def not_kept(step: Step, rows: list[dict], cut: float | None) -> list[Reason]:
    """The rows with what their records say, best score first, by the reason why they were not kept."""
    groups: dict[str, list[Reject]] = defaultdict(list)
    settings = step.settings | step.collect_settings
    for row in sorted(rows, key=lambda row: -np.nan_to_num(count_of(row.get("lighting_score")))):
        reason, sentence = why_not(row, settings, cut)
        groups[reason].append(Reject(row, sentence))
    return [Reason(reason, len(members), members) for reason, members in groups.items()]


def passed_over(step: Step) -> tuple[Counter[str], dict[str, list[tuple[int, Said]]], np.ndarray]:
    """Of passed_over.csv: how many have each reason, an even choice of each, and the hashes of all keys."""
    counts: Counter[str] = Counter()
    chosen: dict[str, list[tuple[int, Said]]] = defaultdict(list)
    hashes = array("Q")
    for said in said_in(step):
        counts[said.reason] += 1
        hashes.append(name_hash(said.key))
        heap, entry = chosen[said.reason], (-hashes[-1], said)  # the smallest hashes: an even choice in whatever order
        if len(heap) < MOST_READ:
            heapq.heappush(heap, entry)
        else:
            heapq.heappushpop(heap, entry)
    return counts, chosen, np.frombuffer(hashes, np.uint64) if hashes else np.zeros(0, np.uint64)


def said_in(step: Step) -> Iterator[Said]:
    path = step.folder / "passed_over.csv"
    if path.exists():
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            yield from (
                Said(row["key"], row.get("reason") or "passed over", row["passed_over"]) for row in csv.DictReader(file)
            )


def rejects(step: Step, records: Records, chosen: list[Said]) -> list[Reject]:
    """Best score first."""
    rows = rows_by_key(step, [said.key for said in chosen])
    shown = [
        Reject(rows[said.key] | read_record(records, said.key), said.sentence) for said in chosen if said.key in rows
    ]
    return sorted(shown, key=lambda reject: -np.nan_to_num(count_of(reject.row.get("lighting_score"))))


def read_record(records: Records, key: str) -> dict:
    try:
        return records.read(key)
    except (OSError, ValueError):
        return {}


def why_not(row: dict, settings: dict, cut: float | None) -> tuple[str, str]:
    """Why a step did not pass on a row: in a word or two, and in a sentence."""
    if row.get("passed_over"):
        return pattern(str(row["passed_over"])), str(row["passed_over"])
    score = count_of(row.get("lighting_score"))
    if math.isnan(score):
        return "not selected", "not selected"
    if settings.get("select") == "diverse":
        better = "there are better ones of its kind of light"
        return better, f"score {score:.4f}; {better}"
    if cut is None or score >= cut:
        return "not selected", f"score {score:.4f}"
    return f"below the cut at {cut:.4f}", f"score {score:.4f}, below the cut at {cut:.4f}"
