"""The README keeps its word: its commands, variables, options and files exist."""

import re
from dataclasses import fields
from typing import get_args

import pytest

from shared.light.degradation.options import Degradation, Kind, LightSampling
from shared.run.step_types import find_worker
from tests.conftest import ROOT, VARIABLES

README = (ROOT / "README.md").read_text()
CHOOSING = (ROOT / "configs" / "README.md").read_text()
LAUNCHER = (ROOT / "launcher.sh").read_text()


def test_it_can_be_read_in_a_few_minutes():
    assert len(README.split()) <= 1500


def test_every_command_of_the_launcher_is_there():
    known = set(re.search('^COMMANDS="(.*)"$', LAUNCHER, re.MULTILINE)[1].split())
    used = set(re.findall(r"^\./launcher\.sh ([a-z]+)", README, re.MULTILINE))
    assert used <= known
    assert known - used == {"run"}


def test_every_variable_is_in_the_readme_and_in_the_launcher():
    [table] = re.findall(r"\| Variable \|.*?\n\n", README, re.DOTALL)
    for name in VARIABLES:
        assert f"`{name}`" in table
        assert re.search(rf"^{name}=\${{{name}:-", LAUNCHER, re.MULTILINE)
    assert set(re.findall(r"^([A-Z_]+)=\$\{\1:-", LAUNCHER, re.MULTILINE)) == {*VARIABLES, "PYTHON"}


def test_every_place_of_the_tree_is_there():
    [tree] = re.findall(r"```\n(launcher\.sh .*?)```", README, re.DOTALL)
    names = [line.split()[0] for line in tree.splitlines()]
    assert len(names) <= 10 and all((ROOT / name).exists() for name in names)
    assert "./launcher.sh" in README.split("```")[1] and set(names) >= {"workers/", "shared/", "configs/", "tests/"}


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link.partition("#")[0]).exists()
    if "#" in link:
        assert link.partition("#")[2] in anchors(CHOOSING)


def anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_links_of_the_choosing_lead_somewhere():
    assert set(re.findall(r"\]\(#([^)]+)\)", CHOOSING)) - anchors(CHOOSING) == set()
    links = re.findall(r"\]\(([^):#]+)\)", CHOOSING)
    assert len(links) > 4 and all((ROOT / "configs" / link).exists() for link in links)


def test_what_older_programs_are_told_to_take_is_there():
    """Every name in the right columns of the tables under "Where the older programs are"."""
    [section] = re.findall(r"## Where the older programs are.*?\n## ", CHOOSING, re.DOTALL)
    rows = [
        line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ") and "Now" not in line
    ]
    told = {word for _, now in rows for word in re.findall(r"`(?:[a-z]+\.)?([A-Za-z_]+)(?:[:`])", now)}
    workers = [find_worker(name, "") for name in ("filter", "degrade", "caption", "merge", "train", "relight")]
    known = {*VARIABLES, "provider"}
    for section_class in (*workers, Degradation, LightSampling, Kind):
        known |= {option.name for option in fields(section_class)}
    values = {
        "sam2",
        "flatten",
        "marigold",
        "keep",
        "all",
        "txt",
        "load_dataset",
        "relight",
        "balloon",
        "network",
        "depth",
    }
    assert len(told) > 30 and told - known - values == set()


def test_every_way_to_mask_is_told():
    [hint] = [option.type for option in fields(find_worker("degrade", "")) if option.name == "mask"]
    [row] = re.findall(r"^\| degrade \| `mask` \| `.*$", CHOOSING.partition("## Where the older")[0], re.MULTILINE)
    assert set(get_args(get_args(hint)[0])) - set(re.findall(r"`(\w+)`", row)) == set()


def test_the_requirements_of_all_files_are_pinned():
    for name in ("requirements.txt", "requirements-core.txt"):
        lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert all("==" in line or line.startswith("-r ") for line in lines if line)
