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


def test_every_command_of_the_launcher_is_there():
    [commands] = re.findall(r"^        (run \| .*)\) ;;$", LAUNCHER, re.MULTILINE)
    known = set(commands.split(" | "))
    used = set(re.findall(r"^\./launcher\.sh ([a-z]+)", README, re.MULTILINE))
    assert used <= known
    assert known - used == {"run"}


def test_every_variable_is_in_the_readme_and_in_the_launcher():
    [table] = re.findall(r"\| Variable \|.*?\n\n", README, re.DOTALL)
    for name in VARIABLES:
        assert f"`{name}`" in table
        assert re.search(rf"^{name}=\${{{name}:-", LAUNCHER, re.MULTILINE)
    assert set(re.findall(r"^([A-Z_]+)=\$\{\1:-", LAUNCHER, re.MULTILINE)) == {*VARIABLES, "PYTHON"}


def test_every_file_of_the_tree_is_there():
    [tree] = re.findall(r"```\n(launcher\.sh .*?)```", README, re.DOTALL)
    folder = ""
    for line in tree.splitlines():
        for name in re.findall(r"^(?:    )?([\w./]+)(?=  )|(?<=  )(\w+/)(?=  )", line):
            name = name[0] or name[1]
            if not line.startswith(" "):
                folder = name if name.endswith("/") else ""
                assert (ROOT / name).exists(), name
            else:
                assert (ROOT / folder / name).exists(), name


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", README))
def test_every_link_leads_somewhere(link):
    assert (ROOT / link).exists()


def test_the_links_of_the_choosing_lead_somewhere():
    links = re.findall(r"\]\(([^):]+)\)", CHOOSING)
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
    values = {"sam2", "flatten", "marigold", "keep", "all", "txt", "load_dataset", "relight"}
    assert len(told) > 30 and told - known - values == set()


def test_every_way_to_mask_is_in_the_readme():
    [hint] = [option.type for option in fields(find_worker("degrade", "")) if option.name == "mask"]
    [row] = re.findall(r"^\| degrade \| `mask` \|.*$", README, re.MULTILINE)
    assert set(get_args(hint)) - set(re.findall(r"`(\w+)`", row)) == set()


def test_the_requirements_of_all_files_are_pinned():
    for name in ("requirements.txt", "requirements-core.txt", "requirements-masks.txt"):
        lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert all("==" in line or line.startswith("-r ") for line in lines if line)
