"""The failures of a step, by what they say."""

import re
from collections import defaultdict

import numpy as np
import orjson

from shared.files.table import Table
from shared.reporting.rejects import MOST_READ, MOST_REASONS, Reason, Reject, Rejects
from shared.run.run import Step
from shared.seeding import name_hash

QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|“[^”]*”")
PATH = re.compile(r"(?<![\w.])(?:\.{0,2}/)[^\s:,;]+")
DIGITS = re.compile(r"\d[\d,.]*\d|\d")


def failures_of(step: Step) -> Rejects:
    """Those of one error class whose messages differ only in names and numbers have one reason."""
    total, failures = read_failures(step)
    groups: dict[tuple[str, str], list[dict]] = defaultdict(list)
    for failure in failures:
        groups[failure["error"], pattern(failure["message"])].append(failure)
    ranked = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    reasons = [reason(*name, members) for name, members in ranked[:MOST_REASONS]]
    if rare := [failure for _, members in ranked[MOST_REASONS:] for failure in members]:
        reasons.append(reason("", f"{len(ranked) - MOST_REASONS} other reasons", rare))
    return Rejects(step, "failed", total, len(failures), reasons)


def reason(error: str, message: str, members: list[dict]) -> Reason:
    """`message` has … for the items' names, and where the messages differ."""
    if len({member["message"] for member in members}) == 1:
        message = members[0]["message"]
    rejects = [Reject(member["row"], member["message"].removeprefix("… ")) for member in members]
    return Reason(message, len(members), rejects, error)


def read_failures(step: Step) -> tuple[int, list[dict]]:
    """How many failures a step has, and at most MOST_READ of them by their keys: key, error, message and input row."""
    sample = step.records.sample_failures(MOST_READ)
    failures = sorted(filter(None, map(read_failure, sample)), key=lambda failure: failure["key"])
    rows = rows_by_key(step, [failure["key"] for failure in failures])
    for failure in failures:
        row = rows.get(failure["key"], {"key": failure["key"]})
        failure["message"] = without_names(failure["message"], failure["key"], row.get("image_path"))
        failure["row"] = row | {name: str(step.folder / path) for name, path in failure.pop("pictures").items()}
    return step.records.count_failures(), failures


def read_failure(data: bytes) -> dict | None:
    """None for one that is torn, or was taken away for its next attempt meanwhile."""
    try:
        failure = orjson.loads(data)
        fields = {name: str(failure[name]) for name in ("key", "error", "message")}
        return fields | {"pictures": {name: failure[name] for name in ("thumbnail_path",) if name in failure}}
    except (ValueError, KeyError, TypeError):
        return None


def without_names(message: str, key: str, image_path: str | None) -> str:
    """The message with … for the item's own name, so that those of others read the same."""
    for own in (image_path, key):
        if own:
            message = message.replace(own, "…")
    return message


def pattern(message: str) -> str:
    """The message with … also for paths, quoted words and numbers."""
    return DIGITS.sub("…", PATH.sub("…", QUOTED.sub("…", message)))


def rows_by_key(step: Step, keys: list[str]) -> dict[str, dict]:
    """The step's input rows of some keys; without those that are no longer in the input."""
    table = Table(step.table_path)
    wanted = np.array([name_hash(key) for key in keys], np.uint64)
    return {row["key"]: row for row in (table[int(index)] for index in np.flatnonzero(np.isin(table.hashes, wanted)))}
