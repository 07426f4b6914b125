"""The machine: Python, cores, memory, tools, GPUs and their driver."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from shared.doctor.finding import GIB, Finding, fail, ok, size

QUERY = "--query-gpu=index,uuid,memory.total,memory.free,driver_version,name"


@dataclass(frozen=True)
class Gpu:
    index: str
    uuid: str
    total: int  # bytes
    free: int  # bytes
    driver: str
    name: str


def check_python() -> Iterator[Finding]:
    number = ".".join(map(str, sys.version_info[:3]))
    is_good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    yield ok(f"Python {number}") if is_good else fail(f"Python {number}; 3.10 to 3.12 is needed")


def check_machine() -> Iterator[Finding]:
    yield ok(f"{len(os.sched_getaffinity(0))} CPU cores, {memory() / GIB:.0f} GiB of memory")
    for tool in ("setsid", "flock"):
        is_there = shutil.which(tool) is not None
        yield ok(f"{tool} is there") if is_there else fail(f"{tool} is missing; install util-linux")


def memory() -> int:
    """Of the machine, in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_gpus(gpus: Sequence[Gpu], has_models: bool, words: str = "") -> Iterator[Finding]:
    """`words` are the workers' GPUs as the launcher names them."""
    if not gpus:
        if shutil.which("nvidia-smi"):
            said = (ask_driver() or "nothing").strip().partition("\n")[0]
            yield fail(f"nvidia-smi is there and lists no GPU ({said}); mend the driver, or restart the machine")
        elif not has_models:
            yield ok("no NVIDIA GPU; the steps of this run need none")
        return
    wrong = {name for name in re.split(r"[ ,]+", words) if name.isdigit()} - {gpu.index for gpu in gpus}
    if wrong:
        there = ", ".join(gpu.index for gpu in gpus)
        yield fail(
            f"there is no GPU {', '.join(sorted(wrong))}; set GPUS or GPU_COUNT for those that are there: {there}"
        )
    for gpu in gpus:
        yield ok(f"GPU {gpu.index}: {gpu.name}, {size(gpu.free)} of {size(gpu.total)} free")
    version = re.search(r"CUDA Version:\s*([\d.]+)", ask_driver())
    cuda, wanted = version[1] if version else "", torch_cuda()
    driver = f"NVIDIA driver {gpus[0].driver}" + (f", for CUDA {cuda}" if cuda else "")
    if cuda and wanted and int(cuda.split(".")[0]) < int(wanted.split(".")[0]):
        yield fail(f"{driver}; torch here needs CUDA {wanted}: install a newer driver, or a torch for CUDA {cuda}")
    else:
        yield ok(driver)
    if has_models and find_spec("torch") and not wanted:
        yield fail(
            "torch here is a build for CPUs; install that of requirements.txt with uv, which takes the one for CUDA"
        )


def find_gpus() -> list[Gpu]:
    """The NVIDIA GPUs of this machine, by nvidia-smi; a value that it does not know is 0."""
    lines = run_tool("nvidia-smi", QUERY, "--format=csv,noheader,nounits").splitlines()
    rows = [[part.strip() for part in line.split(",", 5)] for line in lines]
    return [Gpu(row[0], row[1], mebibytes(row[2]), mebibytes(row[3]), row[4], row[5]) for row in rows if len(row) == 6]


def mebibytes(text: str) -> int:
    return int(float(text) * 2**20) if re.fullmatch(r"[\d.]+", text) else 0


def ask_driver() -> str:
    return run_tool("nvidia-smi")


def run_tool(*command: str) -> str:
    """What a tool prints; nothing where it is not there."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def torch_cuda() -> str:
    """The CUDA version that the installed torch is built for, as its files say: importing it would take seconds."""
    spec = find_spec("torch")
    if spec is None or not spec.origin:
        return ""
    path = Path(spec.origin).with_name("version.py")
    version = re.search(r"""^cuda\b.*=\s*['"]([\d.]+)""", path.read_text(), re.MULTILINE) if path.is_file() else None
    return version[1] if version else ""


def gpus_of_workers(words: str, gpus: Sequence[Gpu]) -> list[list[Gpu]]:
    """`0,1 2,3`: two workers with two GPUs each, by index or long name; of what is no GPU a worker has none."""
    named = {name: gpu for gpu in gpus for name in (gpu.index, gpu.uuid)}
    return [[named[name] for name in word.split(",") if name in named] for word in words.split()]
