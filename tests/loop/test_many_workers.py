"""Many workers of which a third is killed and started again: nothing is lost, and nothing done twice."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.mark.parametrize(("form", "claims"), [("json", "locks"), ("packed", "locks"), ("packed", "files")])
def test_a_third_is_killed_and_every_item_is_done_once(form, claims):
    """In a process of its own, which forks."""
    words = [
        "--nodes",
        "4",
        "--workers",
        "8",
        "--items",
        "2000",
        "--seconds",
        "0.02",
        "--form",
        form,
        "--claims",
        claims,
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.many_workers", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "10 killed and started again" in done.stdout and "each has one record" in done.stdout
