"""What is not kept whatever its score: no photograph, too small, blurred, with or without faces, or there already."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from shared.selection.measured import Measured
from shared.selection.scoring import graphics

if TYPE_CHECKING:
    from shared.files.table import Table

PASSED_OVER_COLUMNS = {name: name for name in ("key", "image_path", "lighting_score", "reason", "passed_over")}
SMALL, BLURRED, FACES, DUPLICATE, NO_PHOTOGRAPH = 1, 2, 3, 4, 5
REASONS = {
    NO_PHOTOGRAPH: "no photographs",
    SMALL: "too small",
    BLURRED: "not sharp",
    FACES: "faces",
    DUPLICATE: "near-duplicates",
}
# In the words of the sentence that says why.
SAID_OF_KIND = {
    graphics.GRAPHICS: "drawn, written or a screenshot: most of it is even, in a few colours",
    graphics.PLAIN: "one plain colour",
}


class Limits(NamedTuple):
    """What a photograph must be to be kept."""

    min_size: int
    min_sharpness: float
    faces: Literal["any", "require", "none"]
    duplicates: Literal["once", "all"]
    graphics: Literal["pass_over", "keep"] = "pass_over"


class PassedOver(NamedTuple):
    """Why each of n rows is passed over (0: it is not), and which rows show the same picture."""

    reasons: np.ndarray  # (n,) int8
    groups: np.ndarray  # (n,) int64: the first row of each one's group of near-duplicates, its own where it is alone
    limits: Limits

    @classmethod
    def of(cls, measured: Measured, everything: np.ndarray, limits: Limits) -> "PassedOver":
        """`everything`: (n,) indices, best first; of near-duplicates the largest is kept, of equal ones the best."""
        from shared.selection.duplicates import near_duplicate_groups

        reasons = np.zeros(len(everything), dtype=np.int8)
        if limits.faces != "any":
            reasons[(measured.faces > 0) != (limits.faces == "require")] = FACES
        reasons[measured.sharpness < limits.min_sharpness] = BLURRED
        reasons[measured.shorter_sides < limits.min_size] = SMALL
        if limits.graphics == "pass_over":
            reasons[~measured.is_photograph] = NO_PHOTOGRAPH
        ranking = everything[reasons[everything] == 0]
        groups = np.arange(len(everything))
        # Groups are told by places in this order, so that the first of a group is the one to keep.
        pixels = measured.shorter_sides.astype(np.int64) * measured.longer_sides
        ordered = ranking[np.argsort(-pixels[ranking], kind="stable")]
        columns = (measured.hashes, measured.mirrored, measured.fine)
        first = ordered[near_duplicate_groups(*(column[ordered] for column in columns))]
        groups[ordered] = first
        if limits.duplicates == "once":
            reasons[ordered[first != ordered]] = DUPLICATE
        return cls(reasons, groups, limits)

    def counts(self) -> dict[str, int]:
        """How many are passed over for each reason; only reasons that there are."""
        of_reason = np.bincount(self.reasons, minlength=len(REASONS) + 1).tolist()
        return {words: of_reason[reason] for reason, words in REASONS.items() if of_reason[reason]}

    def rows(self, rows: "Table", everything: np.ndarray) -> Iterator[dict]:
        """The rows that are passed over, best first, each with the kind of `reason`, and `passed_over`, a sentence."""
        for index in everything[self.reasons[everything] > 0].tolist():
            row = rows[index]
            reason = REASONS[int(self.reasons[index])]
            yield {**row, "reason": reason, "passed_over": self._sentence(row, index, rows)}

    def _sentence(self, row: dict, index: int, rows: "Table") -> str:
        reason = self.reasons[index]
        if reason == NO_PHOTOGRAPH:
            return f"it is no photograph but {SAID_OF_KIND[row['picture']]}"
        if reason == SMALL:
            side = min(row["width"], row["height"])
            return f"its shorter side has {side} pixels; min_size is {self.limits.min_size}"
        if reason == BLURRED:
            return f"its sharpness is {row['sharpness']:.2f}; min_sharpness is {self.limits.min_sharpness:g}"
        if reason == FACES:
            words = "a face was found in it" if row["faces"] else "no face was found in it"
            return f"{words}; faces is {self.limits.faces}"
        return f"near-duplicate of {rows[int(self.groups[index])]['key']}"
