"""The settings that made what lies in a step's folder, and how others differ from them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import orjson

from shared.files.lookup import content_of
from shared.files.small_files import write_json

NOTED_PACKAGES = ("numpy", "pillow", "opencv-contrib-python-headless", "scikit-image", "torch", "vllm", "transformers")


def write_settings(path: Path, settings: dict, more: dict) -> None:
    write_json(path, {"settings": settings, **more})


def settings_of(worker: Any) -> dict:
    """The options that decide what comes out; those that only change speed are left out.

    Paths stand there as the config has them, so that a run may be moved with its project. What a `_file` holds counts too;
    of a folder only the name does, for it may grow with the input.
    """
    values = {option.name: getattr(worker, option.name) for option in dataclasses.fields(worker) if option.init}
    settings = json.loads(
        canonical({name: value for name, value in values.items() if name not in worker.speed_options})
    )
    for name, value in settings.items():
        if isinstance(value, str):
            settings[name] = worker.written.get(value, value)
            if name.endswith("_file"):
                settings[name] = {"path": settings[name], "content": content_of(Path(value))}
    return settings


def comparable(before: dict | None, worker: Any) -> dict | None:
    """Settings as an earlier version wrote them, without what only changes speed today, and with what came since.

    An option that did not exist then had the effect of its default.
    """
    if before is None:
        return None
    passed_over = {*before, *worker.speed_options, *worker.collect_options}
    new = [option for option in dataclasses.fields(worker) if option.init and option.name not in passed_over]
    defaults = {option.name: option.default for option in new if option.default is not dataclasses.MISSING}
    defaults |= {one.name: one.default_factory() for one in new if one.default_factory is not dataclasses.MISSING}
    kept = {name: value for name, value in before.items() if name not in worker.speed_options}
    return kept | json.loads(canonical(defaults))


def canonical(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)


def differences(before: Any, now: dict, place: str = "") -> list[str]:
    """`prompt: "a" was "b"` for every setting that differs."""
    if before is None:
        return []
    changes = []
    for name in sorted({*before, *now}):
        old, new = before.get(name, MISSING), now.get(name, MISSING)
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            changes += differences(old, new, f"{place}{name}.")
        else:
            changes.append(f"{place}{name}: {shown(new)} was {shown(old)}")
    return changes


MISSING = object()


def shown(value: Any) -> str:
    return "nothing" if value is MISSING else json.dumps(value, ensure_ascii=False)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    numbers = {}
    for package in NOTED_PACKAGES:
        try:
            numbers[package] = version(package)
        except PackageNotFoundError:
            continue
    return numbers
