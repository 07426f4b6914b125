"""The scores of relit photographs, as tables: a row of each, and what they are like together."""

from typing import TYPE_CHECKING

import numpy as np

from shared.exports.writers import write_csv
from shared.files.small_files import write_json
from shared.relighter.evaluation.obedience import share_of_sources

if TYPE_CHECKING:
    from shared.files.table import Table
    from shared.run.run import Step
    from shared.triplets.roles import Columns

FLOORS = {  # of None it is 0
    "psnr": "psnr_floor", "ssim": "ssim_floor", "psnr_exposed": "psnr_exposed_floor", "ssim_exposed": "ssim_exposed_floor",
    "lpips": "lpips_floor", "clip_direction": None, "obedience": "obedience_floor", "face_distance": "face_distance_floor",
}  # fmt: skip
SMALLER_IS_BETTER = ("lpips", "face_distance")
HALF_SIDE = 256  # px from the centre to the edge of an image as models draw them
MOVED = 1.0  # px, by the shift or at the longest side's end by the zoom: the eye sees that when it compares
MEASURE_COLUMNS = (
    *("psnr", "psnr_floor", "psnr_gain", "ssim", "ssim_floor", "psnr_exposed", "psnr_exposed_floor", "ssim_exposed"),
    *("ssim_exposed_floor", "shift_pixels", "zoom", "lpips", "lpips_floor", "clip_direction", "clip_direction_target"),
    *("azimuth_asked", "azimuth_found", "obedience", "faces", "face_distance", "face_distance_floor"),
)


def write_scores(step: "Step", rows: "Table", columns: "Columns") -> None:
    """evaluation.csv and evaluation.json, and a line for the person at the launcher."""
    there = set().union(*(row.keys() for row in rows))
    fields = [
        "key",
        "split",
        columns.instruction,
        columns.input_image,
        "relit_image_path",
        columns.output_image,
        *MEASURE_COLUMNS,
    ]
    write_csv(
        step.folder / "evaluation.csv", {name: name for name in fields if name in there}, rows, step.run.relative_within
    )
    scores = summary(rows)
    if obedience := scores.get("obedience"):
        obedience["share_of_sources"] = round(share_of_sources(rows, columns.input_image) or 0.0, 4)
        step.tell(
            f"the light comes from the side asked for in {100 * obedience['mean']:.0f} % of the images; "
            f"by chance it would in {100 * obedience['floor_mean']:.0f} %"
        )
    if movement := movement_in(rows):
        scores["movement"] = movement
        step.tell(
            f"what is drawn lies {movement['median']:.2f} px from where it was, in the median; "
            f"{100 * movement['share_moved']:.0f} % of the images are shifted or zoomed by more than {MOVED:g} px"
        )
    write_json(step.folder / "evaluation.json", scores)
    if psnr := scores.get("psnr"):
        step.tell(
            f"PSNR {psnr['mean']:.2f} dB, of the input as it is {psnr['floor_mean']:.2f} dB; "
            f"{100 * psnr['share_above_floor']:.0f} % of {scores['images']} are nearer than it"
        )


def movement_in(rows: "Table") -> dict:
    """Shifts in pixels, and the share of images whose pixels have moved."""
    found = [(row["shift_pixels"], row["zoom"]) for row in rows if "shift_pixels" in row]
    if not found:
        return {}
    shifts, zooms = np.array(found, dtype=np.float64).T
    moved = (shifts > MOVED) | (np.abs(zooms - 1) * HALF_SIDE > MOVED)
    return {
        "mean": round(float(shifts.mean()), 4),
        "median": round(float(np.median(shifts)), 4),
        "largest": round(float(shifts.max()), 4),
        "zoom_mean": round(float(zooms.mean()), 6),
        "share_moved": round(float(moved.mean()), 4),
    }


def summary(rows: "Table") -> dict:
    """Of each measure mean and median, those of the identity floor, and the share of images that are better than it."""
    scores: dict = {"images": len(rows)}
    for name, floor in FLOORS.items():
        pairs = [(row[name], row[floor] if floor else 0.0) for row in rows if name in row]
        if not pairs:
            continue
        values, floors = np.array(pairs, dtype=np.float64).T
        better = values < floors if name in SMALLER_IS_BETTER else values > floors
        scores[name] = {
            "mean": round(float(values.mean()), 4),
            "median": round(float(np.median(values)), 4),
            "floor_mean": round(float(floors.mean()), 4),
            "floor_median": round(float(np.median(floors)), 4),
            "share_above_floor": round(float(better.mean()), 4),
        }
    return scores
