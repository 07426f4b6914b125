"""What the selection needs of all photographs, as columns."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from shared.errors import RunError
from shared.selection.scoring.graphics import PHOTOGRAPH

if TYPE_CHECKING:
    from shared.files.table import Table

DIRECTIONS = (
    "left", "upper left", "above", "upper right", "right", "lower right", "below", "lower left", "front",
)  # fmt: skip
KEYS = ("low", "mid", "high")
HASHES = ("phash", "phash_mirrored", "phash_fine")
NEEDED = (*HASHES, "width", "height", "sharpness")  # of each record
_UNKNOWN = 255  # of a direction that was not told, and of a key that was not measured
_PLACE_OF_DIRECTION: dict[str | None, int] = {word: place for place, word in enumerate(DIRECTIONS)}
_PLACE_OF_KEY: dict[str | None, int] = {word: place for place, word in enumerate(KEYS)}


class MeasuredLight(NamedTuple):
    """The light of n photographs as the records have it; numbers are nan where nothing was measured."""

    azimuth_degrees: np.ndarray  # float32
    direction: np.ndarray  # uint8, place in DIRECTIONS; 255 where it was not told
    hardness: np.ndarray  # float32
    cct_kelvin: np.ndarray  # float32
    key: np.ndarray  # uint8, place in KEYS
    contrast: np.ndarray  # float32, stops
    exposure_ev: np.ndarray  # float32

    @property
    def is_measured(self) -> np.ndarray:
        return self.key != _UNKNOWN


class Measured(NamedTuple):
    """The columns of n rows, in their order: 71 bytes a row, so that ten million fit."""

    scores: np.ndarray  # float64
    hashes: np.ndarray  # uint64, pHash
    mirrored: np.ndarray  # uint64, pHash of the mirror image
    fine: np.ndarray  # uint64, the finer hash
    shorter_sides: np.ndarray  # int32, pixels
    longer_sides: np.ndarray  # int32, pixels
    is_photograph: np.ndarray  # bool; True where an earlier version did not look
    sharpness: np.ndarray  # float32
    faces: np.ndarray  # int32, -1 where nobody looked for them
    light: MeasuredLight

    @classmethod
    def of(cls, rows: "Table") -> "Measured":
        """Read the rows once, one at a time. Raises RunError where an earlier version made the records."""
        kinds = ["f8", "u8", "u8", "u8", "i4", "i4", "?", "f4", "i4", "f4", "u1", "f4", "f4", "u1", "f4", "f4"]
        table = np.fromiter(map(_columns, rows), ",".join(kinds), len(rows))
        columns = [table[name].copy() for name in table.dtype.names or ()]
        names = cls._fields[:-1]
        own = dict(zip(names, columns, strict=False))
        return cls(**own, light=MeasuredLight(*columns[len(names) :]))


def _columns(row: dict) -> tuple:
    if missing := [name for name in NEEDED if name not in row]:
        key, way_out = row["key"], "take a new OUTPUT_DIR, or move this step's folder away"
        message = f"the record of {key} has no {missing[0]}, as an earlier version made it; to score anew, {way_out}"
        raise RunError(message)
    light = row.get("light") or {}
    return (
        row["lighting_score"],
        *(int(row[name], 16) for name in HASHES),
        min(row["width"], row["height"]),
        max(row["width"], row["height"]),
        row.get("picture", PHOTOGRAPH) == PHOTOGRAPH,
        row["sharpness"],
        row.get("faces", -1),
        _number(light, "azimuth_degrees"),
        _PLACE_OF_DIRECTION.get(light.get("direction"), _UNKNOWN),
        _number(light, "hardness"),
        _number(light, "cct_kelvin"),
        _PLACE_OF_KEY.get(light.get("key"), _UNKNOWN),
        _number(light, "contrast"),
        _number(light, "exposure_ev"),
    )


def _number(light: dict, name: str) -> float:
    value = light.get(name)
    return float("nan") if value is None else value
