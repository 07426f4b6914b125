"""The arguments of a worker."""

import argparse
import os
import subprocess
import sys

import pytest

from shared.errors import is_out_of_memory
from shared.machine import share_of_cores
from shared.run.arguments import parse_setting
from tests.conftest import ROOT
from tests.loop.noting import OutOfMemoryError


def test_torchs_own_error_is_known_by_its_name_with_its_subclasses():
    class Special(OutOfMemoryError):
        pass

    assert is_out_of_memory(OutOfMemoryError())
    assert is_out_of_memory(Special())
    assert not is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("out of memory"))


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("num_images=100", ("num_images", 100)),
        ("1.num_images=100", ("1.num_images", 100)),
        ("temperature=0.6", ("temperature", 0.6)),
        ("prompt=a=b", ("prompt", "a=b")),
        ("model_path=/a b/ü", ("model_path", "/a b/ü")),
        ("split_ratios=[1, 0, 0]", ("split_ratios", [1, 0, 0])),
        ("cutoff=", ("cutoff", None)),
        ("model_path=@home", ("model_path", "@home")),
        ("prompt=[x", ("prompt", "[x")),
        ("prompt=what: is: it", ("prompt", "what: is: it")),
    ],
)
def test_a_setting_is_read_as_yaml_and_as_text_where_it_is_none(text, setting):
    assert parse_setting(text) == setting


def test_a_setting_without_a_value_is_misuse():
    with pytest.raises(argparse.ArgumentTypeError, match="'num_images' should be OPTION=VALUE"):
        parse_setting("num_images")


def test_the_share_of_the_cores():
    assert share_of_cores(3) == 3
    assert share_of_cores(0) == len(os.sched_getaffinity(0))


def test_a_rank_that_there_is_not_is_misuse():
    command = [
        sys.executable,
        "-m",
        "workers.template",
        "--config",
        "x",
        "--output-dir",
        "y",
        "--rank",
        "2",
        "--world-size",
        "2",
    ]
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert asked.returncode == 2
    assert "--rank 2 should be from 0 to 1 (--world-size less one)" in asked.stderr
