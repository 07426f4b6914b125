"""The rooms of the house, and that no line of it leads upwards, round in a circle, or says one name for two things."""

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

# From the ground up: a file imports from its own room, and from the rooms and doors of the lines before its own. Rooms are
# folders, doors are files; workers/ is the roof, and nobody imports it.
ROOMS = """
errors machine seeding splits forecast
own_reader clusters
decoding web
far
containers tars
images models light
files masks
captions.engines
generation
light.degradation readers relighter.families
light.scenes dataset
light.scenes.network
run
exports worker
captions hub loop relighter.inference selection.scoring
start doctor selection triplets
relighter.evaluation relighter.training reporting
commands
"""
DOORS = {
    "__init__",
    "worker",
    "start",
    "dataset",
    "own_reader",
    "images",
    "containers",
    "splits",
    "seeding",
    "forecast",
    "errors",
    "machine",
}
LONGEST_FILE, LONGEST_FUNCTION = 300, 50
EVERYWHERE = {"log", "main"}  # a module's logger, and what a program begins with: one meaning, said in many files


class Arrow(NamedTuple):
    """An import: `importer` and `imported` are modules such as shared.files.table."""

    importer: str
    line: int
    imported: str


def read_files(root: Path) -> dict[str, ast.Module]:
    """Module -> its tree, of shared/ and workers/."""
    files = {}
    for path in sorted([*root.glob("shared/**/*.py"), *root.glob("workers/**/*.py")]):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        files[module] = ast.parse(path.read_text(encoding="utf-8"))
    return files


def arrows(files: dict[str, ast.Module]) -> Iterator[Arrow]:
    """Every import of one of the files by another: at the top, inside functions, and for types alone."""
    for module, tree in files.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                base = "." * node.level + (node.module or "")
                names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            for name in names:
                if name.startswith(".") or (name in files and name != module and not name.endswith("__init__")):
                    yield Arrow(module, node.lineno, name)


def room_of(module: str) -> str:
    """`files` for shared.files.table, `errors` for shared.errors, `workers` for workers.filter."""
    place = module.removesuffix(".__init__").split(".")
    if place[0] == "workers":
        return "workers"
    return ".".join(place[1:-1]) or place[-1]


def wrong_arrows(files: dict[str, ast.Module]) -> list[str]:
    floors = {room: floor for floor, line in enumerate(ROOMS.split("\n")) for room in line.split()}
    found = []
    for importer, line, imported in arrows(files):
        place = f"{importer}, line {line}"
        here, there = room_of(importer), room_of(imported)
        if imported.startswith("."):
            found.append(f"{place}: write where {imported} is from the top: shared.<room>")
        elif there == "workers":
            found.append(f"{place} imports {imported}; nothing imports a worker")
        elif here != "workers" and here not in floors:
            found.append(f"{place}: there is no room {here}; give it a line in ROOMS")
        elif here not in ("workers", there) and floors[there] >= floors[here]:
            found.append(f"{place} imports {imported}, which is no lower than {here}")
    return found


def circles(files: dict[str, ast.Module]) -> list[str]:
    """Files that import each other, told once each by the line that closes the circle."""
    imports = defaultdict(list)
    for arrow in arrows(files):
        imports[arrow.importer].append(arrow)
    found, finished, path = [], set(), []

    def visit(module: str) -> None:
        path.append(module)
        for _, line, imported in imports[module]:
            if imported in path:
                found.append(f"{module}, line {line}: {' -> '.join([*path[path.index(imported) :], imported])}")
            elif imported not in finished:
                visit(imported)
        finished.add(path.pop())

    for module in files:
        if module not in finished:
            visit(module)
    return found


def flat_files(files: dict[str, ast.Module]) -> list[str]:
    flat = [module for module in files if module.startswith("shared.") and module.count(".") == 1]
    return [f"{module} lies flat in shared/ and is no door" for module in flat if module.split(".")[1] not in DOORS]


def names_of(tree: ast.Module) -> set[str]:
    """What a file defines for others to see."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def doubled_names(files: dict[str, ast.Module]) -> list[str]:
    owners = defaultdict(list)
    for module, tree in files.items():
        for name in names_of(tree) - EVERYWHERE:
            owners[name].append(module)
    return [f"{name} is defined in {' and '.join(modules)}" for name, modules in owners.items() if len(modules) > 1]


def long_ones(root: Path) -> list[str]:
    found = []
    for path in sorted(
        [*root.glob("shared/**/*.py"), *root.glob("workers/**/*.py"), *root.glob("tests/**/*.py"), root / "launcher.sh"]
    ):
        if not path.exists():
            continue
        text = path.read_text(encoding="utf-8")
        if (count := len(text.splitlines())) > LONGEST_FILE:
            found.append(f"{path.relative_to(root)} has {count} lines")
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    found.append(f"{path.relative_to(root)}, line {node.lineno}: {node.name} has {length} lines")
    return found


@pytest.fixture(scope="module")
def files() -> dict[str, ast.Module]:
    return read_files(ROOT)


def test_types_fit():
    done = subprocess.run([sys.executable, "-m", "mypy"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_import_leads_upwards_or_into_workers(files):
    assert wrong_arrows(files) == []


def test_no_import_leads_round_in_a_circle(files):
    assert circles(files) == []


def test_only_doors_lie_flat_in_shared(files):
    assert flat_files(files) == []


def test_a_public_name_means_one_thing(files):
    assert doubled_names(files) == []


def test_files_and_functions_are_short():
    assert long_ones(ROOT) == []


def test_the_table_names_the_rooms_that_there_are_and_no_others(files):
    rooms = {room_of(module) for module in files} - {"workers", "shared"}
    assert rooms == {"relighter", *ROOMS.split()}  # which holds but rooms


def test_the_architecture_names_every_room_in_ten_lines():
    text = (ROOT / "shared" / "README.md").read_text()
    assert text.count("\n- ") == 10
    rooms = {room.partition(".")[0] for room in ROOMS.split()} - DOORS
    assert {room for room in rooms if f"**`{room}/`**" not in text} == set()


GOOD = {
    "shared/errors.py": "class RunError(Exception): ...\n",
    "shared/files/table.py": "from shared.errors import RunError\nlog = 1\n",
    "shared/run/run.py": "def f():\n    from shared.files.table import log\n",
    "workers/blur.py": "from shared.run.run import f\nlog = 2\n",
}


@pytest.mark.parametrize(
    ("check", "path", "text", "expected"),
    [
        (wrong_arrows, "shared/files/up.py", "from shared.run.run import f", ["shared.files.up, line 1 imports shared.run.run, which is no lower than files"]),
        (wrong_arrows, "shared/files/up.py", "def g():\n    import shared.run.run", ["shared.files.up, line 2 imports shared.run.run, which is no lower than files"]),
        (wrong_arrows, "shared/files/up.py", "if TYPE_CHECKING:\n    from shared.run import run", ["shared.files.up, line 2 imports shared.run.run, which is no lower than files"]),
        (wrong_arrows, "shared/files/up.py", "from workers.blur import log", ["shared.files.up, line 1 imports workers.blur; nothing imports a worker"]),
        (wrong_arrows, "workers/other.py", "import workers.blur", ["workers.other, line 1 imports workers.blur; nothing imports a worker"]),
        (wrong_arrows, "shared/files/up.py", "from ..run import run", ["shared.files.up, line 1: write where ..run is from the top: shared.<room>", "shared.files.up, line 1: write where ..run.run is from the top: shared.<room>"]),
        (wrong_arrows, "shared/attic/box.py", "import shared.errors", ["shared.attic.box, line 1: there is no room attic; give it a line in ROOMS"]),
        (circles, "shared/errors.py", "def g():\n    from shared.run.run import f", ["shared.files.table, line 1: shared.errors -> shared.run.run -> shared.files.table -> shared.errors"]),
        (flat_files, "shared/utils.py", "", ["shared.utils lies flat in shared/ and is no door"]),
        (doubled_names, "shared/run/other.py", "RunError: int = 3", ["RunError is defined in shared.errors and shared.run.other"]),
        (doubled_names, "shared/run/other.py", "a, f = 1, 2", ["f is defined in shared.run.other and shared.run.run"]),
    ],
)  # fmt: skip
def test_each_rule_goes_red(tmp_path, check, path, text, expected):
    for name, content in GOOD.items():
        make(tmp_path / name, content)
    assert check(read_files(tmp_path)) == []
    make(tmp_path / path, text)
    assert check(read_files(tmp_path)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\n" * 301, ["shared/long.py has 301 lines"]),
        ("class A:\n    def f(self):\n" + "        x = 1\n" * 50, ["shared/long.py, line 2: f has 51 lines"]),
        ("x = 1\n" * 300, []),
    ],
)
def test_what_is_long_is_told(tmp_path, text, expected):
    make(tmp_path / "shared" / "long.py", text)
    assert long_ones(tmp_path) == expected


def make(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
