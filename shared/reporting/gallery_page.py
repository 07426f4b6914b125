"""gallery.html: every item of a run, up to twenty thousand, to filter, to order and to look at."""

from collections.abc import Iterator
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shared.files.table import Table
from shared.reporting.funnel import FunnelStage
from shared.reporting.gallery import FACETS, PICTURE_FIELDS, choose, facets_of, keywords_of, measurements, word_fields
from shared.reporting.profile import Profile
from shared.reporting.rejects import Rejects
from shared.reporting.thumbnails import link_of
from shared.run.run import Run

MOST_KEPT = 20_000  # some 500 bytes each
STRIP = "strip"  # the photograph and the degraded image side by side, as the degrade step leaves them
ORDERED_BY = ("score", "PSNR", "SSIM", "hardness", "contrast")  # those measurements that are numbers


class Item(NamedTuple):
    """A row as the page shows it; `words` are its keywords, or why it did not get through."""

    row: dict
    state: str
    words: str


def gallery_page(
    run: Run, table: Table, profile: Profile, stages: list[FunnelStage], rejected: list[Rejects]
) -> dict[str, Any]:
    """What the page shows: `items` are columns of JSON values, `notes` says of what there is too much to show all."""
    is_evaluated = len(profile.known_gains) > 0
    values = np.array(profile.gains if is_evaluated else profile.scores)
    places = np.flatnonzero(still_kept(table, stages))
    chosen = places[choose(values[places], np.array(profile.splits)[places], MOST_KEPT)]
    words = word_fields(run)
    items = [Item(row, "kept", keywords_of(row, words)) for row in (table[int(place)] for place in chosen)]
    notes = [evenly(len(items), len(places), "kept")] if len(items) < len(places) else []
    for found in rejected:
        new = [
            Item(reject.row, found.state(reason), reject.said) for reason in found.reasons for reject in reason.rejects
        ]
        items += new
        notes += [evenly(len(new), found.total, found.title)] if len(new) < found.total else []
    return {
        "name": run.folder.name,
        "notes": notes,
        "ordered_by": ["gain", *ORDERED_BY] if is_evaluated else list(ORDERED_BY),
        "items": columns(items, run.folder),
    }


def evenly(shown: int, total: int, state: str) -> str:
    return f"Of {total:,} that are {state} these are {shown:,}, chosen evenly."


def still_kept(table: Table, stages: list[FunnelStage]) -> np.ndarray:
    """(rows) bool: false where a row of the last table has failed in the step that goes on from there."""
    is_kept = np.ones(len(table), bool)
    for stage in stages:
        if stage.lost("failed") and stage.step.table_path == table.path:
            is_kept &= ~np.isin(table.hashes, stage.step.records.failure_hashes())
    return is_kept


def columns(items: list[Item], run_folder: Path) -> dict[str, Any]:
    """The items' values, name by name; what none of them has is left out."""
    facets = [{"state": item.state} | facets_of(item.row) for item in items]
    orders = {"state": list(dict.fromkeys(item.state for item in items))} | FACETS
    facts = [measurements(item.row) for item in items]
    links = [links_of(item.row, run_folder) for item in items]
    return {
        "key": [item.row["key"] for item in items],
        "words": [item.words for item in items],
        "facets": {name: coded([facet.get(name) for facet in facets], order) for name, order in orders.items()},
        "facts": dict(filled(facts)),
        "pictures": {name: shortened(values) for name, values in filled(links)},
    }


def filled(facets: list[dict]) -> Iterator[tuple[str, list]]:
    """From dicts of the same names: each name that has a value anywhere, and its values."""
    for name in facets[0] if facets else ():
        values = [one[name] for one in facets]
        if any(value is not None for value in values):
            yield name, values


def coded(values: list[str | None], order: list[str]) -> dict[str, Any]:
    """Each value as its place among those that occur; none is -1."""
    different = set(values)
    occur = [value for value in order if value in different]
    places = {value: place for place, value in enumerate(occur)}
    return {"values": occur, "codes": [-1 if value is None else places[value] for value in values]}


def shortened(links: list[str | None]) -> dict[str, Any]:
    """The links without the beginning that all of them have."""
    start = commonprefix([link for link in links if link is not None])  # noqa: RUF071 - in letters, not in folders
    return {"start": start, "links": [None if link is None else link[len(start) :] for link in links]}


def links_of(row: dict, run_folder: Path) -> dict[str, str | None]:
    """Where each picture of a row lies; a photograph in a tar or a Parquet file has no file of its own."""
    links: dict[str, str | None] = {}
    for label, field in {STRIP: "thumbnail_path", **PICTURE_FIELDS}.items():
        path, member = row.get(field), row.get(field.removesuffix("_path") + "_member")
        links[label] = link_of(path, run_folder) if isinstance(path, str) and path and not member else None
    if row.get("mask") == "none":
        links["mask"] = None  # all of it is white
    if links["relit"]:
        links[STRIP] = None  # what is to be looked at now is what the model has made
    return links
