"""A run's YAML: read, checked whole before anything is created, and turned into workers' options."""

import os
import re
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from shared.errors import ConfigError
from shared.files.lookup import found_options, made_folder
from shared.readers.image_columns import image_columns
from shared.run.presets import check_preset, check_videos, presets_of, read_preset
from shared.run.secret_keys import without_key
from shared.run.spelling import nearest
from shared.run.step_types import NEEDED_OPTIONS, find_worker, step_types
from shared.run.yaml_file import read_yaml

# What other programs call it, and what does it here.
REPLACED = {
    "max_images": "TEST_CUTDOWN, a variable of launcher.sh, says how many items are taken",
    "checkpoint_dir": "every item is recorded in OUTPUT_DIR, a variable of launcher.sh, as soon as it is done",
    "resume": "a run always goes on where it stopped; start it again with the same OUTPUT_DIR",
}
STEP_KEYS = ("type", "name", "config")
FRAMES = 8  # of a video, where a config has videos and says no number


@dataclass
class StepConfig:
    """One entry of `steps`: `options` is the worker itself, its fields checked, its models not loaded."""

    number: int
    type: str
    name: str
    worker: Any
    folder: str | None = None  # "." is the run's own folder

    @property
    def label(self) -> str:
        return f"step {self.number} ({self.name or self.type})"

    @property
    def folder_name(self) -> str:
        return self.folder or f"step_{self.number}_{self.type}" + (f"_{self.name}" if self.name else "")


@dataclass
class RunConfig:
    path: Path
    meta_path: str
    meta_folder: str | None = None
    base_folder: str | None = None  # the run's folder, where OUTPUT_DIR says none
    save_folder: str | None = None  # where the last step's results are put too
    image_key: str | list[str] | None = "image"  # of a list, the first is the photograph
    text_key: str | None = None  # column of the texts: of a row's own, and of those that steps write
    video_key: str | None = None  # column of the videos, in rows without a photograph
    key_column: str = "key"
    reader: str | None = None  # a Python file with read(path), for an input of another kind
    shards: str | int | None = None  # of a download: only these of its folders, as 0-9 or 3,5
    seed: int = 42
    folder: Literal["."] | None = None  # ".": the only step's files lie in the run's folder itself
    paths: Literal["absolute", "relative"] = (
        "absolute"  # in the CSV and metadata files: from anywhere, or inside the run
    )
    claims: Literal["auto", "locks", "files"] = (
        "auto"  # how workers keep apart; files: where locks do not hold between machines
    )
    launcher: dict[str, str | int] = field(default_factory=dict)  # of its variables, where a person leaves them empty
    slurm: dict[str, str | int | float | bool | None] = field(
        default_factory=dict
    )  # options of sbatch: partition, time
    steps: list[StepConfig] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # what a person should be told: steps passed over, overrides unused


RUN_KEYS = tuple(key.name for key in fields(RunConfig) if key.name not in ("path", "notes"))


def load_config(path: Path, meta_path: str | None = None, overrides: dict[str, Any] | None = None) -> RunConfig:
    """Read and check a run's config.

    `meta_path` stands over the file's, and leads from the current folder first. `overrides` maps an option to a value
    for every step that has that option; a key `2.option` is for step 2 alone. Raises ConfigError.
    """
    values = read_yaml(path, RUN_KEYS)
    check_keys(values, RUN_KEYS, str(path))
    steps = values.pop("steps", None)
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{path} has no steps; it needs a list `steps:` of entries with a `type:`")
    overrides = dict(overrides or {})
    of_run = overrides_of_run(overrides)
    values |= of_run
    if meta_path:
        values["meta_path"] = os.path.abspath(meta_path) if os.path.exists(meta_path) else meta_path
    if not isinstance(values.get("meta_path"), str):
        raise ConfigError(f"{path} has no meta_path; it names a folder of photographs or a table, or set INPUT")
    try:
        image_columns(values.get("image_key"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    config = checked(RunConfig, {"path": path, **values}, str(path))
    unused = {name: value for name, value in overrides.items() if name not in of_run}
    check_replaced(unused, "--set")
    for number, entry in enumerate(steps, start=1):
        step = load_step(number, entry, config, overrides, unused)
        if step:
            config.steps.append(step)
    if config.folder and len(config.steps) > 1:
        raise ConfigError(f"{path}: folder is {config.folder!r}, which only a config of one step may say")
    config.notes += [f"{name} has no effect: no step of {path} takes it" for name in unused]
    return config


def overrides_of_run(overrides: dict[str, Any]) -> dict[str, Any]:
    """Those of the run's own keys; `run.text_key` is that alone, text_key also the option of every step that has it."""
    settable = [key for key in RUN_KEYS if key not in ("steps", "launcher", "slurm")]
    alone = {key: overrides.pop(f"run.{key}") for key in settable if f"run.{key}" in overrides}
    return alone | {key: overrides[key] for key in settable if key in overrides}


def load_step(number: int, entry: Any, config: RunConfig, overrides: dict, unused: dict) -> StepConfig | None:
    where = f"step {number} of {config.path}"
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise ConfigError(f"{where} has no type; the types are {', '.join(step_types())}")
    check_keys(entry, STEP_KEYS, where)
    name, options = entry.get("name") or "", entry.get("config") or {}
    if entry["type"] == "other" and not name:
        config.notes.append(f"{where} is `other` without a name and is passed over")
        return None
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]*", name):
        raise ConfigError(f"{where}: the name {name!r} names a folder; use letters, digits, - and _")
    if not isinstance(options, dict):
        raise ConfigError(f"{where}: config is {options!r}; it should be a mapping of options")
    check_videos(entry["type"], name, where)
    worker_class: Any = find_worker(entry["type"], where)
    label = f"step {number} ({name or entry['type']})"
    options = renamed(options, worker_class, label)
    known = [*option_names(worker_class), *(["provider"] if takes_models(worker_class) else [])]
    known += ["api_key"] if "key_variable" in known else []
    for key, value in overrides.items():
        target, _, option = key.rpartition(".")
        option = worker_class.aliases.get(option, option)
        if option in known and target in ("", str(number), name):
            options[option] = value
            unused.pop(key, None)
    preset = options.pop("provider") if "provider" in options and "provider" in known else name
    if preset != name:
        check_preset(preset, label)
    from_run = {option: getattr(config, key) for option, key in worker_class.from_run.items() if getattr(config, key)}
    options = {**renamed(read_preset(preset), worker_class, label), **from_run, **without_key(options, label)}
    has_videos = entry["type"] == "VideoCaptioner" or config.video_key
    if has_videos and "frames" in known and options.get("engine", "photometric") != "photometric":
        options.setdefault("frames", FRAMES)
    check_keys(options, option_names(worker_class), label, "option")
    needed = NEEDED_OPTIONS.get(entry["type"])
    if needed and needed not in options:
        raise ConfigError(
            f"{label}: {entry['type']} needs the option {needed!r}, or a name or provider that brings it "
            f"({', '.join(presets_of(option_names(worker_class)))})"
        )
    try:
        on_disk = found_options(options, config.path.resolve().parent)
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None
    worker = make_worker(worker_class, on_disk, label)
    config.notes += [f"{label}: {remark}" for remark in worker.remarks()]
    worker.written = {str(on_disk[name]): options[name] for name in on_disk if on_disk[name] != options[name]}
    return StepConfig(number, entry["type"], name, worker, config.folder)


def make_worker(worker_class: Any, options: dict, label: str) -> Any:
    """The worker with its options checked and filled in; nothing is loaded. Raises ConfigError."""
    worker = checked(worker_class, options, label)
    worker.check(label)
    worker.fill_in(label)
    return worker


def renamed(options: dict, worker_class: Any, label: str) -> dict:
    """The options under their own names, where the config has other spellings of them."""
    for other, name in worker_class.aliases.items():
        if other in options and name in options:
            raise ConfigError(f"{label}: {other} and {name} are the same option; leave one of them out")
    return {worker_class.aliases.get(name, name): value for name, value in options.items()}


def takes_models(worker_class: type) -> bool:
    """True for a step whose `provider` may name a preset, as its name may: the step is then called as one likes."""
    return "model_path" in option_names(worker_class)


def option_names(worker_class: type) -> list[str]:
    return [option.name for option in fields(worker_class) if option.init]


def base_folder_of(config: RunConfig) -> Path | None:
    """The run's folder as the config names it."""
    return made_folder(config.base_folder, config.path.parent) if config.base_folder else None


def check_keys(values: dict, known: Any, where: str, noun: str = "key") -> None:
    check_replaced({key: value for key, value in values.items() if key not in known}, where)
    for key in values:
        if key not in known:
            raise ConfigError(f"{where}: no {noun} {key!r}{nearest(str(key), list(known))}")


def check_replaced(values: dict, where: str) -> None:
    for key in values:
        if key in REPLACED:
            raise ConfigError(f"{where}: there is no {key!r}: {REPLACED[key]}")


def checked(kind: type, values: dict, where: str) -> Any:
    """Make a dataclass of values, with every type and range checked. Raises ConfigError for the first that is wrong."""
    try:
        return adapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "unexpected_keyword_argument":
            section = section_at(kind, first["loc"][:-1])
            known = [option.name for option in fields(section)] if section else []
            raise ConfigError(f"{where}: no option {place!r}{nearest(str(first['loc'][-1]), known)}") from None
        if first["type"] in ("missing", "missing_argument"):
            raise ConfigError(f"{where}: the option {place!r} is needed") from None
        message = first["msg"][:1].lower() + first["msg"][1:]
        raise ConfigError(f"{where}: {place} is {first['input']!r}; {message}") from None


def adapter(kind: type) -> TypeAdapter:
    for section in (kind, *kind.__mro__):
        if is_dataclass(section) and "__pydantic_config__" not in section.__dict__:
            setattr(section, "__pydantic_config__", ConfigDict(extra="forbid"))  # noqa: B010 - mypy knows no such field
    return TypeAdapter(kind)


def section_at(kind: Any, place: tuple) -> Any:
    """The nested dataclass at a place such as ("degradation", "soft_shading")."""
    for part in place:
        kind = get_type_hints(kind).get(part) if is_dataclass(kind) else None
    return kind if is_dataclass(kind) else None
