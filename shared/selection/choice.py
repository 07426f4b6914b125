"""Which of the scored photographs are kept, and in numbers what that choice is like."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from shared.selection.kinds import choose_diverse, entropy, kinds_of
from shared.selection.measured import Measured
from shared.selection.passed_over import Limits, PassedOver
from shared.selection.ranking import rank

if TYPE_CHECKING:
    from shared.files.table import Table

Select = Literal["top", "diverse"]


class Choice(NamedTuple):
    """Indices of rows, best first: of all that are scored, of those that may be kept, and of those that are."""

    measured: Measured
    everything: np.ndarray
    passed_over: PassedOver
    ranking: np.ndarray
    kept: np.ndarray
    select: Select

    @classmethod
    def of(cls, rows: "Table", limits: Limits, select: Select, count: int, share: float = 1.0) -> "Choice":
        """`count` and `share`, of what may be kept, are both upper bounds; of a few photographs a share keeps one at least."""
        measured = Measured.of(rows)
        everything = rank(measured.scores, lambda index: rows[index]["key"])
        passed_over = PassedOver.of(measured, everything, limits)
        ranking = everything[passed_over.reasons[everything] == 0]
        count = min(count, max(1, round(share * len(ranking))))
        kept = ranking[:count]
        if select == "diverse":
            kept = ranking[choose_diverse(kinds_of(measured.light)[ranking], count)]
        return cls(measured, everything, passed_over, ranking, kept, select)

    @property
    def is_kept(self) -> np.ndarray:
        """(rows,) bool."""
        kept = np.zeros(len(self.everything), dtype=bool)
        kept[self.kept] = True
        return kept

    @property
    def kept_first(self) -> np.ndarray:
        """The ranking with those that are kept before the others."""
        return np.concatenate([self.kept, self.ranking[~self.is_kept[self.ranking]]])

    def numbers(self) -> dict[str, Any]:
        """How many, why the others are not kept, and how varied the light is: entropy in bits over the kinds of light."""
        summary: dict[str, Any] = {
            "select": self.select,
            "scored": len(self.everything),
            "passed_over": self.passed_over.counts(),
            "pool": len(self.ranking),
            "kept": len(self.kept),
        }
        if self.measured.light.is_measured[self.ranking].any():
            kinds = kinds_of(self.measured.light)
            parts = {"pool": self.ranking, "kept": self.kept, "top": self.ranking[: len(self.kept)]}
            summary["kinds_of_light"] = {name: len(np.unique(kinds[part])) for name, part in parts.items()}
            summary["entropy_bits"] = {name: round(entropy(kinds[part]), 4) for name, part in parts.items()}
            scores = self.measured.scores
            summary["mean_score"] = {
                name: round(float(scores[part].mean()), 6) if len(part) else None for name, part in parts.items()
            }
        return summary


def said_of(numbers: dict[str, Any]) -> list[str]:
    """The numbers of a choice in sentences for a person."""
    said = []
    if numbers["passed_over"]:
        said.append("passed over: " + ", ".join(f"{count:,} {why}" for why, count in numbers["passed_over"].items()))
    if numbers["select"] == "diverse" and "entropy_bits" in numbers:
        bits, kinds, mean = numbers["entropy_bits"], numbers["kinds_of_light"], numbers["mean_score"]
        share = f" ({bits['kept'] / bits['pool']:.0%})" if bits["pool"] else ""
        said.append(
            f"variety of light: {bits['kept']:.2f} of the pool's {bits['pool']:.2f} bits{share}, {kinds['kept']} of "
            f"{kinds['pool']} kinds; the best by score alone would have {bits['top']:.2f} bits and {kinds['top']} kinds, "
            f"and a mean score of {mean['top']:.3f} instead of {mean['kept']:.3f}"
        )
    return said
