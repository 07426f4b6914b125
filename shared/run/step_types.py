"""The types of steps: the files in workers/ that define a Worker."""

import importlib
import importlib.util
import inspect
from pathlib import Path

from shared.errors import ConfigError
from shared.run.spelling import nearest

ALIASES = {
    "ImageCaptioner": "caption", "VideoCaptioner": "caption", "ImageGenerator": "generate", "TextGenerator": "text",
}  # fmt: skip
# Of a type that is called after what it makes, nobody would guess the default.
NEEDED_OPTIONS = {"ImageCaptioner": "engine", "VideoCaptioner": "engine"}


def find_worker(type_name: str, where: str) -> type:
    """The Worker class that workers/<type>.py defines. Raises ConfigError, with `where` before its words."""
    module = ALIASES.get(type_name, type_name)
    worker = worker_of(module) if module in files() else None
    if worker is None:
        known = [*step_types(), *(alias for alias, file in ALIASES.items() if file in files())]
        raise ConfigError(f"{where}: no type {type_name!r}{nearest(type_name, known)}")
    return worker


def step_types() -> list[str]:
    return [module for module in files() if worker_of(module)]


def files() -> list[str]:
    spec = importlib.util.find_spec("workers")
    places = spec.submodule_search_locations if spec else None
    return sorted(path.stem for place in places or () for path in Path(place).glob("*.py"))


def worker_of(module: str) -> type | None:
    """The Worker that the file defines itself; None where it defines none."""
    classes = [
        value
        for value in vars(importlib.import_module(f"workers.{module}")).values()
        if inspect.isclass(value) and value.__module__ == f"workers.{module}" and is_worker(value)
    ]
    leaves = [kind for kind in classes if not any(other is not kind and issubclass(other, kind) for other in classes)]
    if len(leaves) > 1:
        names = ", ".join(kind.__name__ for kind in leaves)
        raise ConfigError(f"workers/{module}.py defines several Workers ({names}); a step is one file with one of them")
    return leaves[0] if leaves else None


def is_worker(kind: type) -> bool:
    """By its name: shared/worker.py stands above this room."""
    return any(base.__module__ == "shared.worker" and base.__name__ == "Worker" for base in kind.__mro__)
