"""The models of a step: on this machine or not, whole or not, and where they come from."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from shared.doctor.clip import ClipTables, find_clip
from shared.doctor.disk import existing
from shared.doctor.finding import Finding, fail, ok, size, warn
from shared.doctor.hub import Hub
from shared.doctor.weights import StoredWeights, weights_in, weights_of_file
from shared.forecast import Model
from shared.models.loading import LOG_IN, UNKNOWN


class Located(NamedTuple):
    """Where a model's files are: a folder, or one file; `repository` is where they come from."""

    path: Path | None
    repository: str = ""
    file: str = ""  # of the repository, where one is all that is needed


def check_model(label: str, model: Model, hub: Hub) -> Iterator[Finding | StoredWeights]:
    """Findings, and the weights where their size is known: there, or to be downloaded."""
    what = f"{label}: {model.option} {model.name}" + (f" ({model.tag})" if model.tag else "")
    located = locate_model(model, hub)
    if isinstance(located, Finding):
        yield located._replace(sentence=f"{what} {located.sentence}")
        return
    if located.path is not None:
        weights = examine_model(located, model)
        if not weights.problems:
            yield ok(f"{what} is complete in {located.path}, {size(weights.stored)}")
            yield weights
            return
        problems = ", ".join(weights.problems[:3]) + (
            f" and {len(weights.problems) - 3} more" if weights.problems[3:] else ""
        )
        if not located.repository:
            yield fail(f"{what} is incomplete: {problems}; copy or download the folder again")
            return
        yield warn(f"{what} is incomplete in {located.path}: {problems}")
    yield from ask_hub(what, located, hub)


def ask_hub(what: str, located: Located, hub: Hub) -> Iterator[Finding | StoredWeights]:
    """What is not whole on this machine may still be downloaded when the run starts."""
    name = located.repository
    answer = hub.ask(name, located.file)
    if answer.state == "there":
        sentence = f"{what} is not on this machine: the run will download {size(answer.bytes)}"
        place, free = room_for_downloads()
        if free < answer.bytes:
            yield fail(
                f"{sentence}, and {size(free)} are free under {place}; free some, or set HF_HOME to another disk"
            )
        else:
            yield warn(f"{sentence}; `hf download {name}` does so now")
        yield StoredWeights(answer.bytes, answer.bytes, is_here=False)
    elif answer.state == "gated":
        yield fail(f"{what} is gated: {LOG_IN.format(model=name)}")
    elif answer.state == "unknown":
        yield fail(f"{what} {UNKNOWN.format(model=name)}")
    else:
        here = "is not complete on this machine" if located.path else "is not on this machine"
        way = f"download it where there is a network (`hf download {name}`), or name a folder that holds it"
        yield fail(f"{what} {here} and the Hub does not answer ({hub.silence}); {way}")


def room_for_downloads() -> tuple[Path, int]:
    """Where the Hub's library puts what it downloads, and the bytes that are free there."""
    from huggingface_hub import constants

    place = existing(Path(constants.HF_HUB_CACHE))
    return place, shutil.disk_usage(place).free


def locate_model(model: Model, hub: Hub) -> Located | Finding:
    """Where the model should be; a finding where that cannot be told."""
    path = Path(model.name)
    try:
        if model.name.startswith("local-dir:"):
            return Located(Path(model.name.removeprefix("local-dir:")))
        if model.kind == "clip" and model.tag:
            clip = find_clip(model.name, model.tag)
            return located_clip(clip, hub) if isinstance(clip, ClipTables) else clip
        if path.exists():
            return Located(path)
        if model.kind == "onnx":
            return fail(f"is not on this machine; {model.how_to_get_it}")
        repository = model.name.removeprefix("hf-hub:")
        if model.kind == "sam2":
            # As the package names it: facebook/sam2.1-hiera-large has sam2.1_hiera_large.pt.
            return Located(hub.cached(repository), repository, repository.rpartition("/")[2].replace("-", "_") + ".pt")
        return Located(hub.cached(repository), repository)
    except ImportError as error:
        return fail(f"cannot be looked for: {error.name or error} is not installed")


def located_clip(clip: ClipTables, hub: Hub) -> Located:
    folder = hub.cached(clip.repository)
    names = [name for name in clip.files if folder and (folder / name).exists()] or list(clip.files)
    return Located(folder, clip.repository, names[0])


def examine_model(located: Located, model: Model) -> StoredWeights:
    path = located.path
    assert path is not None
    if path.is_file():
        return weights_of_file(path)
    if located.file:
        return weights_of_file(path / located.file)
    if model.kind == "sam2":
        configs, checkpoints = list(path.glob("*.yaml")), list(path.glob("*.pt"))
        if len(configs) != 1 or len(checkpoints) != 1:
            return StoredWeights(
                problems=(f"it has {len(configs)} .yaml and {len(checkpoints)} .pt files instead of one each",)
            )
        return weights_of_file(checkpoints[0])
    return weights_in(path, model.kind, model.is_halved)
