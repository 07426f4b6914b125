"""Teach the networks of the optics on rendered worlds, and write the files that OpenCV runs.

    python -m shared.light.scenes.network.fit render --worlds 16000 --pool /tmp/worlds
    torchrun --nproc_per_node 2 -m shared.light.scenes.network.fit \\
        train light --pool /tmp/worlds --minutes 40 --out light.pt
    python -m shared.light.scenes.network.fit export light --weights light.pt

and the same with `shapes`. Needs the packages of requirements.txt, and `onnx` for the last. A core with AVX-512 learns from
about 80 pictures a second, one without from 10.
"""

import argparse
import math
import os
import time
from pathlib import Path

import torch
import torch.nn.functional as F

from shared.light.direction import CLIPPED
from shared.light.network import AXES, GRID_SIZE, NETWORK_FILES, NOISE_FLOOR
from shared.light.scenes.network.onnx_file import write_onnx
from shared.light.scenes.network.pool import WorldBatch, WorldBatches, render_pool
from shared.light.scenes.network.unet import LIGHT_NETS, LightNet, LightNetConfig

HAS_BFLOAT16 = torch.cpu._is_avx512_bf16_supported()  # without it, half precision takes ten times as long
SMALL_SHARE = 0.4  # share of the time in which it learns from twice as many pictures of half the size


def features_of(picture: torch.Tensor) -> torch.Tensor:
    """shared.light.network.features() of stored values 0..1 (n, 3, h, w), 2 x 2 pixels together: (n, 16, h/2, w/2)."""
    linear = torch.where(picture <= 0.04045, picture / 12.92, ((picture + 0.055) / 1.055) ** 2.4)
    planes = torch.einsum("nchw,ck->nkhw", torch.log(linear + float(NOISE_FLOOR)), torch.from_numpy(AXES))
    planes[:, :1] -= planes[:, :1].mean((2, 3), keepdim=True)
    clipped = (picture.amax(1, keepdim=True) >= CLIPPED / 255).float()
    return F.pixel_unshuffle(torch.cat([planes, clipped], 1), 2)


def losses(maps: torch.Tensor, told: torch.Tensor, batch: WorldBatch) -> dict[str, torch.Tensor]:
    """How wrong the log shading, its changes, its colour, the normals, the direction and the hardness are; or the normals."""
    maps = F.pixel_shuffle(maps, 2)
    leaning = maps[:, -2:] - batch.normals
    # The square alone would let all that is in doubt face the camera.
    normals = leaning.square().mean() + 0.2 * (leaning.square().sum(1) + 1e-4).sqrt().mean()
    if not told.shape[1]:
        return {"normals": normals}
    light = torch.einsum("nchw,ck->nkhw", torch.log(batch.light.clamp(min=1e-3)), torch.from_numpy(AXES))
    true = light[:, :1]
    error = maps[:, :1] - true
    # Errors count most where the paint is bright, as in the flattened image itself; a common factor is no error.
    weight = batch.reflectance.mean(1, keepdim=True) ** 2
    weight = 0.7 * weight / weight.mean((2, 3), keepdim=True) + 0.3
    centred = error - (error * weight).mean((2, 3), keepdim=True)
    scale = 0.5 / (true.var((1, 2, 3), keepdim=True) + 0.05) ** 0.5
    colour = maps[:, 1:3] - light[:, 1:]
    steps = [F.avg_pool2d(error, size) for size in (1, 2, 4)]
    towards, sure = _concentration(told[:, :2])
    radians = torch.deg2rad(batch.azimuth.nan_to_num())
    agreement = towards[:, 0] * torch.cos(radians) + towards[:, 1] * torch.sin(radians)
    spread = torch.log(torch.special.i0e(sure)) + sure  # log of the Bessel function that makes it a distribution
    surprise = torch.where(~batch.azimuth.isnan(), spread - agreement, torch.where(batch.is_flat, spread, 0.0))
    is_known = batch.hardness >= 0
    hard = told[is_known, 2]
    return {
        "shading": (weight * centred**2 * scale).mean(),
        "steps": sum((step.diff(dim=axis).abs().mean() for step in steps for axis in (-1, -2)), torch.zeros(())),
        "colour": (weight * colour**2).mean(),
        "normals": normals,
        "direction": surprise.mean(),
        "hardness": F.binary_cross_entropy_with_logits(hard, batch.hardness[is_known]) if len(hard) else told.sum() * 0,
    }


WEIGHT = {"shading": 1.0, "steps": 0.5, "colour": 1.0, "normals": 3.0, "direction": 0.05, "hardness": 0.08}
SUREST = 40.0  # concentration that it may state, about 9 degrees


def _concentration(towards: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    length = towards.norm(dim=1, keepdim=True) + 1e-6
    sure = SUREST * torch.tanh(length / SUREST)
    return towards / length * sure, sure[:, 0]


def train(config: LightNetConfig, pool: Path, minutes: float, out: Path, start: Path | None, rate: float) -> None:
    """Learn for so many minutes with AdamW, its rate falling as a cosine; keep the running mean of the weights."""
    rank, count = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = LightNet(config)
    if start is not None:
        network.load_state_dict(torch.load(start))
    learner: torch.nn.Module = network.to(memory_format=torch.channels_last)
    if count > 1:
        torch.distributed.init_process_group("gloo")
        learner = torch.nn.parallel.DistributedDataParallel(network)
    began, length = time.time(), minutes * 60
    batches = WorldBatches(pool, 1000 * int(began) + rank, began + SMALL_SHARE * length if start is None else began)
    feed = iter(torch.utils.data.DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=3))
    optimizer = torch.optim.AdamW(learner.parameters(), lr=rate, weight_decay=1e-4)
    mean = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.997))
    totals: dict[str, float] = dict.fromkeys(WEIGHT, 0.0)
    done = torch.zeros(1)
    for step in range(10**9):
        done[0] = (time.time() - began) / length
        if count > 1:
            torch.distributed.all_reduce(done, torch.distributed.ReduceOp.MAX)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * float(done))) + 1e-5
        batch = next(feed)
        pixels = features_of(batch.picture).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=HAS_BFLOAT16):
            maps, told = learner(pixels)
        parts = losses(maps.float(), told.float(), batch)
        optimizer.zero_grad()
        sum(WEIGHT[name] * loss for name, loss in parts.items()).backward()
        torch.nn.utils.clip_grad_norm_(learner.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(network)
        for name, loss in parts.items():
            totals[name] += float(loss.detach()) / 200
        if step % 200 == 199 and rank == 0:
            print(
                f"{step + 1:>7} {float(done):>5.0%} ",
                {name: round(total, 4) for name, total in totals.items() if total},
                flush=True,
            )
            totals = dict.fromkeys(WEIGHT, 0.0)
            torch.save(mean.module.state_dict(), out)
    if rank == 0:
        torch.save(mean.module.state_dict(), out)


class Maps(torch.nn.Module):
    """A network of which only the maps are asked for."""

    def __init__(self, network: LightNet):
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network(pixels)[0]


def export(config: LightNetConfig, weights: Path, out: Path) -> None:
    """Write the network as ONNX for cv2.dnn, for any number of pictures of any size."""
    network = LightNet(config).eval()
    network.load_state_dict(torch.load(weights))
    pixels = torch.zeros(2, 4 * 4, GRID_SIZE // 2, GRID_SIZE // 2)
    sizes = {0: "count", 2: "height", 3: "width"}
    if config.told:
        write_onnx(network, pixels, out, {"pixels": sizes, "maps": sizes, "told": {0: "count"}}, bits=16)
    else:
        write_onnx(Maps(network), pixels, out, {"pixels": sizes, "maps": sizes}, bits=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("render", "train", "export"):
        sub = actions.add_parser(action)
        if action != "render":
            sub.add_argument("network", choices=LIGHT_NETS)
        if action != "export":
            sub.add_argument("--pool", type=Path, required=True, help="the folder of rendered pictures")
    actions.choices["render"].add_argument("--worlds", type=int, default=16_000)
    actions.choices["render"].add_argument("--photographs", type=Path, help="a folder; parts of them are paint, too")
    actions.choices["train"].add_argument("--minutes", type=float, default=60)
    actions.choices["train"].add_argument("--out", type=Path, required=True)
    actions.choices["train"].add_argument("--weights", type=Path, help="weights to go on from")
    actions.choices["train"].add_argument("--rate", type=float, default=2e-3)
    actions.choices["export"].add_argument("--weights", type=Path, required=True)
    actions.choices["export"].add_argument("--out", type=Path, help="instead of the project's own")
    given = parser.parse_args()
    if given.action == "render":
        render_pool(given.pool, given.worlds, given.photographs)
    elif given.action == "train":
        train(LIGHT_NETS[given.network], given.pool, given.minutes, given.out, given.weights, given.rate)
    else:
        export(LIGHT_NETS[given.network], given.weights, given.out or NETWORK_FILES[given.network])


if __name__ == "__main__":
    main()
