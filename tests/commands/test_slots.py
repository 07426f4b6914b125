"""Which workers are started, and what each of them sees."""

import pytest

from shared.commands import slots
from shared.commands.slots import Slot, find_slots
from shared.commands.variables import Variables


@pytest.fixture(autouse=True)
def a_machine_of_four_gpus(monkeypatch):
    monkeypatch.setattr(slots, "listed_gpus", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_gpu_has_a_worker():
    assert find_slots(Variables({}), 1) == [Slot(id, str(id), id) for id in range(4)]


def test_a_worker_has_several_gpus_and_the_id_of_its_first():
    assert find_slots(Variables({"GPUS": "0,2,5,7"}), 2) == [Slot(0, "0,2", 0), Slot(5, "5,7", 1)]


def test_those_that_were_stopped_leave_their_shard_to_the_others():
    assert find_slots(Variables({}), 1, stopped=[1, 2]) == [Slot(0, "0", 0), Slot(3, "3", 1)]
    assert find_slots(Variables({}), 1, stopped=range(4)) == []


def test_a_step_that_works_together_has_one_worker_with_all_gpus():
    assert find_slots(Variables({}), 1, stopped=[0], is_together=True) == [Slot(1, "1,2,3", 0)]


def test_ids_and_ranks_go_on_from_machine_to_machine():
    second = Variables({"NODE_RANK": "1", "NODE_COUNT": "2", "GPUS": "0,2"})
    assert find_slots(second, 1) == [Slot(3, "0", 2), Slot(5, "2", 3)]


def test_gpus_with_long_names_have_their_places_for_ids(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-8f3a,MIG-1b2c")
    assert find_slots(Variables({}), 1) == [Slot(0, "GPU-8f3a", 0), Slot(1, "MIG-1b2c", 1)]
    assert find_slots(Variables({"GPU_COUNT": "1"}), 1) == [Slot(0, "GPU-8f3a", 0)]


def test_without_a_gpu_each_core_has_one(monkeypatch):
    monkeypatch.setattr(slots, "listed_gpus", lambda: 0)
    monkeypatch.setattr(slots.os, "sched_getaffinity", lambda _: {0, 1, 5})
    assert [slot.id for slot in find_slots(Variables({}), 1)] == [0, 1, 2]
    assert [slot.id for slot in find_slots(Variables({"GPU_COUNT": "08"}), 1)] == list(range(8))


def test_gpus_that_ray_places_are_not_those_of_this_machine():
    of_ray = {"LAUNCH_WITH": "ray", "GPUS_PER_WORKER": "3"}
    assert find_slots(Variables(of_ray), 3) == [Slot(0, "", 0)]
    assert [slot.id for slot in find_slots(Variables(of_ray | {"GPU_COUNT": "3"}), 3, stopped=[1])] == [0, 2]
