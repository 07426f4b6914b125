"""Which of several machines this one is, as Slurm says it where nobody else does. Needs no package."""

from collections.abc import Mapping
from typing import NamedTuple


class Node(NamedTuple):
    rank: int
    machines: int
    note: str = ""  # what a person should be told


def node_from_slurm(environ: Mapping[str, str]) -> Node:
    """This machine's place among those of a Slurm job, or of all tasks of an array of jobs.

    Slurm says a machine's number inside the step that srun has started (sbatch(1), srun(1)); the script of a batch job
    itself, which runs once, is told the same names with the first machine's number.
    """

    def number(name: str, usual: int) -> int:
        text = environ.get(name, "")
        return int(text) if text.isdecimal() else usual

    rank, count, note = number("SLURM_NODEID", 0), number("SLURM_NNODES", 1), ""
    if "SLURM_STEP_ID" in environ:
        count = number("SLURM_STEP_NUM_NODES", count)
    elif "SLURM_JOB_ID" in environ and count > 1:
        note = (
            f"this job has {count} machines and this launcher works on the first alone; start it with srun, one on each"
        )
        rank, count = 0, 1
    if environ.get("SLURM_ARRAY_TASK_ID", "").isdecimal():
        first, by = number("SLURM_ARRAY_TASK_MIN", 0), max(1, number("SLURM_ARRAY_TASK_STEP", 1))
        task = number("SLURM_ARRAY_TASK_ID", 0)
        last = max(task, number("SLURM_ARRAY_TASK_MAX", task))
        tasks = max((last - first) // by + 1, number("SLURM_ARRAY_TASK_COUNT", 1))
        rank, count = (task - first) // by * count + rank, tasks * count
    return Node(rank, count, note) if rank < count else Node(0, 1, note)
