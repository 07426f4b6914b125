"""Where a process stands among those that work on a step."""

from dataclasses import dataclass
from pathlib import Path

from shared.run.run import Step


@dataclass(frozen=True)
class Place:
    """`gpu` names the kill, end, log and progress files; `rank` of `world_size` says which shard; `cores` 0 is all of them.

    `processes` of a step work together, where they do, on `nodes` machines of which this is number `node_rank`, and meet at
    `meeting`, an address and a port of the first. The worker drains when `parent` (the launcher's pid) is gone, or
    when a kill file lies in the run's folders or in `kill_folder`.
    """

    gpu: int = 0
    rank: int = 0
    world_size: int = 1
    cores: int = 0
    processes: int = 1
    nodes: int = 1
    node_rank: int = 0
    meeting: str = ""
    parent: int | None = None
    kill_folder: Path | None = None

    def kill_folders(self, step: Step) -> list[Path]:
        return [step.folder, step.run.folder, *([self.kill_folder] if self.kill_folder else [])]
