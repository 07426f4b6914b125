"""Whether a relit photograph is lit from where the instruction said, told from what changed in it."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from shared.images import open_image
from shared.light.azimuth import turn
from shared.light.colour import luminance, srgb_to_linear
from shared.light.direction import BLACK, CLIPPED, WORDS, direction_of
from shared.light.words import FROM_A_SIDE

FAINTEST = 0.01  # slope of the logarithm that is no change
TOLERANCE = 45.0  # degrees; light from anywhere is right a quarter of the time
_SIDES = {phrase: side for side in WORDS for phrase in FROM_A_SIDE[side]}
# Longest first: "from above on the left" is not "from above".
_PHRASE = re.compile(r"\b(" + "|".join(sorted(_SIDES, key=len, reverse=True)) + r")\b", re.IGNORECASE)


def obedience(row: dict, instruction: str, source: np.ndarray, relit: np.ndarray) -> dict:
    """What a row's record says of it; nothing where the instruction asks for light from no side.

    azimuth_asked and azimuth_found in degrees, obedience 1 or 0, and obedience_floor, that of light from anywhere. Where
    the row has them, `normals_path` is a picture of the surface's normals, as workers/scenes.py makes it, and `mask_path`
    the subject's mask.
    """
    asked = asked_azimuth(instruction)
    if asked is None:
        return {}
    normals, mask = (read_beside(row.get(field), source.shape) for field in ("normals_path", "mask_path"))
    azimuth = changed_azimuth(
        source, relit, None if normals is None else normals / 127.5 - 1, None if mask is None else mask[..., 0] > 127
    )
    return {
        "azimuth_asked": asked,
        "azimuth_found": None if azimuth is None else round(azimuth, 1),
        "obedience": int(obeys(asked, azimuth)),
        "obedience_floor": 2 * TOLERANCE / 360,
    }


def read_beside(path: str | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """The picture in the size of another, HxWx3 float32 in 0..255."""
    if not path:
        return None
    picture = open_image(Path(path)).resize((shape[1], shape[0]), Image.Resampling.BOX)
    return np.asarray(picture, np.float32)


def share_of_sources(rows: Iterable[dict], source_field: str) -> float | None:
    """Of the photographs that were relit by instructions with a side: in how many the light obeys all of them."""
    sources: dict[str, bool] = defaultdict(lambda: True)
    for row in rows:
        if "obedience" in row:
            sources[row[source_field]] &= bool(row["obedience"])
    return float(np.mean(list(sources.values()))) if sources else None


def asked_azimuth(instruction: str) -> float | None:
    """Degrees (0 = from the image's right, 90 = from above) that an instruction names; None when it names no side."""
    match = _PHRASE.search(instruction)
    return 45.0 * WORDS.index(_SIDES[match.group().lower()]) if match else None


def changed_azimuth(
    source: np.ndarray, relit: np.ndarray, normals: np.ndarray | None = None, mask: np.ndarray | None = None
) -> float | None:
    """From where (degrees) the light came that made `relit` of `source`, uint8 RGB of one size (HxWx3); None when unclear.

    What both have in common, the paint, cancels in their ratio, and shading stays. It is compared with the surface's
    `normals` (HxWx3: right, up, towards the camera) where they are known (photometric stereo: Woodham, 1980), on a plane
    with the places; else with the contour of the `mask` (HxW bool) or the places, where those explain enough of it.
    """
    change = log_brightness(relit) - log_brightness(source)
    if normals is None:
        return direction_of(change, relit, mask).azimuth_degrees
    brightest, darkest = np.maximum(source, relit).max(axis=-1), np.minimum(source, relit).max(axis=-1)
    usable = (brightest < CLIPPED) & (darkest > BLACK)
    is_plane = np.ptp(normals[..., :2]) < 0.1
    facing = asked_places(*change.shape) if is_plane else normals
    design = np.dstack([facing, np.ones_like(change)])[usable]
    right, up, *_ = np.linalg.lstsq(design, change[usable], rcond=None)[0]
    return float(np.degrees(np.arctan2(up, right)) % 360) if np.hypot(right, up) > FAINTEST else None


def asked_places(height: int, width: int) -> np.ndarray:
    """HxWx2: how far to the right and up, -0.5 to 0.5."""
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    return np.dstack([(columns + 0.5) / width - 0.5, 0.5 - (rows + 0.5) / height])


def obeys(asked: float, measured: float | None) -> bool:
    """Whether the light comes from within 45 degrees of where it was asked for."""
    return measured is not None and turn(measured, asked) <= TOLERANCE


def log_brightness(image: np.ndarray) -> np.ndarray:
    return np.log(luminance(srgb_to_linear(image)) + 1 / 4096)
