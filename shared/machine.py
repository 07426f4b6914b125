"""The machine a process runs on: its cores, its GPUs, and the process that started it."""

import ctypes
import gc
import os
import signal
import subprocess
import sys

USUAL_THRESHOLDS = gc.get_threshold()
PR_SET_PDEATHSIG = 1  # of Linux's prctl


def end_with_parent() -> None:
    """Have the kernel kill this process when the thread that started it is gone.

    An EngineCore of vLLM outlives a worker that was killed, and keeps the GPU's memory.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def gpu_use() -> dict[int, str]:
    """GPU id -> `87 % of 80 GiB busy`, from nvidia-smi; empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=index,utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
    try:
        output = subprocess.run(command, capture_output=True, text=True, timeout=2, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    rows = (line.split(", ") for line in output.splitlines())
    return {int(index): f"{use} %, {float(used) / 1024:.1f} GiB" for index, use, used in rows}


def listed_gpus() -> int:
    """GPUs that the driver lists; 0 where there is none."""
    try:
        output = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return 0
    return sum(line.startswith("GPU ") for line in output.splitlines())


def free_gpu_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def collect_seldom(is_seldom: bool) -> None:
    """Whether Python looks for garbage a hundred times less often than usual: while a worker begins.

    Libraries of models import some hundred thousand objects, through which it would go again and again; without that they
    are there in six sevenths of the time.
    """
    gc.set_threshold(*((100_000, 50, 1000) if is_seldom else USUAL_THRESHOLDS))


def share_of_cores(cores: int) -> int:
    return cores or len(os.sched_getaffinity(0))
