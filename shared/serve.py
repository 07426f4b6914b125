"""A vLLM server for captioning workers on this or other machines: the command that starts it."""

import os
import sys
from importlib.util import find_spec

from shared.run import Run, RunError
from shared.watch import gpu_use


def serve(run: Run, more: list[str]) -> None:
    """Become vLLM's OpenAI-compatible server; returns only by RunError.

    The model is that of the config's captioning step, which MODEL_PATH overrides. `more` are arguments of vllm serve,
    over ours: the server listens to this machine only unless they say `--host 0.0.0.0`.
    """
    if find_spec("vllm") is None:
        raise RunError("vLLM is not installed; install it with: uv pip install -r requirements.txt")
    model, gpus = model_of(run), len(gpu_use())
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += [
        "--host",
        "127.0.0.1",
        "--port",
        "8000",
        "--gpu-memory-utilization",
        "0.9",
        "--mm-encoder-tp-mode",
        "data",
    ]
    command += ["--tensor-parallel-size", str(max(gpus, 1)), *more]
    print("launcher: " + " ".join(command), flush=True)
    os.execv(sys.executable, command)


def model_of(run: Run) -> str:
    for step in run.steps:
        if model := getattr(step.worker, "model_path", ""):
            return model
    raise RunError(f"no step of {run.config.path} names a model; set MODEL_PATH to the model that should be served")
