"""The arguments that say which run: common to the workers and to the commands of the launcher."""

import argparse
from pathlib import Path
from typing import Any


def add_run_arguments(parser: argparse._ActionsContainer, is_required: bool = True) -> None:
    """`--config`, `--input`, `--output-dir` and `--set`, as texts and paths that are not looked at yet."""
    parser.add_argument("--config", type=Path, required=is_required, help="the YAML file of the run")
    parser.add_argument("--input", help="a folder or table, over the config's meta_path")
    parser.add_argument("--output-dir", type=Path, required=is_required, help="the run's folder")
    parser.add_argument(
        "--set", type=setting_text, action="append", default=[], metavar="OPTION=VALUE",
        help="an option of every step that has it; of one step alone: 1.num_images=100",
    )  # fmt: skip


def setting_text(text: str) -> str:
    parse_setting(text)
    return text


def parse_setting(text: str) -> tuple[str, Any]:
    """`num_images=100`, or for one step alone `1.num_images=100`; the value is read as YAML."""
    import yaml

    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} should be OPTION=VALUE")
    try:
        return name, yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value
