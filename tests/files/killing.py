"""A process that is killed at its n-th call of the operating system, for every n."""

import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

# Calls are counted in `moments`, and the one of the number `fatal` ends the process.
COUNTED = """
def counted(function):
    def call(*arguments, **more):
        global moments
        moments += 1
        if moments == fatal:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **more)
    return call
"""

KILLED = """
import os, signal, sys
import numpy as np
from pathlib import Path
from shared.files.record_writer import Outcome, RecordWriter
from shared.files.records import Records
from shared.images import ImageFile
folder, names, moments = Path(sys.argv[1]), sys.argv[2].split(), 0
{counted}{work}
for fatal in range(1, 1000):
    if child := os.fork():
        if os.waitpid(child, 0)[1] == 0:
            print(fatal)
            break
        continue
    step = folder / str(fatal)
    (step / "parts").mkdir(parents=True)
    for name in names:
        setattr(os, name, counted(getattr(os, name)))
    work(step, step / "parts")
    os._exit(0)
"""


def killed_at_each(folder: Path, calls: str, work: str) -> int:
    """`work` defines work(step, parts), which is killed at the n-th of those `calls` of os in the folder `n`; returns the last
    n, at which it came to its end."""
    command = [sys.executable, "-c", KILLED.replace("{counted}", COUNTED).replace("{work}", work), str(folder), calls]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)
