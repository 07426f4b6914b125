"""Whether this machine can do the run, said before hours are spent."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.claims import Claims
from shared.config import ROOT
from shared.dataset import DatasetError
from shared.run import Run
from shared.watch import gpu_use

Finding = tuple[bool, str]


def examine(run: Run) -> int:
    """Print a line a finding; returns 0 when nothing stands in the way, 1 otherwise."""
    findings = [*check_python(), *check_packages(), *check_machine(), *check_disk(run), *check_input(run)]
    for is_good, sentence in findings:
        print(f"{'ok  ' if is_good else 'FAIL'}  {sentence}")
    return 0 if all(is_good for is_good, _ in findings) else 1


def check_python() -> Iterator[Finding]:
    number = ".".join(map(str, sys.version_info[:3]))
    is_good = (3, 10) <= sys.version_info[:2] <= (3, 12)
    yield is_good, f"Python {number}" + ("" if is_good else "; 3.10 to 3.12 is needed")


def check_packages() -> Iterator[Finding]:
    """Compare what is installed with requirements-core.txt."""
    wrong = []
    for name, wanted in read_pins(ROOT / "requirements-core.txt"):
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            wrong.append(f"{name} {found} instead of {wanted}")
    command = f"uv pip install --python {sys.executable} -r requirements-core.txt"
    yield not wrong, f"packages: {', '.join(wrong)}; mend with: {command}" if wrong else "packages as requirements-core.txt has them"


def read_pins(path: Path) -> Iterator[tuple[str, str]]:
    """name and version of each pin that is for this Python."""
    is_new = sys.version_info >= (3, 11)
    for line in path.read_text().splitlines():
        pin = re.match(r"([\w-]+)==([\w.]+)", line)
        if pin and (">=" in line.partition(";")[2]) >= is_new * (";" in line) and not ("<" in line.partition(";")[2] and is_new):
            yield pin[1], pin[2]


def check_machine() -> Iterator[Finding]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    yield True, f"{len(os.sched_getaffinity(0))} CPU cores, {memory:.0f} GiB of memory"
    gpus = gpu_use()
    yield True, f"{len(gpus)} NVIDIA GPUs" + ("" if gpus else "; the weight-free steps need none")
    for tool in ("setsid", "flock"):
        yield shutil.which(tool) is not None, f"{tool} (util-linux)"


def check_disk(run: Run) -> Iterator[Finding]:
    place = next(folder for folder in (run.folder, *run.folder.parents) if folder.exists())
    free = shutil.disk_usage(place).free / 2**30
    yield free > 1, f"{free:.0f} GiB free under {place}"
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as folder:
            has_locks = locks_work(Path(folder) / "claims")
            fits_case = not (Path(folder) / "CLAIMS").exists()
    except OSError as error:
        yield False, f"cannot write under {place}: {error.strerror}"
        return
    yield has_locks, f"locks between processes work under {place}" if has_locks else (
        f"locks between processes do not work under {place}; take a folder on another file system for OUTPUT_DIR"
    )
    yield fits_case, "file names keep upper and lower case apart" if fits_case else (
        f"{place} does not keep upper and lower case apart: keys that differ only in case would share a record"
    )


def locks_work(path: Path) -> bool:
    """Hold a lock here and try it from another process."""
    claims = Claims(path)
    claims.take(0, 1)
    code = "import sys; from pathlib import Path; from shared.claims import Claims; sys.exit(Claims(Path(sys.argv[1])).take(0, 1))"
    other = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    claims.close()
    return other.returncode == 0


def check_input(run: Run) -> Iterator[Finding]:
    try:
        first = next(run.source.items())
    except DatasetError as error:
        yield False, str(error)
        return
    yield True, f"the input {run.source.path} can be read; its first item is {first['key']}"
    yield True, f"{run.config.path}: " + ", ".join(f"{step.number} {step.config.name or step.config.type}" for step in run.steps)


