"""What one GPU does with this project, in minutes and without a network, as a table in markdown.

    python -m tests.gpu.measure                           # models at full size with random weights, ten minutes
    python -m tests.gpu.measure --minutes 4 --only clip train
    python -m tests.gpu.measure --cpu --minutes 2         # tiny models, to see that the script is in order

Each part has a process of its own and a share of the time. One that fails or takes too long says so in its row, and the others
go on; rows are printed as soon as they are there. The exit status is 0 when every part ran, whether or not its goal was met.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from shared.files.lookup import ROOT
from tests.benchmarks.machine import heading, table
from tests.gpu.parts import CORES, PARTS, Row, Stint

PACKAGES = ("torch", "torchvision", "transformers", "diffusers", "accelerate", "open_clip_torch", "pillow")
COLUMNS = ("", "images/s", "of its limit", "goal", "met", "peak GiB", "GPU busy")
OWN = 0.9  # of a part's time, in which it means to be done; then it is ended
LONGEST_REASON = 150  # letters


class PartFailed(Exception):
    """Why, in one line."""


def main() -> None:
    arguments = parse_arguments()
    if arguments.part:
        print(json.dumps(measured(arguments)))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended before all parts had their turn"))
    if not arguments.cpu and not has_gpu():
        sys.exit("torch sees no GPU here; --cpu tries the script with tiny models")
    print(heading("One GPU" if not arguments.cpu else "Tiny models on a CPU: a trial of the script", PACKAGES))
    print("Weights are random. Held against its limit is a step through the whole loop, durable records included.\n")
    print(table(COLUMNS, []), end="", flush=True)
    ends = time.monotonic() + 60 * arguments.minutes
    failed = 0
    for number, name in enumerate(arguments.only):
        shares = [PARTS[other].share for other in arguments.only[number:]]
        seconds = (ends - time.monotonic()) * shares[0] / sum(shares)
        try:
            with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder:
                command = command_of(name, Path(folder), seconds, arguments.cpu)
                rows = [cells(row) for row in ask_child(command, seconds, arguments.cpu)]
        except PartFailed as reason:
            rows, failed = [[PARTS[name].title, "-", "-", f"failed: {reason}", "-", "-", "-"]], failed + 1
        print("".join(f"| {' | '.join(row)} |\n" for row in rows), end="", flush=True)
    sys.exit(1 if failed else 0)


def measured(arguments: argparse.Namespace) -> list[Row]:
    import torch

    if arguments.cpu:
        torch.set_num_threads(CORES)
    return PARTS[arguments.part].rows(Stint(arguments.folder, arguments.cpu, arguments.until))


def command_of(name: str, folder: Path, seconds: float, is_cpu: bool) -> list[str]:
    words = ["--part", name, "--folder", str(folder), "--until", str(time.monotonic() + OWN * seconds)]
    return [sys.executable, "-m", "tests.gpu.measure", *words, *(["--cpu"] if is_cpu else [])]


def ask_child(command: Sequence[str], seconds: float, is_cpu: bool = True) -> list[Row]:
    """The rows that a process prints as JSON in its last line; what it says beside them goes to standard error if it fails."""
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "OMP_NUM_THREADS": str(CORES)}
    environment |= {"CUDA_VISIBLE_DEVICES": ""} if is_cpu else {}
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True
        )
        try:
            output, _ = process.communicate(timeout=max(0.0, seconds))
            reason = "" if process.returncode == 0 else f"exit status {process.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"it had not ended after {seconds:.0f} s"
        finally:
            end_family(process)
        if not reason:
            return [Row(*row) for row in json.loads(output.splitlines()[-1])]
        said.seek(0)
        lines = [line.strip() for line in said if line.strip()]
        print("\n".join(lines[-30:]), file=sys.stderr, flush=True)
        last = f": {lines[-1]}" if lines and process.returncode != -signal.SIGKILL else ""
        raise PartFailed(f"{reason}{last}"[:LONGEST_REASON].replace("|", "/"))


def end_family(process: subprocess.Popen) -> None:
    """The processes that it has started, too."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout
    process.stdout.close()


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def cells(row: Row) -> list[str]:
    ratio, memory = ("" if number is None else f"{number:.2f}" for number in (row.ratio, row.peak))
    met = {True: "yes", False: "no", None: ""}[row.is_met]
    return [row.what, f"{row.rate:.1f}", ratio, row.goal, met, memory, row.busy]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=10, help="in all; a part that is not done in its share is ended"
    )
    parser.add_argument("--cpu", action="store_true", help="tiny models on the CPU")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="these parts, in this order")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)  # in this process, and its rows as JSON
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # of time.monotonic()
    return parser.parse_args()


if __name__ == "__main__":
    main()
