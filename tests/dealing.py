"""How the tests are dealt to the processes that run them side by side."""

import os

import pytest


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: many tests wait for processes that they have started."""
    return len(os.sched_getaffinity(0)) + 1


# Files of tests that take minutes, the longest first. Each goes as a whole to one of the processes that test side by side, and is
# begun before all else there, so that none is left for the end.
LONGEST = (
    "test_slurm.py", "test_caption_runs.py", "test_dataflow.py", "test_train_launched.py", "test_captioners.py", "test_ray.py",
    "test_vllm.py", "test_doctor_cost.py", "test_relight_gpu.py", "test_learning.py", "test_generate.py", "test_recaption.py",
    "test_degrade_neural_runs.py", "test_measure.py", "test_text.py", "test_default_run.py", "test_house.py", "test_survival.py", "test_fit.py",
)  # fmt: skip


@pytest.hookimpl(trylast=True)  # of what -m has left
def pytest_collection_modifyitems(config, items):
    """Deal the tests to as many equal hands as there are processes, which take a hand each and then what others have left."""
    count = getattr(config, "workerinput", {}).get("workercount", 1)
    hands: list[list] = [[] for _ in range(count)]
    for name in LONGEST:
        min(hands, key=len).extend([item for item in items if item.path.name == name])
    others = [item for item in items if item.path.name not in LONGEST]
    for hand in hands[:-1]:
        missing = max(0, len(items) // count - len(hand))
        hand += others[:missing]
        del others[:missing]
    hands[-1] += others
    items[:] = [item for hand in hands for item in hand]
