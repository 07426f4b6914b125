"""A model runs on the worker's GPU; one that is not there is named with the variables that gave it to the worker."""

import pytest

pytest.importorskip("torch")

from shared.errors import RunError
from shared.models.device import find_device
from tests.doctor.test_doctor import put_nvidia_smi

FOUR = '#!/bin/sh\nfor gpu in 0 1 2 3; do echo "$gpu, 0, 10"; done\n'


@pytest.fixture
def four_gpus(tmp_path, monkeypatch):
    """nvidia-smi knows four, and torch is built for CUDA and can use none of what it is given."""
    put_nvidia_smi(tmp_path, FOUR, monkeypatch)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.version.cuda", "13.0")


@pytest.mark.parametrize(("given", "named"), [("7", "7"), ("4,5", "4, 5"), ("3,4", "4")])
def test_a_gpu_that_is_not_there_is_named_with_what_to_change(four_gpus, monkeypatch, given, named):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with pytest.raises(RunError) as raised:
        find_device("CLIP")
    assert str(raised.value) == (
        f"there is no GPU {named} for CLIP; set GPU_COUNT to 4 or less, or GPUS to some of those that are there: 0, 1, 2, 3"
    )


@pytest.mark.parametrize("given", ["3", "GPU-0a1b"])
def test_a_driver_that_torch_cannot_use_is_another_matter(four_gpus, monkeypatch, given):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    with pytest.raises(RunError, match=r"there are 4 NVIDIA GPUs and torch .* cannot use them; it needs a driver"):
        find_device("CLIP")


def test_who_hides_the_gpus_means_the_cpu(four_gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert find_device("CLIP").type == "cpu"
