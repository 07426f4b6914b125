"""A look at the input: its first items, how many there are, how large a photograph is."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.dataset import DatasetError, Source
from shared.doctor.finding import Finding, fail, ok

SECONDS_OF_READING = 3.0  # for counting
PROBED = 512  # items that a probe may try before it begins again with the first
MEASURED = 8  # photographs whose size is looked at


@dataclass
class Sample:
    items: list[dict] = field(default_factory=list)  # the first
    count: int = 0
    is_whole: bool = False  # all were counted
    error: str = ""
    pixels: int | None = None  # of a photograph, on the mean of the first; None where there is none to be read

    def check(self, source: Source) -> Iterator[Finding]:
        if self.error:
            yield fail(self.error)
            return
        number = f"{self.count}" if self.is_whole else f"more than {self.count}"
        noun = "item" if self.count == 1 else "items"
        yield ok(f"the input {source.path} can be read: {number} {noun}, the first is {self.items[0]['key']}")


def take_sample(source: Source, at_most: int | None = None, seconds: float | None = None) -> Sample:
    """Read on for some seconds; `at_most` is TEST_CUTDOWN."""
    sample, end = Sample(), time.monotonic() + (SECONDS_OF_READING if seconds is None else seconds)
    try:
        for item in source.items():
            if len(sample.items) < PROBED:
                sample.items.append(item)
            sample.count += 1
            if sample.count == at_most:
                break
            if time.monotonic() > end:
                return sample
        sample.is_whole = True
    except DatasetError as error:
        sample.error = str(error)
    finally:
        sample.pixels = mean_pixels(sample.items[:MEASURED])
    return sample


def mean_pixels(items: list[dict]) -> int | None:
    """A photograph that cannot be read says nothing."""
    from shared.images import open_image

    areas = []
    for item in items:
        try:
            width, height = open_image(item, longest_side=64).info["full_size"]
            areas.append(width * height)
        except (KeyError, ValueError):
            continue
    return sum(areas) // len(areas) if areas else None
