"""One photograph relit from the command line, or a strip of it under several instructions to look at."""

import argparse
import logging
import math
import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from shared.errors import CRASHED, DiskError, RunError, exit_status
from shared.images import open_image
from shared.models.loading import loading
from shared.run.option_help import describe_options

if TYPE_CHECKING:
    import torch
    from PIL import Image

    from shared.worker import Worker

OUTPUT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
NUMBERS = ("num_inference_steps", "image_guidance_scale", "guidance_scale", "resolution")
EPILOG = """A folder or a table of photographs, on all GPUs, is a step of a run (--config, or ./launcher.sh); the options of that
step, in its `config:` or by --set:
"""


def main(worker_class: "type[Worker]") -> NoReturn:
    """Misuse ends with one sentence and status 2."""
    parser = make_parser(worker_class)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    if len(arguments.instruction) > 1 and not arguments.grid:
        parser.error("--instruction is given several times, which needs --grid")
    if arguments.output_path.suffix.lower() not in OUTPUT_SUFFIXES:
        parser.error(f"--output_path {arguments.output_path} should end in one of {', '.join(OUTPUT_SUFFIXES)}")
    try:
        relight_one(arguments)
    except Exception as error:
        status, sentence = exit_status(error, arguments.output_path)
        if status == CRASHED:
            raise
        parser.exit(status, f"{parser.prog}: {sentence}\n")
    sys.exit(0)


def make_parser(worker_class: "type[Worker]") -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.relight",
        description="Relight one photograph with a trained model.",
        epilog=EPILOG + describe_options(worker_class),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--model_path", required=True, help="a trained model's folder, or a pipeline on the Hub")
    parser.add_argument("--input_image", required=True, type=Path, help="the photograph; it is not resized")
    parser.add_argument(
        "--instruction", required=True, action="append", help="the light that it should have; with --grid several times"
    )
    parser.add_argument("--output_path", type=Path, default=Path("output.png"), help="default: %(default)s")
    parser.add_argument("--num_inference_steps", type=count, help="default: 50, of FLUX 28")
    parser.add_argument(
        "--image_guidance_scale", type=scale, help="how closely to keep to the photograph; default: 1.5, FLUX has none"
    )
    parser.add_argument(
        "--guidance_scale", type=scale, help="how closely to follow the instruction; default: 7.5, of FLUX 2.5"
    )
    parser.add_argument("--seed", type=seed, help="the same one gives the same image; default: another every time")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="default: cuda where there is a GPU")
    parser.add_argument("--num_images", type=count, default=1, help="several are named {stem}_{i}{ext}; default: 1")
    parser.add_argument(
        "--resolution", type=count, help="a larger photograph is relit at this shorter side, and enlarged"
    )
    parser.add_argument("--mask", type=Path, help="outside this mask the photograph stays as it is, bit for bit")
    parser.add_argument(
        "--grid", action="store_true", help="one picture: the photograph beside each instruction's images"
    )
    return parser


def relight_one(arguments: argparse.Namespace) -> None:
    photograph = open_image(arguments.input_image)
    finish = masking(arguments.mask, photograph)
    first = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    relight = loaded(arguments)
    rows = [
        [finish(relight(photograph, text, first + number)) for number in range(arguments.num_images)]
        for text in arguments.instruction
    ]
    output: Path = arguments.output_path
    if arguments.grid:
        from shared.relighter.inference.grid import grid

        save(grid(photograph, dict(zip(arguments.instruction, rows, strict=True))), output)
    elif arguments.num_images == 1:
        save(rows[0][0], output)
    else:
        for number, image in enumerate(rows[0]):
            save(image, output.with_name(f"{output.stem}_{number}{output.suffix}"))
    if arguments.seed is None:
        print(f"the same again: --seed {first}")


def loaded(arguments: argparse.Namespace) -> Callable[["Image.Image", str, int], "Image.Image"]:
    """The model with the numbers of the command line."""
    with loading(arguments.model_path, "--model_path"):  # which also says what is not installed
        from shared.relighter.inference.relighter import Relighter

        relighter = Relighter.load(arguments.model_path, device_of(arguments.device))
    numbers: dict[str, Any] = {name: getattr(arguments, name) for name in NUMBERS}
    return lambda photograph, text, drawn: relighter.relight([photograph], [text], [drawn], **numbers)[0]


def device_of(name: str | None) -> "torch.device":
    import torch

    from shared.models.device import find_device

    if name == "cuda" and not torch.cuda.is_available():
        raise RunError("--device cuda needs an NVIDIA GPU that torch can use; leave it out, or say --device cpu")
    return torch.device(name) if name else find_device("the relighting model")


def masking(path: Path | None, photograph: "Image.Image") -> Callable[["Image.Image"], "Image.Image"]:
    """What puts the photograph's own background behind a relit image, where there is a mask."""
    if path is None:
        return lambda relit: relit
    from PIL import Image

    from shared.masks.folder import fitted_mask
    from shared.relighter.inference.background import keep_background

    pixels = np.asarray(photograph)
    mask = fitted_mask(path, pixels)
    return lambda relit: Image.fromarray(keep_background(np.asarray(relit), pixels, mask))


def save(image: "Image.Image", path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, quality=95)
    except OSError as error:
        raise DiskError(f"{error.filename or path} cannot be written: {error.strerror}") from None
    print(path)


def count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} should be at least 1")
    return value


def scale(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{value} should be 0 or more")
    return value


def seed(text: str) -> int:
    value = int(text)
    if not 0 <= value < 2**63:
        raise argparse.ArgumentTypeError(f"{value} should be from 0 to 2^63 - 1")
    return value
