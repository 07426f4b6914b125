"""Which machine of several this one is, as Slurm's variables say it."""

import pytest

from shared.clusters.node import node_from_slurm
from shared.commands.variables import Variables

STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(
    ("environ", "place"),
    [
        ({}, (0, 1)),
        ({"SLURM_NODEID": "1", "SLURM_NNODES": "2"}, (1, 2)),
        ({**STEP, "SLURM_NODEID": "1", "SLURM_NNODES": "4", "SLURM_STEP_NUM_NODES": "2"}, (1, 2)),  # srun on two of four
        ({"SLURM_JOB_ID": "7", "SLURM_NODEID": "0", "SLURM_NNODES": "2"}, (0, 1)),  # the batch script itself
        ({"SLURM_ARRAY_TASK_ID": "5", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "63"}, (5, 64)),
        ({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "9", "SLURM_ARRAY_TASK_STEP": "2"}, (3, 5)),
        ({**STEP, "SLURM_NODEID": "1", "SLURM_STEP_NUM_NODES": "2", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}, (7, 8)),
        ({"SLURM_ARRAY_TASK_ID": "3"}, (3, 4)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}, (3, 8)),
        ({"SLURM_NODEID": "nonsense", "SLURM_NNODES": "2"}, (0, 2)),
    ],
)  # fmt: skip
def test_the_place_of_a_machine(environ, place):
    node = node_from_slurm(environ)
    assert (node.rank, node.machines) == place
    variables = Variables(environ)
    assert (variables.node_rank, variables.node_count) == place


def test_tasks_of_an_array_are_different_machines():
    array = {"SLURM_ARRAY_TASK_MIN": "2", "SLURM_ARRAY_TASK_MAX": "9"}
    ranks = [node_from_slurm(array | {"SLURM_ARRAY_TASK_ID": str(task)}).rank for task in range(2, 10)]
    assert ranks == list(range(8))


def test_what_a_person_says_stands_over_slurm_and_a_launcher_without_srun_says_that_it_is_alone():
    batch = {"SLURM_JOB_ID": "7", "SLURM_NODEID": "0", "SLURM_NNODES": "3"}
    assert "this job has 3 machines and this launcher works on the first alone" in Variables(batch).node_note
    said = Variables(batch | {"NODE_RANK": "2", "NODE_COUNT": "3"})
    assert (said.node_rank, said.node_count, said.node_note) == (2, 3, "")
