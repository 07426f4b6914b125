"""The README's first command, launched once for all of these: what it leaves, and what the other commands say about it."""

import json

import pytest

from tests.default_run import EXPECTED, digests, machine


def test_it_leaves_what_it_has_always_left(default_run):
    expected = json.loads(EXPECTED.read_text())
    if expected["machine"] != (here := machine()):
        other = [name for name in here if expected["machine"].get(name) != here[name]]
        pytest.skip(f"digests are of another {', '.join(other)}; python -m tests.default_run FOLDER writes them anew")
    found = digests(default_run.output)
    assert {name: value for name, value in found.items() if expected["files"].get(name) != value} == {}
    assert set(found) == set(expected["files"])


def test_it_says_where_the_triplets_and_the_report_are(default_run):
    *_, tables, report = default_run.said.splitlines()
    assert tables == f"launcher: tables and triplets: {default_run.output}/step_4_merge_triplets/"
    assert report == f"launcher: report: {default_run.output}/report.html"


@pytest.mark.parametrize(
    ("command", "words"), [("status", "12 of 12 recorded"), ("verify", "12"), ("validate", "24 triplets, nothing")]
)
def test_it_is_whole(default_run, command, words):
    done = default_run.look(command)
    assert done.returncode == 0, done.stdout
    assert words in done.stdout


def test_merging_again_changes_nothing(default_run):
    before = digests(default_run.output)
    assert default_run.look("merge").returncode == 0
    assert digests(default_run.output) == before
