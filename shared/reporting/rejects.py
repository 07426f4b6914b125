"""What did not get through a step, by the reason, with pictures of some of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from shared.reporting.thumbnails import LARGEST_THUMBNAIL, Thumbnail, in_threads, thumbnail
from shared.run.run import Step

MOST_READ = 5000  # rejects of a step that are read; of more, an even choice
MOST_REASONS = 10  # of failures; the rarer ones are one more
EXAMPLES = 8  # of each reason
REJECT_SIDE = 160  # pixels of an example
LONGEST_NAME = 70  # letters of a reason where it is one choice of many


class Reject(NamedTuple):
    """The row of an item as far as it came, and what was said of it."""

    row: dict
    said: str


@dataclass
class Reason:
    message: str
    count: int  # of those that were read
    rejects: list[Reject]
    error: str = ""  # the class of a failure

    @property
    def name(self) -> str:
        text = self.message.removeprefix("… ")
        return text if len(text) <= LONGEST_NAME else text[: LONGEST_NAME - 1] + "…"


@dataclass
class Rejects:
    """All that one step did not pass on, most frequent reason first: what failed, or what it did not select."""

    step: Step
    kind: Literal["failed", "dropped"]
    total: int
    read: int  # of so many the reasons are told
    reasons: list[Reason]

    @property
    def title(self) -> str:
        return f"{'failed in' if self.kind == 'failed' else 'not selected by'} {self.step.label}"

    def state(self, reason: Reason) -> str:
        """What the gallery calls the items of a reason."""
        return f"{self.title}: {reason.name}"


class Example(NamedTuple):
    key: str
    message: str
    picture: Thumbnail | None
    is_pair: bool  # the photograph and what was made of it, side by side


def examples_of(step: Step, reason: Reason) -> list[Example]:
    """Some of a reason's rejects, from the first to the last."""
    has_one_message = len({reject.said for reject in reason.rejects}) == 1

    def example(reject: Reject) -> Example:
        message = "" if has_one_message else reject.said
        return Example(reject.row["key"], message, reject_picture(reject.row, step), "thumbnail_path" in reject.row)

    return in_threads(example, spread_out(reason.rejects, EXAMPLES))


def reject_picture(row: dict, step: Step) -> Thumbnail | None:
    if strip := row.get("thumbnail_path"):
        return thumbnail(Path(strip), LARGEST_THUMBNAIL, step.run.folder)
    return thumbnail(row, REJECT_SIDE, step.run.folder) if row.get("image_path") else None


def spread_out(rejects: Sequence[Reject], most: int) -> list[Reject]:
    places = np.linspace(0, len(rejects) - 1, min(most, len(rejects))).astype(int)
    return [rejects[int(place)] for place in places]
