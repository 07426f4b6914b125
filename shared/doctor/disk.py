"""The run's folder: room, locks, and whether its file names are kept apart."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.doctor.finding import Finding, fail, ok, size, warn
from shared.files.claims import Claims
from shared.files.lookup import ROOT
from shared.files.mounts import lock_trouble

WORTH_SAYING = 100 * 2**20  # bytes; less than that is nobody's concern
MANY_FILES = 200_000
LEAST = 2**30  # bytes that should be free however little a run writes


def check_disk(folder: Path, expected: float | None, leased: bool = False, files: int = 0) -> Iterator[Finding]:
    """`expected` is about how many bytes the run will write, None where that cannot be told, and `files` how many files.

    `leased`: claims are files.
    """
    place = existing(folder)
    free = shutil.disk_usage(place).free
    if expected is None:
        yield warn(f"{size(free)} free under {place}; how much the run will write cannot be told")
    elif free < max(expected, LEAST):
        yield too_little(free, place, expected)
    elif free < 1.5 * expected:
        yield warn(f"{size(free)} free under {place}, which is little: the run writes about {size(expected)}")
    else:
        yield ok(f"{size(free)} free under {place}; the run writes about {size(expected)}")
    yield from check_files(place, files)
    try:
        with tempfile.TemporaryDirectory(dir=place, prefix=".doctor-") as trial:
            has_locks = locks_work(Path(trial) / "claims")
            fits_case = not (Path(trial) / "CLAIMS").exists()
    except OSError as error:
        yield fail(f"cannot write under {place}: {error.strerror}")
        return
    trouble = lock_trouble(folder)
    if leased:
        yield ok(f"claims are files{f': {trouble}' if trouble else ', as the config says'}")
    elif not has_locks:
        way_out = "set `claims: files` in the config, or take a folder on another file system for OUTPUT_DIR"
        yield fail(f"locks between processes do not work under {place}; {way_out}")
    elif trouble:
        yield warn(f"{trouble}; for a run of several machines leave out `claims: locks` of the config")
    else:
        yield ok(f"locks between processes work under {place}")
    if fits_case:
        yield ok("file names keep upper and lower case apart")
    else:
        yield fail(
            f"{place} does not keep upper and lower case apart: keys that differ only in case would share a record"
        )


def check_files(place: Path, files: int) -> Iterator[Finding]:
    """Clusters give a project some hundred thousand files; what a quota leaves of them is not told here."""
    status = os.statvfs(place)
    fewer = "`records: packed` and `images: tar` of a step make fewer"
    if status.f_files and files > status.f_favail:
        yield fail(
            f"the run makes about {files:,} files, and {status.f_favail:,} more can be made under {place}; {fewer}"
        )
    elif files > MANY_FILES:
        yield warn(f"the run makes about {files:,} files, which a quota may not allow; {fewer}")


def check_room(folder: Path, expected: float, say: Callable[[str], None]) -> Iterator[Finding]:
    """Room for what a run is about to write, said where it is much; and files that may still be made."""
    place = existing(folder)
    free, files = shutil.disk_usage(place).free, os.statvfs(place)
    if free < expected:
        yield too_little(free, place, expected)
    elif files.f_files and not files.f_favail:
        yield fail(f"no file can be made under {place}, its inodes are used up; take another OUTPUT_DIR")
    elif expected > WORTH_SAYING:
        say(f"the run writes about {size(expected)}; {size(free)} free under {place}")


def too_little(free: int, place: Path, expected: float) -> Finding:
    way_out = "free some, or take another OUTPUT_DIR"
    return fail(f"{size(free)} free under {place}, and the run writes about {size(expected)}; {way_out}")


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.exists())


def locks_work(path: Path) -> bool:
    """Hold a lock here and try it from another process."""
    claims = Claims(path)
    claims.take(0, 1)
    code = "import sys, pathlib; from shared.files.claims import Claims; sys.exit(Claims(pathlib.Path(sys.argv[1])).take(0, 1))"
    other = subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT, check=False)
    claims.close()
    return other.returncode == 0
