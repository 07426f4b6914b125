"""Records of photographs in made-up light."""

import csv

import numpy as np

from shared.selection.measured import DIRECTIONS
from tests.workers.filtering import made_up


def lit(count: int, seed: int = 0) -> list[dict]:
    """Rows whose light is of many kinds, a few of them frequent, and whose scores like one kind best."""
    random = np.random.default_rng(seed)
    rows = made_up(count)
    words = [None, *DIRECTIONS]
    for row in rows:
        direction = words[min(int(random.exponential(2)), 9)]
        row["light"] = {
            "azimuth_degrees": None if direction in (None, "front") else 45.0 * DIRECTIONS.index(direction),
            "direction": direction,
            "hardness": round(random.beta(2, 5), 3),
            "cct_kelvin": round(float(np.exp(random.normal(8.6, 0.25)))),
            "key": random.choice(["low", "mid", "high"], p=[0.2, 0.7, 0.1]),
            "contrast": round(random.uniform(2, 9), 2),
            "exposure_ev": round(random.normal(-1, 1), 2),
            "confidence": 0.6,
        }
        liked = 2.0 * (direction is None) + 1.0 * (row["light"]["key"] == "mid")
        row["lighting_score"] = round(float(random.normal(liked, 0.7)), 6)
    return rows


def read(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
