"""Looking at every triplet before days of training: do the images decode, do they fit, is there an instruction."""

import hashlib
import sys
import time
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from shared.dataset import DatasetError
from shared.errors import ImageError
from shared.images import image_of, open_image
from shared.light.alignment import alignment
from shared.light.fidelity import HIGHEST_PSNR, psnr
from shared.loop.in_order import in_order
from shared.loop.progress import clock
from shared.seeding import name_hash
from shared.triplets.triplet_sets import IMAGES, TripletSet, find_triplets

FAULTY = 1
MOST_MOVED = 1.0  # px, by a shift, or by a zoom at the end of the longest side
SECONDS_BETWEEN_COUNTS = 10


class SeenTriplets(NamedTuple):
    """What one triplet is like; the hashes are of the pixels and the words, 0 where an image cannot be read."""

    key: str
    split: str
    faults: list[str]
    size: tuple[int, int] = (0, 0)
    triplet: int = 0
    target: int = 0
    floor: float = 0.0  # PSNR of the input against the edited image, in dB


class Split:
    """The counts of one split, and a few numbers for each of its triplets to find what is there twice."""

    def __init__(self) -> None:
        self.triplets = self.faulty = 0
        self.sides: list[int] = []  # the smallest and the largest side
        self.floors = array("d")
        self.numbers, self.keys, self.same, self.targets = array("Q"), array("Q"), array("Q"), array("Q")

    def add(self, seen: SeenTriplets) -> None:
        self.triplets += 1
        self.faulty += bool(seen.faults)
        self.keys.append(name_hash(seen.key))
        if seen.target:
            self.sides = [min([*self.sides, *seen.size]), max([*self.sides, *seen.size])]
            self.floors.append(seen.floor)
            self.numbers.append(self.triplets)
            self.same.append(seen.triplet)
            self.targets.append(seen.target)


def validate_folder(folder: Path, metadata_file: str | None, say: Callable[[str], None]) -> int:
    """Decode every image of every split in `folder`; say each fault in one sentence, then a table of the splits.

    Returns 0 when all is well, 1 when anything is not. Raises RunError where there are no triplets to look at.
    """
    faults = total = 0
    rows = []
    for one in find_triplets(folder, metadata_file):
        splits: dict[str, Split] = defaultdict(Split)
        place = str(one.path.relative_to(folder)) if one.path != folder else folder.name
        for sentence in faults_of(one, splits, f"{place}: ", say):
            say(f"{place}: {sentence}")
            faults += 1
        total += sum(split.triplets for split in splits.values())
        rows += [(place, name, split) for name, split in splits.items()]
    print_table(rows)
    if not total:
        say(f"{folder} has no triplets")
        return FAULTY
    say(f"{total} triplets, " + (f"{faults} faults" if faults else "nothing is wrong"))
    return FAULTY if faults else 0


def faults_of(one: TripletSet, splits: dict[str, Split], place: str, say: Callable[[str], None]) -> Iterator[str]:
    """Every fault of a set, in the order of its triplets; `splits` are filled on the way."""
    yield from one.faults()
    progress = CheckProgress(place, say)
    count = 0
    try:
        for seen in in_order(lambda item: look_at(item, one.columns[1]), one.items()):
            count += 1
            splits[seen.split].add(seen)
            for fault in seen.faults:
                progress.clear()
                yield f"{seen.split}: {seen.key}: {fault}"
            progress.show(count, sum(split.faulty for split in splits.values()))
    except DatasetError as error:
        progress.clear()
        yield str(error)
    progress.clear()
    stated = one.stated()
    if stated not in (None, count):
        yield f"stats.json tells of {stated} triplets, and there are {count}"
    yield from doubled(splits, one.has_keys)


def look_at(item: dict, instruction: str) -> SeenTriplets:
    """Decode both images of a triplet."""
    key, split, faults = item["key"], item["split"], []
    words = item.get(instruction)
    if not isinstance(words, str) or not words.strip():
        faults.append("it has no instruction")
    elif words.startswith("ERROR:"):
        faults.append(f"its instruction is an error: {words[:80]}")
    if "unreadable" in item:
        return SeenTriplets(key, split, [*faults, item["unreadable"]])
    images: list[Image.Image] = []
    for field in IMAGES:
        try:
            images.append(open_image(image_of(item, field)))
        except (ImageError, DatasetError) as error:
            faults.append(str(error))
    if len(images) < len(IMAGES):
        return SeenTriplets(key, split, faults)
    source, target = images
    if source.size != target.size:
        sizes = [f"{image.width} x {image.height}" for image in images]
        faults.append(f"its input has {sizes[0]} pixels and its edited image {sizes[1]}")
    floor = 0.0
    if source.size == target.size:
        before, after = (np.asarray(image.convert("RGB")) for image in images)
        floor = psnr(before, after)
        faults += moved(before, after, floor)
    shown = pixels_hash(target)
    triplet = hashlib.blake2b(f"{pixels_hash(source)} {shown} {words}".encode("utf-8", "surrogatepass"), digest_size=8)
    return SeenTriplets(key, split, faults, target.size, int.from_bytes(triplet.digest(), "big"), shown, floor)


def moved(before: np.ndarray, after: np.ndarray, floor: float) -> Iterator[str]:
    """A model learns from each pair where its pixels go: nowhere."""
    if floor >= HIGHEST_PSNR:
        yield "its input is its edited image, so that there is nothing to learn"
    elif (found := alignment(before, after)) is not None:
        stretched = abs(found.zoom - 1) * max(before.shape[:2]) / 2
        parts = [f"lies {found.pixels:.1f} pixels beside its input"] if found.pixels > MOST_MOVED else []
        parts += [f"is {found.zoom:.3f} times as large as it"] if stretched > MOST_MOVED else []
        if parts:
            yield f"what its edited image shows {' and '.join(parts)}; a model would learn to move pixels"


def pixels_hash(image: Image.Image) -> int:
    digest = hashlib.blake2b(image.tobytes(), digest_size=8, key=f"{image.size}".encode())
    return int.from_bytes(digest.digest(), "big") or 1


def doubled(splits: dict[str, Split], has_keys: bool) -> Iterator[str]:
    """Triplets that are there twice, and photographs that are learned in one split and tested in another."""
    for name, split in splits.items():
        for first, second in pairs(np.array(split.same)):
            yield f"{name}: the triplets {split.numbers[first]} and {split.numbers[second]} are the same"
    for one, other in combinations(splits, 2):
        targets = np.array(splits[one].targets), np.array(splits[other].targets)
        _, places, twins = np.intersect1d(targets[0], targets[1], return_indices=True)
        for place, twin in zip(places, twins, strict=True):
            numbers = splits[one].numbers[place], splits[other].numbers[twin]
            yield f"the edited image of triplet {numbers[0]} of {one} is that of triplet {numbers[1]} of {other} too"
    if has_keys and splits:
        ends = np.cumsum([split.triplets for split in splits.values()])
        for positions in pairs(np.concatenate([np.array(split.keys) for split in splits.values()])):
            named = [place_of_triplet(position, splits, ends) for position in positions]
            yield f"{named[0]} and {named[1]} have the same key"


def place_of_triplet(position: int, splits: dict[str, Split], ends: np.ndarray) -> str:
    """Where the triplet lies that is the position-th of all (from 0); `ends`: where each split ends."""
    name, end = list(zip(splits, ends, strict=True))[int(np.searchsorted(ends, position, side="right"))]
    return f"triplet {position + splits[name].triplets - end + 1} of {name}"


def pairs(hashes: np.ndarray) -> Iterator[tuple[int, int]]:
    """Positions of neighbours among those with equal hashes."""
    order = np.argsort(hashes, kind="stable")
    ranked = hashes[order]
    for place in np.flatnonzero(ranked[1:] == ranked[:-1]):
        yield int(order[place]), int(order[place + 1])


def print_table(rows: list[tuple[str, str, Split]]) -> None:
    width = max([len("set"), *(len(place) for place, _, _ in rows)])
    print(f"{'set':{width}}  split     triplets    faulty  sides in pixels  input against edited image")
    for place, name, split in rows:
        sides = f"{split.sides[0]} to {split.sides[1]}" if split.sides else "-"
        floor = f"PSNR {np.median(split.floors):.1f} dB in the median" if split.floors else "-"
        print(f"{place:{width}}  {name:8}{split.triplets:10}{split.faulty:10}  {sides:15}  {floor}", flush=True)


class CheckProgress:
    """A line that is written over in a terminal, else one in ten seconds."""

    def __init__(self, place: str, say: Callable[[str], None]) -> None:
        self.place, self.say = place, say
        self.started = self.last = time.monotonic()
        self.is_terminal = sys.stdout.isatty()
        self.is_shown = False

    def show(self, count: int, faulty: int) -> None:
        now = time.monotonic()
        if now - self.last < (0.2 if self.is_terminal else SECONDS_BETWEEN_COUNTS):
            return
        self.last = now
        seconds = now - self.started
        line = f"{self.place}{count} triplets in {clock(seconds)}, {faulty} faulty, {count / seconds:.1f}/s"
        if self.is_terminal:
            print(f"\r\x1b[K{line}", end="", flush=True)
            self.is_shown = True
        else:
            self.say(line)

    def clear(self) -> None:
        if self.is_shown:
            print("\r\x1b[K", end="", flush=True)
            self.is_shown = False
