"""Runs whose input is read, and nothing else."""

from collections.abc import Callable
from pathlib import Path

import yaml

from shared.files.table import Table
from shared.run.advance import read_input
from shared.run.config import load_config
from shared.run.run import Run


def read_step_0(folder: Path, source: Path, say: Callable[[str], None] = lambda _: None, **options) -> Table:
    """The table of step 0 of a run in `folder` over `source`."""
    config = folder.parent / "small_run.yaml"
    steps = [{"type": "template", "config": {}}]
    config.write_text(yaml.safe_dump({"meta_path": str(source), "steps": steps} | options))
    run = Run(load_config(config), folder)
    read_input(run, say, None)
    return Table(run.input.result_path)
