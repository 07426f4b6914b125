"""LAUNCH_WITH=ray: what the launcher starts in place of workers."""

import argparse
import logging
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

from shared.clusters.ray_pool import HOW_TO_INSTALL_RAY, RayPool
from shared.commands.next_step import ids, run_words
from shared.commands.variables import Variables
from shared.errors import RunError
from shared.files.lookup import ROOT
from shared.run.run import Run


def run_pool(arguments: argparse.Namespace, run: Run, variables: Variables) -> int:
    """Have Ray place the workers of one step; returns when all have ended. Raises RunError."""
    if find_spec("ray") is None:
        raise RunError(f"LAUNCH_WITH=ray needs the package ray, which is not installed: {HOW_TO_INSTALL_RAY}")
    step = run.find(arguments.step)
    name = step.config.name or step.config.type
    logging.basicConfig(
        level=logging.INFO, stream=sys.stdout, format=f"%(asctime)s step {step.number} ({name}) %(message)s"
    )
    words = [sys.executable, "-m", f"workers.{step.module}", *run_words(arguments), "--step", str(step.number)]
    words += ["--step-name", f"step {step.number} ({name}) ", "--kill-folder", str(ROOT)]
    words += ["--processes", str(arguments.gpus_each)] if step.worker.runs_together else []
    pool = RayPool(
        words, Path(variables.log_dir()), ROOT, arguments.gpus_each, arguments.limit, variables.max_restarts,
        frozenset(ids(arguments.without)),
    )  # fmt: skip
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's
    return pool.run(arguments.parent)
