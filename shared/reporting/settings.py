"""What each step was made with, and what people find in its folder."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shared.files.step_folder import is_bookkeeping
from shared.reporting.thumbnails import link_to
from shared.run.run import Step
from shared.splits import SPLITS

TABLE_SUFFIXES = (".csv", ".json", ".jsonl", ".txt", ".png", ".parquet")


@dataclass
class Settings:
    """What a step was made with, and the tables and pictures that lie in its folder."""

    step: Step
    is_made: bool
    options: list[tuple[str, str]]
    versions: dict[str, str]
    files: list[tuple[str, str]]  # name, link


def settings_shown(step: Step) -> Settings:
    made = step.read_made()
    options = {**made["settings"], **made.get("collect", {})} if made else {**step.settings, **step.collect_settings}
    return Settings(
        step, bool(made), list(flat_options(options)), made.get("versions", {}), list(files_for_people(step))
    )


def flat_options(options: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in options.items():
        if isinstance(value, dict):
            yield from flat_options(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", as_yaml(value)


def as_yaml(value: Any) -> str:
    """As one would write it in the YAML."""
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def files_for_people(step: Step) -> Iterator[tuple[str, str]]:
    for folder in (step.folder, *(step.folder / split for split in SPLITS)):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if path.is_file() and path.suffix in TABLE_SUFFIXES and not is_own(path.name):
                yield str(path.relative_to(step.folder)), link_to(path, step.run.folder)


def is_own(name: str) -> bool:
    """True for the files by which the project keeps its own books."""
    return is_bookkeeping(name) or name.startswith(".")
