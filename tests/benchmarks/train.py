"""The trainer against a plain loop over diffusers' parts, in turn and in one run: images a second, memory, waiting for data.

    python -m tests.benchmarks.train                              # a tiny SD 1.5: what is not the model shows
    python -m tests.benchmarks.train --size full                  # SD 1.5 at 512 pixels, for a GPU
    python -m tests.benchmarks.train --size full --family sdxl --resolution 1024 --batch-size 4

The plain loop is what diffusers' example trainer does: photographs are decoded in the process that trains, latents and words
encoded in every step. The trainer reads ahead in processes of its own; with the latent cache it encodes once.
It prints a table for tests/benchmarks/results/.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from tests import large_diffusion, tiny_diffusion
from tests.benchmarks.machine import forget_peak, heading, now, peak, table
from tests.training_run import make_step, member, trainer_of, write_config, write_triplets

PLAIN = "plain loop"
MAKERS = {
    ("tiny", "sd15"): tiny_diffusion.make_stable_diffusion,
    ("tiny", "sdxl"): tiny_diffusion.make_stable_diffusion_xl,
    ("full", "sd15"): large_diffusion.make_stable_diffusion,
    ("full", "sdxl"): large_diffusion.make_stable_diffusion_xl,
}


def main() -> None:
    arguments = parse_arguments()
    share_cores(arguments)
    with tempfile.TemporaryDirectory(prefix="train-") as folder:
        place = Path(folder)
        model = MAKERS[arguments.size, arguments.family](place / "model")
        triplets = write_triplets(place / "triplets", arguments.triplets, 0, 0, side=arguments.photograph // 2)
        found: dict[str, list[Trained]] = {}
        for number in range(arguments.rounds):
            for name, loop in loops(arguments, model, triplets, place / f"round{number}").items():
                found.setdefault(name, []).append(loop())
    title = (
        f"Training {arguments.family}, {arguments.size}, {arguments.resolution} px, batches of {arguments.batch_size}"
    )
    print(heading(title, ["torch", "diffusers", "accelerate"]))
    plain = [one.rate for one in found[PLAIN]]
    rows = []
    for name, rounds in found.items():
        ratio = statistics.median(one.rate / other for one, other in zip(rounds, plain, strict=True))
        rate, memory, waiting = (statistics.median(values) for values in list(zip(*rounds, strict=True))[:3])
        rows.append([name, f"{rate:.2f}", f"{ratio:.2f}", f"{memory:.1f}", f"{100 * waiting:.1f} %"])
    print(table(["", "images/s", "of the plain loop", "peak GiB", "waiting for data"], rows))


class Trained(NamedTuple):
    """Images a second, peak memory in GiB, share of the time in which the step waited for data, start and end."""

    rate: float
    memory: float
    waiting: float
    span: tuple[float, float]


def loops(arguments, model: Path, triplets: Path, place: Path) -> dict[str, Callable[[], Trained]]:
    """What is compared, each to be run once."""
    place.mkdir()
    return {
        PLAIN: lambda: plain_loop(arguments, model, triplets),
        "trainer": lambda: our_loop(arguments, model, triplets, place / "trainer", cached=False),
        "trainer, latents cached": lambda: our_loop(arguments, model, triplets, place / "cached", cached=True),
    }


def our_loop(arguments, model: Path, triplets: Path, output: Path, cached: bool) -> Trained:
    config = write_config(
        output.with_suffix(".yaml"), triplets, family=arguments.family, model_path=str(model), resolution=arguments.resolution,
        batch_size=arguments.batch_size, center_crop=True, cache_latents=cached, use_ema=False, mixed_precision=arguments.precision,
        gradient_checkpointing=arguments.gradient_checkpointing, load_threads=arguments.threads,
        max_train_steps=arguments.warm + arguments.steps, checkpointing_steps=10**9,
    )  # fmt: skip
    step = make_step(config, output)
    with member(step) as together:
        trainer = trainer_of(step, together)
        trainer.save = trainer.finish = lambda: None
        take, marks = trainer.take_step, []

        def take_step(batches):
            if trainer.step == arguments.warm:
                forget_peak()
                marks.append((now(), batches.waited))
            take(batches)
            if trainer.step == arguments.warm + arguments.steps:
                marks.append((now(), batches.waited))

        trainer.take_step = take_step
        trainer.run()
        (started, before), (ended, after) = marks
        seconds = ended - started
        rate = arguments.steps * arguments.batch_size / seconds
        return Trained(rate, peak(), (after - before) / seconds, (started, ended))


def loader_of(arguments, triplets: Path):
    """Triplets as that trainer decodes and crops them."""
    import torch
    from torchvision.transforms import v2

    transform = v2.Compose([
        v2.ToImage(), v2.Resize(arguments.resolution, antialias=True), v2.CenterCrop(arguments.resolution),
        v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5] * 3, [0.5] * 3),
    ])  # fmt: skip

    def collate(rows: list[dict]) -> dict:
        found = {"text": [row["edit_prompt"] for row in rows]}
        for name, column in (("source", "input_image"), ("target", "edited_image")):
            opened = (Image.open(triplets.parent / row[column]).convert("RGB") for row in rows)
            found[name] = torch.stack([transform(image) for image in opened])
        return found

    rows = [json.loads(line) for line in triplets.read_text().splitlines()]
    return torch.utils.data.DataLoader(
        rows, batch_size=arguments.batch_size, shuffle=True, collate_fn=collate, drop_last=True
    )


def noisy(family, batch: dict, empty: dict, device):
    """A batch with noise, some of its instructions and sources left out."""
    import torch

    from shared.relighter.families.family import Batch

    count = len(batch["text"])
    drops = torch.rand(count, device=device)
    texts = family.encode_texts(batch["text"])
    texts = {
        name: torch.where((drops < 0.1).view(-1, *[1] * (value.dim() - 1)), empty[name], value)
        for name, value in texts.items()
    }
    shape = (count, *family.noise_shape())
    return Batch(
        family.encode_images(batch["source"].to(device)), family.encode_images(batch["target"].to(device)), texts,
        torch.randn(shape, device=device), torch.randn(shape, device=device), torch.rand(count, device=device),
        1 - ((drops >= 0.05) & (drops < 0.15)).float(),
    )  # fmt: skip


def plain_loop(arguments, model: Path, triplets: Path) -> Trained:
    """The same, of a loop as diffusers' train_instruct_pix2pix.py has it."""
    import torch

    from shared.relighter.families.registry import find_family

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = {"no": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}[arguments.precision]
    dtype = dtype if device.type == "cuda" else torch.float32
    family = find_family(arguments.family)(str(model), arguments.resolution)
    family.load(device, dtype, arguments.gradient_checkpointing)
    loader = loader_of(arguments, triplets)
    optimizer = torch.optim.AdamW(family.trained.parameters(), lr=5e-5)
    empty = family.encode_texts([""])
    done, waited, started = 0, 0.0, 0.0
    total = arguments.warm + arguments.steps
    while done < total:
        batches = iter(loader)
        while done < total:
            if done == arguments.warm:
                forget_peak()
                started, waited = now(), 0.0
            begun = time.perf_counter()
            if (batch := next(batches, None)) is None:
                break
            waited += time.perf_counter() - begun
            made = noisy(family, batch, empty, device)
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = family.loss(family.trained, made)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(family.trained.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loss.item()  # for the progress bar
            done += 1
    ended = now()
    seconds = ended - started
    return Trained(arguments.steps * arguments.batch_size / seconds, peak(), waited / seconds, (started, ended))


def share_cores(arguments: argparse.Namespace) -> None:
    """On a CPU half of the cores read and half compute, in both loops: threads that take each other's cores tell nothing."""
    import torch

    cores = len(os.sched_getaffinity(0))
    if torch.cuda.is_available():
        arguments.threads = arguments.threads or cores
    else:
        arguments.threads = arguments.threads or max(1, cores // 2)
        torch.set_num_threads(max(1, cores - arguments.threads))


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", choices=("sd15", "sdxl"), default="sd15")
    parser.add_argument("--size", choices=("tiny", "full"), default="tiny")
    parser.add_argument("--resolution", type=int, help="512 for a full model, else 64")
    parser.add_argument("--photograph", type=int, default=1024, help="longest side of the stored images")
    parser.add_argument("--triplets", type=int, default=48)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20, help="that are measured, in each round")
    parser.add_argument("--warm", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--threads", type=int, default=0, help="processes that read ahead; 0: one a core, without a GPU half of them"
    )
    parser.add_argument("--precision", choices=("no", "fp16", "bf16"), default="bf16", help="on a GPU")
    parser.add_argument("--gradient-checkpointing", action="store_true")
    arguments = parser.parse_args(words)
    arguments.resolution = arguments.resolution or (512 if arguments.size == "full" else 64)
    return arguments


if __name__ == "__main__":
    main()
