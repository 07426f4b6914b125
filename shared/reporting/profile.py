"""What a run's rows are like as a whole: one pass over the table."""

import math
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from shared.light.words import meaning
from shared.reporting.histograms import Histogram, bars_of, kelvin_histogram
from shared.seeding import name_hash
from shared.splits import SPLITS

MOST_PHRASES = 200_000  # different ones that are counted at once; beyond, the rare ones are let go
SHOWN_PHRASES = 24
LIGHT_KEYS = ("low", "mid", "high")
SPENT = {
    "questions": "asked", "prompt_tokens": "prompt_tokens", "completion_tokens": "completion_tokens", "dollars": "cost",
}  # fmt: skip


CHANGES = ("subject_psnr", "subject_ssim", "turned_degrees")  # fields that say how strong the change of the light is
PROFILED = {
    "psnr", "ssim", "psnr_floor", "ssim_floor", "light", "lighting_keywords", *SPENT.values(), *CHANGES,
}  # fmt: skip


@dataclass(frozen=True)
class LightShare:
    label: str
    count: int
    percent: float  # of all
    height: float  # percent of the most frequent


class Profile:
    """One pass over the rows: 9 bytes a row for each quantity, and counts."""

    def __init__(self, rows: Iterable[dict]):
        self.scores, self.splits = array("d"), array("b")
        self.gains = array("d")
        self.psnr, self.ssim, self.kelvin, self.hardness = array("d"), array("d"), array("d"), array("d")
        self.changes = {name: array("d") for name in CHANGES}
        self.directions: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.phrases: Counter[str] = Counter()
        self.wordings = array("Q")
        self.questions = self.prompt_tokens = self.completion_tokens = 0
        self.dollars = 0.0
        for row in rows:
            self.add(row)

    def add(self, row: dict) -> None:
        self.scores.append(count_of(row.get("lighting_score")))
        self.splits.append(SPLITS.index(row["split"]) if row.get("split") in SPLITS else -1)
        self.gains.append(count_of(row.get("psnr_gain")))
        if not PROFILED.isdisjoint(row):
            self._add_measured(row)

    def _add_measured(self, row: dict) -> None:
        # Of what a model has relit, psnr is that of its answer; here the identity floor is gathered.
        floors = (row.get("psnr_floor", row.get("psnr")), row.get("ssim_floor", row.get("ssim")))
        for values, value in zip((self.psnr, self.ssim), floors, strict=True):
            if not math.isnan(count_of(value)):
                values.append(count_of(value))
        for name, values in self.changes.items():
            if not math.isnan(count_of(row.get(name))):
                values.append(count_of(row.get(name)))
        light = row.get("light")
        if isinstance(light, dict):
            self.directions[light.get("direction") or "not told"] += 1
            self.keys[str(light.get("key"))] += 1
            for values, value in ((self.kelvin, light.get("cct_kelvin")), (self.hardness, light.get("hardness"))):
                if not math.isnan(count_of(value)):
                    values.append(count_of(value))
        for name, field in SPENT.items():  # by a captioner that asked a model
            if not math.isnan(spent := count_of(row.get(field))):
                setattr(self, name, getattr(self, name) + type(getattr(self, name))(spent))
        keywords = row.get("lighting_keywords")
        if isinstance(keywords, str) and keywords.strip():
            self.wordings.append(name_hash(meaning(keywords)))
            self.phrases.update(phrase for part in keywords.split(",") if (phrase := " ".join(part.split())[:80]))
            if len(self.phrases) > MOST_PHRASES:
                self.phrases = Counter(dict(self.phrases.most_common(MOST_PHRASES // 2)))

    @property
    def known_gains(self) -> np.ndarray:
        """How much nearer to its target a model has brought each image, in dB of PSNR; none where nothing was evaluated."""
        gains = np.array(self.gains)
        return gains[~np.isnan(gains)]

    @property
    def split_counts(self) -> dict[str, int]:
        counts = np.bincount(np.frombuffer(self.splits, np.int8) + 1, minlength=4) if self.splits else np.zeros(4)
        return dict(zip(SPLITS, map(int, counts[1:]), strict=True))

    @property
    def different_wordings(self) -> int:
        return len(np.unique(np.frombuffer(self.wordings, np.uint64))) if self.wordings else 0

    def frequent_phrases(self) -> list[LightShare]:
        """The most frequent ones; equal counts by the alphabet, so that the order says nothing about the machine."""
        ranked = sorted(self.phrases.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN_PHRASES]
        return shares(dict(ranked), len(self.wordings))


def count_of(value: object) -> float:
    if value is None:
        return math.nan
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number else math.nan  # type: ignore[arg-type]


def shares(counts: dict[str, int], total: int) -> list[LightShare]:
    highest = max([1, *counts.values()])
    return [
        LightShare(label, count, 100 * count / max(total, 1), 100 * count / highest) for label, count in counts.items()
    ]


@dataclass
class LightCharts:
    directions: dict[str, LightShare]
    told: int  # items whose light's direction was told
    kelvin: Histogram | None
    keys: list[LightShare]
    hardness: Histogram | None
    total: int


def light_of(profile: Profile) -> LightCharts | None:
    """None where no step has measured the light."""
    total = sum(profile.directions.values())
    if not total:
        return None
    counts = {key: profile.keys[key] for key in LIGHT_KEYS}
    told = {word: count for word, count in profile.directions.items() if word != "not told"}
    return LightCharts(
        {share.label: share for share in shares(told, total)},
        sum(told.values()),
        kelvin_histogram(profile.kelvin) if profile.kelvin else None,
        shares(counts, total),
        bars_of(np.array(profile.hardness), limits=(0.0, 1.0)) if profile.hardness else None,
        total,
    )
