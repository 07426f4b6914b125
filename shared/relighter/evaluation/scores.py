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
    "psnr": "psnr_floor", "ssim": "ssim_floor", "lpips": "lpips_floor", "clip_direction": None, "obedience": "obedience_floor",
}  # fmt: skip
SMALLER_IS_BETTER = ("lpips",)
MEASURE_COLUMNS = (
    *("psnr", "psnr_floor", "psnr_gain", "ssim", "ssim_floor", "lpips", "lpips_floor", "clip_direction"),
    *("clip_direction_target", "azimuth_asked", "azimuth_found", "obedience"),
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
    write_json(step.folder / "evaluation.json", scores)
    if psnr := scores.get("psnr"):
        step.tell(
            f"PSNR {psnr['mean']:.2f} dB, of the input as it is {psnr['floor_mean']:.2f} dB; "
            f"{100 * psnr['share_above_floor']:.0f} % of {scores['images']} are nearer than it"
        )


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
