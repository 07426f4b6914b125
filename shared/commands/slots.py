"""Which workers a launch starts on this machine: for each the GPUs it sees, the id that names its files, and its shard."""

import os
from collections.abc import Collection
from dataclasses import dataclass

from shared.commands.variables import Variables
from shared.errors import ConfigError
from shared.machine import listed_gpus


@dataclass(frozen=True)
class Slot:
    """A worker's place. `id` names its log, kill, end and progress files; `gpus` is what it sees, `0,1`."""

    id: int
    gpus: str
    rank: int  # its shard among those of all machines


def find_slots(
    variables: Variables, per_worker: int, stopped: Collection[int] = (), is_together: bool = False
) -> list[Slot]:
    """One slot for every `per_worker` GPUs, or a CPU core where there is none, without those `stopped` in this launch.

    A step whose processes work together has one, with all GPUs. Where Ray places them, on whatever there is, these only count
    them. Raises ConfigError.
    """
    if variables.launch_with == "ray":
        return [Slot(id, "", id) for id in range(variables.gpu_count or 1) if id not in stopped]
    names = gpu_names(variables)
    if len(names) % per_worker:
        is_usual = per_worker == variables.gpus_per_worker
        said = f"GPUS_PER_WORKER={per_worker}" if is_usual else f"gpus_per_worker: {per_worker} of a step"
        raise ConfigError(f"{len(names)} GPUs cannot be shared out by {said}")
    groups = [names[first : first + per_worker] for first in range(0, len(names), per_worker)]
    on_one_machine = max([len(names) - 1, *(int(name) for name in names if name.isdigit())]) + 1
    ids = [variables.node_rank * on_one_machine + id_of(group[0], names) for group in groups]
    left = [(id, group) for id, group in zip(ids, groups, strict=True) if id not in stopped]
    if is_together and left:
        left = [(left[0][0], [name for _, group in left for name in group])]
    first = variables.node_rank * len(left)
    return [Slot(id, ",".join(group), first + place) for place, (id, group) in enumerate(left)]


def id_of(name: str, names: list[str]) -> int:
    """A GPU's number; of one that has a long name, or of a part of one, its place."""
    return int(name) if name.isdigit() else names.index(name)


def gpu_names(variables: Variables) -> list[str]:
    """The GPUs to work on, as CUDA_VISIBLE_DEVICES has them; numbers from 0 where there is none. Raises ConfigError."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    there = listed_gpus()
    if variables.gpus:
        names = variables.gpus
    elif there and visible:
        names = visible.replace(",", " ").split()
    else:
        names = [str(number) for number in range(variables.gpu_count or there or len(os.sched_getaffinity(0)))]
    if variables.gpu_count:
        names = names[: variables.gpu_count]
    for place, name in enumerate(names):
        if name in names[:place]:
            raise ConfigError(f"GPUS names {name} twice; each worker needs a GPU of its own")
    return names
