"""Where the paths in a config lead: a relative one from the config's own folder, else from the project's."""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]  # the project's folder
TEXT_SUFFIXES = (".txt", ".md", ".j2")  # of the files that hold a prompt

# An option is a path by its name, as a field of a table is. The values of some may be no path: a model's name on the Hub,
# a tag, the prompt itself; those stay as they are.
PATH_OPTION = re.compile(r"(.+_(path|folder|file|model)|checkpoint|prompt)$")
MUST_BE_THERE = ("_folder", "_file")


def places_of(name: str, config_folder: str | os.PathLike) -> list[str]:
    """Where a path may lead, absolute, best first: from the config's folder, that of the person, and the current one."""
    wanted = os.path.expanduser(name)
    folders = (config_folder, os.environ.get("CALLED_FROM") or "", "")
    return list(dict.fromkeys(os.path.abspath(os.path.join(folder, wanted)) for folder in folders))


def made_folder(name: str, config_folder: Path) -> Path:
    """Where a folder lies that a config names and a run makes: beside the config, or in the project where that has it."""
    config_folder = config_folder.resolve()
    return Path(
        os.path.abspath((ROOT if config_folder.is_relative_to(ROOT) else config_folder) / Path(name).expanduser())
    )


def find_path(name: str, config_folder: str | os.PathLike) -> str | None:
    """The first of those places where something is."""
    return next((place for place in places_of(name, config_folder) if os.path.exists(place)), None)


def found_options(options: dict[str, Any], config_folder: Path) -> dict[str, Any]:
    """The options of a step, the paths of what is there made absolute. Raises ValueError for a file that must be."""
    return {
        option: found_option(option, value, config_folder) if PATH_OPTION.match(str(option)) else value
        for option, value in options.items()
    }


def found_option(option: str, value: Any, config_folder: Path) -> Any:
    if option == "prompt" and isinstance(value, list):
        return [found_option(option, one, config_folder) for one in value]
    if not isinstance(value, str) or not value or (option == "prompt" and not value.strip().endswith(TEXT_SUFFIXES)):
        return value
    place = find_path(value, config_folder)
    if place is None and option.endswith(MUST_BE_THERE):
        raise ValueError(f"{option}: there is no {' and no '.join(places_of(value, config_folder))}")
    return place or value


def content_of(path: Path) -> str:
    """Changes when the file's bytes do."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()[:16]
