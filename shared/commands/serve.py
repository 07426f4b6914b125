"""A vLLM server for captioning workers on this or other machines: the command that starts it."""

import os
import re
import sys
from importlib.util import find_spec
from typing import NoReturn

from shared.errors import RunError
from shared.machine import gpu_use
from shared.run.run import Run

POSITIONAL = re.compile(r"\d*\.?\d+")


def become_server(run: Run, words: list[str]) -> NoReturn:
    """Become vLLM's OpenAI-compatible server; returns only by RunError."""
    if find_spec("vllm") is None:
        raise RunError("vLLM is not installed; install it with: uv pip install -r requirements.txt")
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *arguments_of(run, words, visible_gpus())]
    print("launcher: " + " ".join(command), flush=True)
    os.execv(sys.executable, command)


def arguments_of(run: Run, words: list[str], gpus: int) -> list[str]:
    """What vLLM's server is told. Raises RunError.

    The model is that of the config's captioning step, which MODEL_PATH overrides. `words`: the number of GPUs (all
    `gpus` where it is not given), the port and the share of the GPUs' memory, as far as they are numbers; what follows are
    arguments of vllm serve, over ours: the server listens to this machine only unless they say `--host 0.0.0.0`.
    """
    count = next((place for place, word in enumerate(words) if not POSITIONAL.fullmatch(word)), len(words))
    numbers, more = words[:count], words[count:]
    if more and not more[0].startswith("-"):
        raise RunError(
            f"serve takes [GPUs] [port] [share of memory] and then options of vllm serve, and not {more[0]!r}"
        )
    if len(numbers) > 3:
        raise RunError(
            f"serve takes at most three numbers, GPUs, port and share of memory, and not {' '.join(numbers)}"
        )
    parallel, port, share = [*numbers, *[str(max(gpus, 1)), "8000", "0.9"][len(numbers) :]]
    for name, value, most in (("GPUs", parallel, max(gpus, 1)), ("the port", port, 65535)):
        if not (value.isdigit() and 1 <= int(value) <= most):
            raise RunError(f"serve: {name}: {value} should be a whole number from 1 to {most}")
    if not 0 < float(share) <= 1:
        raise RunError(f"serve: the share of the GPUs' memory: {share} should be above 0 and at most 1")
    return [
        "--model", model_of(run), "--host", "127.0.0.1", "--port", port, "--tensor-parallel-size", parallel,
        "--gpu-memory-utilization", share, "--mm-encoder-tp-mode", "data", "--max-model-len", "auto", *more,
    ]  # fmt: skip


def visible_gpus() -> int:
    """How many GPUs this process may use: those of CUDA_VISIBLE_DEVICES where it is set, else all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return len(gpu_use()) if visible is None else sum(one.strip() not in ("", "-1") for one in visible.split(","))


def model_of(run: Run) -> str:
    for step in run.steps:
        if model := getattr(step.worker, "model_path", ""):
            return model
    raise RunError(f"no step of {run.config.path} names a model; set MODEL_PATH to the model that should be served")
