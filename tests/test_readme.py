"""The README keeps its word: its commands, variables, options and files exist."""

import re

import pytest

from tests.conftest import ROOT, VARIABLES

README = (ROOT / "README.md").read_text()
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


def test_the_requirements_of_both_files_are_pinned():
    for name in ("requirements.txt", "requirements-core.txt"):
        lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
        assert all("==" in line or line.startswith("-r ") for line in lines if line)
