"""The gallery: some two hundred items, chosen evenly, each with its pictures, words and measurements."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from shared.files.table import Table
from shared.images import image_of, may_be_there
from shared.light.words import COOL, WARM
from shared.reporting.profile import Profile, count_of
from shared.reporting.thumbnails import Thumbnail, in_threads, mask_thumbnail, side_for, thumbnail
from shared.run.run import Run

MOST_CARDS, FEWEST_CARDS = 200, 40
DECODED_PIXELS = 2e9  # of all pictures of a page together, about: a minute on one core
MOST_VALUES, LONGEST_VALUE = 60, 400  # of a row's own values, and of their letters
PICTURE_FIELDS = {  # in the order of the arrow keys: the two that are to be compared come first
    "generated": "generated_path",
    "photograph": "image_path",
    "relit": "relit_image_path",
    "input": "input_image_path",
    "degraded": "output_image_path",
    "flattened": "albedo_path",
    "mask": "mask_path",
}


class Shown(NamedTuple):
    """A place for a picture: with a thumbnail, or with the reason why there is none."""

    label: str
    picture: Thumbnail | None
    note: str


@dataclass
class Card:
    key: str
    pictures: list[Shown]
    keywords: str
    facts: list[tuple[str, str]]
    facets: dict[str, str]
    gain: float | None  # in PSNR, of what a model has relit
    values: list[tuple[str, str]]


@dataclass
class Gallery:
    cards: list[Card]
    total: int  # rows that the cards were chosen from
    facets: dict[str, dict[str, int]]  # name: {value: cards}
    is_evaluated: bool = False  # chosen and ordered by their gains


def gallery_of(run: Run, table: Table, profile: Profile) -> Gallery:
    is_evaluated = len(profile.known_gains) > 0
    values = profile.gains if is_evaluated else profile.scores
    chosen = choose(np.array(values), np.array(profile.splits), most_cards(table))
    rows = [table[index] for index in chosen]
    labels = [label for label, field in PICTURE_FIELDS.items() if any(row.get(field) for row in rows)]
    if "generated" in labels and not any(may_be_there(row.get("image_path")) for row in rows):
        labels = [label for label in labels if label != "photograph"]  # which only named the images
    words = word_fields(run)
    side = side_for(len(rows) * len(labels))
    cards = in_threads(lambda row: card(run, row, labels, words, side), rows)
    facets: dict[str, dict[str, int]] = {}
    for name in FACETS:
        counts = Counter(one.facets[name] for one in cards if name in one.facets)
        if len(counts) > 1:
            facets[name] = {
                value: counts[value] for value in sorted(counts, key=lambda value: FACETS[name].index(value))
            }
    return Gallery(cards, len(table), facets, is_evaluated)


def most_cards(table: Table) -> int:
    """Fewer where the photographs are large: decoding them is what a report takes its time for."""
    looked_at = [table[int(place)] for place in np.linspace(0, len(table) - 1, min(16, len(table)))]
    pixels = [
        count_of(row.get("width"))
        * count_of(row.get("height"))
        * sum(bool(row.get(field)) for field in PICTURE_FIELDS.values())
        for row in looked_at
    ]
    known = [size for size in pixels if size > 0]
    return int(np.clip(DECODED_PIXELS / np.median(known), FEWEST_CARDS, MOST_CARDS)) if known else MOST_CARDS


def choose(scores: np.ndarray, splits: np.ndarray, most: int) -> list[int]:
    """Indices of at most `most` of (n,) rows, best score first: as many of each split, evenly over its ranking.

    So the smallest split, the best and the worst are all seen. What a small split leaves, the others take.
    """
    ranking = np.argsort(-np.nan_to_num(scores, nan=-np.inf), kind="stable")
    groups = sorted((ranking[splits[ranking] == split] for split in np.unique(splits)), key=len)
    chosen: list[int] = []
    for position, group in enumerate(groups):
        share = min(len(group), (most - len(chosen)) // (len(groups) - position))
        chosen += group[np.linspace(0, len(group) - 1, share).round().astype(int)].tolist()
    rank = np.empty(len(ranking), dtype=int)
    rank[ranking] = np.arange(len(ranking))
    return sorted(chosen, key=lambda index: rank[index])


FACETS = {
    "split": ["train", "val", "test"],
    "direction": [
        *("left", "upper left", "above", "upper right", "right", "lower right", "below", "lower left", "front"),
        "not told",
    ],
    "colour": ["warm", "neutral", "cool"],
    "shadows": ["hard", "soft", "not told"],
    "key": ["low", "mid", "high"],
}


def facets_of(row: dict) -> dict[str, str]:
    """What the cards are filtered by; colour is divided where the keywords divide it."""
    light = row["light"] if isinstance(row.get("light"), dict) else {}
    facets = {"split": row.get("split")}
    if light:
        facets["direction"] = light.get("direction") or "not told"
        facets["shadows"] = light.get("shadows") or "not told"
        facets["key"] = light.get("key")
    if not math.isnan(kelvin := count_of(light.get("cct_kelvin"))):
        facets["colour"] = "warm" if kelvin < WARM else "cool" if kelvin > COOL else "neutral"
    return {name: value for name, value in facets.items() if value in FACETS[name]}


def card(run: Run, row: dict, labels: list[str], words: list[str], side: int) -> Card:
    return Card(
        row["key"],
        [shown_item(run, row, label, side) for label in labels],
        keywords_of(row, words),
        facts_of(row),
        facets_of(row),
        None if math.isnan(gain := count_of(row.get("psnr_gain"))) else gain,
        values_of(row, run),
    )


def word_fields(run: Run) -> list[str]:
    """The columns that the run's steps write words into, those of the last step first."""
    return [step.worker.text_key for step in reversed(run.steps) if hasattr(step.worker, "text_key")]


def keywords_of(row: dict, fields: Sequence[str] = ()) -> str:
    """What an item says of itself in words; `fields` are looked at before the usual ones."""
    names = ("relit_instruction", "lighting_keywords", "edit_prompt", *fields, "vlm_caption", "caption", "prompt")
    keywords = next((row[name] for name in names if row.get(name)), "")
    return keywords if isinstance(keywords, str) else ""


def shown_item(run: Run, row: dict, label: str, side: int) -> Shown:
    path = row.get(PICTURE_FIELDS[label])
    if label == "mask" and row.get("mask") == "none":
        return Shown(label, None, "no subject: all of it is relit")
    if not path:
        return Shown(label, None, "not kept")
    if label == "photograph":
        picture = thumbnail(row, side, run.folder)
    elif label == "input":
        picture = thumbnail(image_of(row, PICTURE_FIELDS[label]), side, run.folder)
    elif label == "mask":
        picture = mask_thumbnail(row, path, side, run.folder)
    else:
        picture = thumbnail(path, side, run.folder)
    return Shown(label, picture, "" if picture else "cannot be opened any more")


def facts_of(row: dict) -> list[tuple[str, str]]:
    return [(name, value) for name, value in measurements(row).items() if value]


def measurements(row: dict) -> dict[str, str | None]:
    """What was measured in short, always under the same names in the same order; None where it was not."""
    light = row["light"] if isinstance(row.get("light"), dict) else {}
    direction = light.get("direction")
    if direction and (azimuth := decimal(light.get("azimuth_degrees"), 0, "°")):
        direction = f"{direction} ({azimuth})"
    numbers = {
        "score": decimal(row.get("lighting_score"), 3),
        "light from": direction,
        "colour": decimal(light.get("cct_kelvin"), 0, " K"),
        "hardness": decimal(light.get("hardness"), 2),
        "key": light.get("key"),
        "contrast": decimal(light.get("contrast"), 1, " stops"),
        "gain": decimal(row.get("psnr_gain"), 2, " dB"),
        "PSNR": decimal(row.get("psnr"), 1, " dB"),
        "SSIM": decimal(row.get("ssim"), 3),
        "new light": row.get("degradation_type") and str(row["degradation_type"]).replace("_", " "),
        "shadow of": row.get("pattern_type") and str(row["pattern_type"]).replace("_", " "),
    }
    return {name: str(value) if value else None for name, value in numbers.items()}


def decimal(value: Any, digits: int, unit: str = "") -> str | None:
    """None for what is no number: a table from outside may have a column of that name."""
    return None if math.isnan(count_of(value)) else f"{value:.{digits}f}{unit}"


def values_of(row: dict, run: Run) -> list[tuple[str, str]]:
    """Everything that the row says, cut where it is long; paths inside the run's folder are relative to it."""
    inside = f"{run.folder}/"
    values = []
    for name, value in list(row.items())[:MOST_VALUES]:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        text = text.removeprefix(inside) if name.endswith("_path") else text
        values.append((name, text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + " …"))
    return values
