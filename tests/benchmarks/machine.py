"""Where a benchmark was measured and with what, and what it took meanwhile: time, memory, the GPU."""

import contextlib
import datetime
import gc
import importlib.metadata
import os
import platform
import re
import resource
import shutil
import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

MILLISECONDS = 200  # between two samples of the GPU


def heading(title: str, packages: Sequence[str]) -> str:
    """The lines above a table, in markdown: date, hardware and versions."""
    versions = [f"Python {platform.python_version()}", *(f"{name} {version_of(name)}" for name in packages)]
    return "\n".join(
        [
            f"## {title}",
            "",
            f"{datetime.date.today()}; {processor()}, {len(os.sched_getaffinity(0))} cores; {gpu()}; {', '.join(versions)}",
            "",
        ]
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table; the first column is text, the others are numbers."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def version_of(package: str) -> str:
    for name in (package, f"{package}-cpu"):
        try:
            return importlib.metadata.version(name) + name.removeprefix(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return "absent"


def processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def gpu() -> str:
    fields = "name,memory.total,driver_version"
    lines = ask_nvidia_smi(f"--query-gpu={fields}", "--format=csv,noheader")
    return f"{len(lines)} x {lines[0]}" if lines else "no GPU"


def ask_nvidia_smi(*words: str) -> list[str]:
    if not shutil.which("nvidia-smi"):
        return []
    return subprocess.run(["nvidia-smi", *words], capture_output=True, text=True, check=True).stdout.splitlines()


def now() -> float:
    """time.perf_counter() when the GPU has done all that it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def forget_peak() -> None:
    import torch

    gc.collect()  # a model that nobody needs any more is none of what comes
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak() -> float:
    """GiB, of the GPU's memory, or of the whole process where there is none."""
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


class GpuUse:
    """Samples NVML's utilization, the share of time in which a kernel ran, for as long as it is open."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "GpuUse":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        if visible and shutil.which("nvidia-smi"):
            command = ["nvidia-smi", "-i", visible, "-lms", str(MILLISECONDS)]
            command += ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            self.process = subprocess.Popen(command, text=True, stdout=subprocess.PIPE)
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.reader.join()

    def during(self, *spans: tuple[float, float]) -> str:
        """The mean of the samples from start to end of each span (time.perf_counter); `-` where there is no GPU."""
        found = [share for at, share in self.samples if any(start <= at <= end for start, end in spans)]
        return f"{statistics.fmean(found):.0f} %" if found else "-"

    def _read(self) -> None:
        assert self.process and self.process.stdout
        for line in self.process.stdout:
            with contextlib.suppress(ValueError):  # [N/A], of a part of a GPU
                self.samples.append((time.perf_counter(), float(line)))
